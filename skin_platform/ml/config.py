"""Training settings: one frozen record, with what ``auto`` means resolved in one place."""

import re
from dataclasses import dataclass, replace
from typing import Literal

IMAGES_PER_FIT = 18_000  # the CPU preset reads them in about 90 s on two cores: 480 images 37 times, 60 images 60 times
LONG_FIT_IMAGES = 16_000
MIN_EPOCHS, MAX_EPOCHS = 4, 60
HUB_REVISION = re.compile(r"[0-9a-f]{40}")


class ConfigError(ValueError):
    """A training setting that cannot work, with the remedy."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    ``auto`` and 0 take what fits the weights: with ``weights`` given, ``efficientnet_b0`` at 224 px and full width; with
    none, ``resnet18`` at half width and 112 px, which learns from scratch on two cores within the demo's minutes.
    ``weights`` is empty, a local folder laid out like a hub repository, or a hub id with its ``revision`` (a commit).
    """

    backbone: Literal["auto", "efficientnet_b0", "resnet18"] = "auto"
    weights: str = ""
    revision: str = ""
    frozen: bool = False
    width: float = 0.0
    image_size_px: int = 0
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    dropout: float = 0.5
    label_smoothing: float = 0.1
    ema_decay: float = 0.98
    minutes: float = 30.0
    seed: int = 0
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"

    def resolved(self, train_images: int) -> "TrainingConfig":
        """The same with every ``auto`` and 0 replaced. Raises ``ConfigError`` for what cannot work."""
        self._check()
        small = not self.weights and self.backbone != "efficientnet_b0"
        epochs = self.epochs or min(MAX_EPOCHS, max(MIN_EPOCHS, IMAGES_PER_FIT // max(1, train_images)))
        # a short fit takes more, smaller steps: of 240 images 0.73 and 0.65 were right with 16, 0.60 and 0.54 with 32
        batch_size = self.batch_size or (32 if train_images * epochs >= LONG_FIT_IMAGES else 16)
        backbone = self.backbone if self.backbone != "auto" else ("efficientnet_b0" if self.weights else "resnet18")
        return replace(
            self, backbone=backbone, epochs=epochs, width=self.width or (0.5 if small else 1.0),
            image_size_px=self.image_size_px or (112 if small else 224), batch_size=min(batch_size, train_images),
        )

    def _check(self) -> None:
        if self.frozen and not self.weights:
            raise ConfigError("frozen is set but no weights are given: an untrained backbone must be trained")
        if self.revision and not HUB_REVISION.fullmatch(self.revision):
            raise ConfigError(f"revision '{self.revision}' is no commit: pin the hub weights by their 40 hex digits")
        if self.weights and self.width not in (0.0, 1.0):
            raise ConfigError(f"width {self.width:g} does not fit given weights: leave it out")
        if self.batch_size < 0 or self.batch_size == 1 or self.epochs < 0 or self.minutes <= 0 or self.learning_rate <= 0:
            raise ConfigError("batch_size must be 0 (auto) or at least 2, epochs 0 or more, minutes and learning_rate above 0")
        if self.image_size_px and self.image_size_px < 32:
            raise ConfigError(f"image_size_px {self.image_size_px} is under 32: the backbone halves it five times")

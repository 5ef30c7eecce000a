"""Training settings: one frozen record, with what ``auto`` means resolved in one place."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

IMAGES_PER_FIT = 18_000  # the CPU preset reads them in about 90 s on two cores: 480 images 37 times, 60 images 60 times
LONG_FIT_IMAGES = 16_000
MIN_EPOCHS, MAX_EPOCHS = 4, 60
REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
UNTRAINED = ("efficientnet_b0", "resnet18")  # what is built where no weights are given
STRENGTHS = ("flips", "quarter_turns", "affine", "colour", "blur", "cutout")
# these change how long, how often or where a fit runs, never what it learns: a resumed fit may have others
NOT_OF_THE_COURSE = ("minutes", "save_seconds")

Monitor = Literal["val_loss", "val_accuracy", "val_macro_f1", "val_macro_recall"]
Balance = Literal["none", "weights", "sampler"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class ConfigError(ValueError):
    """A training setting that cannot work, with the remedy."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    ``auto`` and 0 take what fits the weights: with ``weights`` given, the architecture that lies there at 224 px; with
    none, ``resnet18`` at half width and 112 px, which learns from scratch on two cores within the demo's minutes.
    ``weights`` is empty, a local folder laid out like a hub repository, or a hub id; ``revision`` pins it: the commit of a
    hub id (40 hex digits), or the digest of a folder's weights (64).

    ``patience`` 0 trains to the end and keeps the last epoch: the validation images choose nothing, and their score stays
    honest. Above 0 it ends the fit once ``monitor`` has not improved by ``min_delta`` in so many epochs, and keeps the best
    epoch's weights: the validation images have then been used for choosing.

    ``batch_size`` counts the images of one step, all devices together. The strengths of augmentation are shares of those
    published here: 0 none, 1 as in ``ml.augmentation``; ``augment`` auto leaves it off where the backbone is frozen.
    """

    backbone: str = "auto"
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
    class_balance: Balance = "weights"
    monitor: Monitor = "val_macro_f1"
    patience: int = 0
    min_delta: float = 0.0
    minutes: float = 30.0
    save_seconds: float = 30.0
    seed: int = 0
    augment: Literal["auto", "on", "off"] = "auto"
    flips: float = 1.0
    quarter_turns: float = 0.0
    affine: float = 1.0
    colour: float = 1.0
    blur: float = 0.0
    cutout: float = 0.0
    precision: Precision = "auto"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"

    def resolved(self, train_images: int) -> "TrainingConfig":
        """The same with every ``auto`` and 0 replaced. Raises ``ConfigError`` for what cannot work."""
        self._check()
        small = not self.weights and self.backbone != "efficientnet_b0"
        epochs = self.epochs or min(MAX_EPOCHS, max(MIN_EPOCHS, IMAGES_PER_FIT // max(1, train_images)))
        # a short fit takes more, smaller steps: of 240 images 0.73 and 0.65 were right with 16, 0.60 and 0.54 with 32
        usual = 32 if train_images * epochs >= LONG_FIT_IMAGES else 16
        batch_size = self.batch_size or usual + -usual % self.devices
        backbone = "resnet18" if self.backbone == "auto" and not self.weights else self.backbone
        return replace(
            self, backbone=backbone, epochs=epochs, width=self.width or (0.5 if small else 1.0),
            image_size_px=self.image_size_px or (112 if small else 224), batch_size=min(batch_size, _even(train_images, self)),
            augment=("off" if self.frozen else "on") if self.augment == "auto" else self.augment,
        )

    def course(self) -> dict[str, Any]:
        """The settings that decide what is learnt, JSON-able."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_OF_THE_COURSE}

    def _check(self) -> None:
        if self.frozen and not self.weights:
            raise ConfigError("frozen is set but no weights are given: an untrained backbone must be trained")
        if self.revision and not REVISION.fullmatch(self.revision):
            raise ConfigError(f"revision '{self.revision}' is no commit: pin hub weights by their 40 hex digits, a folder's by "
                              "the 64 of its weights' digest")
        if not self.weights and self.backbone not in ("auto", *UNTRAINED):
            raise ConfigError(f"backbone '{self.backbone}' is none that can be built untrained ({', '.join(UNTRAINED)}): name "
                              "a folder or hub id as weights")
        if self.weights and self.width not in (0.0, 1.0):
            raise ConfigError(f"width {self.width:g} does not fit given weights: leave it out")
        if self.batch_size < 0 or self.batch_size == 1 or self.epochs < 0 or self.minutes <= 0 or self.learning_rate <= 0:
            raise ConfigError("batch_size must be 0 (auto) or at least 2, epochs 0 or more, minutes and learning_rate above 0")
        if self.image_size_px and self.image_size_px < 32:
            raise ConfigError(f"image_size_px {self.image_size_px} is under 32: the backbone halves it five times")
        self._check_course()

    def _check_course(self) -> None:
        wrong = [name for name in STRENGTHS if not 0 <= getattr(self, name) <= 1]
        if wrong:
            raise ConfigError(f"{wrong[0]} is {getattr(self, wrong[0]):g}: a strength is 0 (off) to 1")
        for name, allowed in (("monitor", Monitor), ("class_balance", Balance), ("precision", Precision)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(f"{name} '{getattr(self, name)}' is none of {', '.join(get_args(allowed))}")
        if self.patience < 0 or self.min_delta < 0 or self.save_seconds < 0:
            raise ConfigError("patience, min_delta and save_seconds must be 0 or more")
        if self.devices < 1 or self.batch_size % self.devices or 0 < self.batch_size < 2 * self.devices:
            raise ConfigError(f"batch_size {self.batch_size} cannot be cut into {self.devices} equal parts of at least 2 "
                              "images: it counts the images of one step on all devices together")


def _even(images: int, config: TrainingConfig) -> int:
    """The largest batch of ``images`` that ``config``'s devices can share evenly."""
    return max(2 * config.devices, images - images % config.devices) if config.devices > 1 else images

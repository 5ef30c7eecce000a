"""The course of a fit: the figures of its epochs, when it ends, which weights are kept.

Here: a Lightning callback and its state. Not here: when the state is saved (``ml.saving``), what is told between epochs
(``ml.progress``).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor

from skin_platform.ml.classifier import LesionClassifier
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.failures import BadData


class Course(lightning.Callback):
    """Collects the figures of each epoch, keeps the weights that are to be kept, ends the fit when it is over.

    Stands before the averaging callback, so that it sees the averaged weights at the end of a validation. Whether the fit
    is over follows from its history alone (and the clock), so that a resumed one decides the same.
    """

    def __init__(self, on_epoch: Callable[[dict[str, float]], None], images: int, config: TrainingConfig) -> None:
        self.history: list[dict[str, float]] = []
        self.kept_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.ended_by = "epochs"
        self._on_epoch, self._images, self._config = on_epoch, images, config
        self._seconds, self._epoch_seconds, self._since = 0.0, 0.0, time.monotonic()
        self._validation: dict[str, float] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock, which a resumed fit carries on."""
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A new epoch."""
        self._count()
        self._epoch_seconds = 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Tensor | Mapping[str, Any] | None,
        batch: Any, batch_idx: int,
    ) -> None:
        """A loss that is no number is told at once, not after days."""
        if isinstance(outputs, Mapping) and not torch.isfinite(outputs["loss"]):
            raise BadData(f"the loss is {float(outputs['loss'])} in epoch {trainer.current_epoch + 1}, step "
                          f"{trainer.global_step}: take a lower learning_rate, or precision 32-true")

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The validation's figures, and the weights where they are the best so far."""
        module = _ours(pl_module)
        self._validation = {f"val_{name}": value for name, value in module.val_scores.compute().items()}
        module.val_scores.reset()
        config = self._config
        if config.patience and self._improved([*self.history, self._validation])[-1:] == [len(self.history)]:
            self.kept_epoch = trainer.current_epoch + 1
            self.best = {name: value.detach().cpu().clone() for name, value in module.net.state_dict().items()}

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """One row of history, and the decision whether to go on."""
        module, config = _ours(pl_module), self._config
        self._count()
        figures = {f"train_{name}": value for name, value in module.train_scores.compute().items()} | self._validation
        module.train_scores.reset()
        row = {"epoch": trainer.current_epoch + 1, "epochs": config.epochs, **figures, "seconds": self._epoch_seconds,
               "images_per_second": self._images / max(1e-9, self._epoch_seconds)}
        self.history.append(row)
        if not config.patience:
            self.kept_epoch = int(row["epoch"])
        if trainer.is_global_zero:
            self._on_epoch(row)
        stale = bool(config.patience) and len(self.history) - 1 - (self._improved(self.history) or [0])[-1] >= config.patience
        late = self._seconds >= 60 * config.minutes
        late, stale = trainer.strategy.broadcast((late, stale))  # one clock decides for all devices
        if row["epoch"] < config.epochs and (late or stale):
            self.ended_by = "patience" if stale else "minutes"
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt of the fit so far: plain values and tensors."""
        self._count()
        return {"history": [dict(row) for row in self.history], "kept_epoch": self.kept_epoch, "best": self.best,
                "seconds": self._seconds, "epoch_seconds": self._epoch_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse."""
        self.history, self.kept_epoch, self.best = state_dict["history"], state_dict["kept_epoch"], state_dict["best"]
        self._seconds, self._epoch_seconds = state_dict["seconds"], state_dict["epoch_seconds"]

    @property
    def seconds(self) -> float:
        """Seconds of training, those before an interruption included."""
        self._count()
        return self._seconds

    def _improved(self, history: Sequence[Mapping[str, float]]) -> list[int]:
        config = self._config
        return improvements([row[config.monitor] for row in history], config.monitor, config.min_delta)

    def _count(self) -> None:
        now = time.monotonic()
        passed, self._since = now - self._since, now
        self._seconds += passed
        self._epoch_seconds += passed


def improvements(figures: Sequence[float], monitor: str, min_delta: float) -> list[int]:
    """The positions at which the monitored figure was better than its best before by more than ``min_delta``."""
    sign, best, found = (-1.0 if monitor.endswith("loss") else 1.0), -float("inf"), []
    for position, figure in enumerate(figures):
        if sign * figure > best + min_delta:
            best = sign * figure
            found.append(position)
    return found


def _ours(module: lightning.LightningModule) -> LesionClassifier:
    assert isinstance(module, LesionClassifier)
    return module

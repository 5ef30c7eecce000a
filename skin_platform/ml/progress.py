"""Progress: what a fit tells while it runs.

Here: what is told, to whom, how often. Not here: what a run does with it (``defs.checkpoints.progress``).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import lightning
from torch import Tensor

TELL_SECONDS = 5.0  # between two tellings


@dataclass(frozen=True)
class Progress:
    """Where a fit stands: epoch and step of how many (from 1), images a second, seconds to go at that rate, the last loss."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float
    eta_seconds: float
    loss: float

    def as_dict(self) -> dict[str, float]:
        """JSON-able form."""
        return asdict(self)


def _nobody(told: Any) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class Hooks:
    """Who is told: of each epoch's figures, of progress every few seconds, and of what a person should know."""

    on_epoch: Callable[[dict[str, float]], None] = _nobody
    on_progress: Callable[[Progress], None] = _nobody
    on_note: Callable[[str], None] = _nobody


class ProgressTeller(lightning.Callback):
    """Tells the progress every ``TELL_SECONDS``, of the rate since the last telling."""

    def __init__(self, tell: Callable[[Progress], None], steps: int, epochs: int, batch_size: int) -> None:
        self._tell, self._steps, self._epochs, self._batch_size = tell, steps, epochs, batch_size
        self._since, self._done = 0.0, 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._since, self._done = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Tensor | Mapping[str, Any] | None,
        batch: Any, batch_idx: int,
    ) -> None:
        """Tell, where it is time."""
        seconds = time.monotonic() - self._since
        if not trainer.is_global_zero or seconds < TELL_SECONDS or not isinstance(outputs, Mapping):
            return
        step = trainer.global_step
        rate = (step - self._done) / seconds
        self._since, self._done = time.monotonic(), step
        self._tell(Progress(trainer.current_epoch + 1, self._epochs, step, self._steps, rate * self._batch_size,
                            (self._steps - step) / rate if rate else 0.0, float(outputs["loss"])))

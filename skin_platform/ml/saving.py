"""Saving: when the state of a fit is written, and what a signal does to it.

Here: a Lightning callback. Not here: the file (``ml.resume``), what the other callbacks put into it (``ml.course``).
"""

import signal
import threading
import time
from types import FrameType
from typing import Any

import lightning

from skin_platform.ml.failures import Cancelled
from skin_platform.ml.resume import ResumeFile

SAVING_SHARE = 0.03  # of the time, at most, goes into saving


class Saving(lightning.Callback):
    """Saves the state every so often, always between two steps, and heeds SIGINT and SIGTERM there.

    Where a batch is about to begin everything before it is complete: Lightning's own restart in the midst of a step, of a
    validation or of an epoch's end repeats or drops hooks.
    """

    def __init__(self, file: ResumeFile | None, seconds: float) -> None:
        self._file, self._seconds = file, seconds
        self._due, self._signal = 0.0, 0
        self._is_saved = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take over the signals; Lightning gives them back to whoever had them when it is through."""
        self._is_saved = trainer.global_step > 0
        self._due = time.monotonic() + self._seconds  # there is nothing to lose yet
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            for number in self._former:
                signal.signal(number, self._heed)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, or where the fit was cancelled."""
        is_due = self._file is not None and time.monotonic() >= self._due
        is_due, number = trainer.strategy.broadcast((is_due, self._signal))  # all devices save together
        if self._file is not None and (is_due or number):
            started = time.monotonic()
            self._save(trainer, batch_idx)
            took = time.monotonic() - started
            self._due = time.monotonic() + max(self._seconds, took / SAVING_SHARE if self._seconds else 0)
        if number:
            raise Cancelled(number, trainer.current_epoch + 1, trainer.global_step, is_resumable=self._is_saved)

    def on_validation_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A long validation is broken off; the state is that of the last saving."""
        if trainer.world_size == 1 and self._signal:
            raise Cancelled(self._signal, trainer.current_epoch + 1, trainer.global_step, is_resumable=self._is_saved)

    def _save(self, trainer: lightning.Trainer, batches: int) -> None:
        assert self._file is not None
        self._batches = batches
        if trainer.is_global_zero:
            self._file.save(trainer.save_checkpoint)
        else:
            trainer.save_checkpoint(self._file.path)  # takes part; only the first process writes
        self._is_saved = True

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Whose state this is, and how many batches of the epoch are through."""
        assert self._file is not None
        checkpoint |= {"key": self._file.key, "batches": self._batches}

    def _heed(self, number: int, frame: FrameType | None) -> None:
        """The first signal waits for the step; another one goes to whoever had it before, at once."""
        if self._signal and callable(former := self._former[signal.Signals(number)]):
            former(number, frame)
        self._signal = number

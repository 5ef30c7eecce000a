"""Failures of a training that no retry clears, by name, each with its remedy.

Here: the exceptions, and the translation of torch's. Not here: what a run does about them (``defs.checkpoints``).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU_OUT_OF_MEMORY = "can't allocate memory"  # of DefaultCPUAllocator, which raises a plain RuntimeError


class TrainingError(RuntimeError):
    """A training cannot go on, and would not the second time; the message says why and what would help."""


class OutOfMemory(TrainingError):  # noqa: N818 - named after what a person says
    """The batch, the images or the network do not fit in memory."""


class BadData(TrainingError):  # noqa: N818
    """An image that cannot be decoded, or a loss that is no number."""


class NoRoom(TrainingError):  # noqa: N818
    """The disk is too full for what a training keeps there."""


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """A person stopped the training by ``signal_number``; what it had learnt is kept where ``is_resumable``."""

    def __init__(self, signal_number: int, epoch: int, step: int, *, is_resumable: bool) -> None:
        told = "the same training started again goes on from there" if is_resumable else "nothing of it is kept"
        super().__init__(f"training was cancelled in epoch {epoch} after step {step}: {told}")
        self.signal_number, self.epoch, self.step, self.is_resumable = signal_number, epoch, step, is_resumable


@contextmanager
def named_failures(batch_size: int, image_size_px: int) -> Iterator[None]:
    """Turns what torch raises where memory runs out into ``OutOfMemory``."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, TrainingError) or not _is_out_of_memory(error):
            raise
        raise OutOfMemory(f"memory ran out with batch_size {batch_size} at {image_size_px} px: set a smaller batch_size, or a "
                          f"smaller image_size_px ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
                          ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or CPU_OUT_OF_MEMORY in str(error)

"""Workers: which processes that claimed something are alive.

Here: a file for each, locked for as long as its process lives, so that neither process ids nor clocks count; it holds across
containers that share the folder. Not here: what they claim (``storage.jobs``).
"""

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path


class Worker:
    """This process at work on what stands in the file ``beside``; ``name`` is what others ask ``is_alive`` for."""

    def __init__(self, beside: Path) -> None:
        self.name = uuid.uuid4().hex
        self._place = _place(beside, self.name)
        self._handle = os.open(self._place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def leave(self) -> None:
        """Not to be at work any more."""
        self._place.unlink(missing_ok=True)
        os.close(self._handle)


def is_alive(beside: Path, name: str) -> bool:
    """Whether the process of the worker ``name`` holds its lock."""
    try:
        handle = os.open(_place(beside, name), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def bury(beside: Path, name: str) -> None:
    """Forget a worker that is not alive."""
    with suppress(FileNotFoundError):
        _place(beside, name).unlink()


def _place(beside: Path, name: str) -> Path:
    return beside.with_name(f"{beside.name}.worker-{name}")

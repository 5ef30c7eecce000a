"""Resuming: the file from which an interrupted fit goes on, so that it ends as if it had not been interrupted.

Here: its place, when it is believed, when it goes. Not here: what Lightning writes into it, when (``ml.saving``).

    <root>/<key>/resume.ckpt             the newest state, replaced as a whole
    <root>/<key>/resume.ckpt.set-aside   one that could not be used

The key is a digest over everything that decides what is learnt. Only plain values and tensors are read (``weights_only``).
"""

import fcntl
import hashlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from skin_platform.ml.failures import TrainingError

FORMAT = 1  # changes whenever the same inputs would be learnt from differently
ABANDONED_SECONDS = 30 * 24 * 3600.0  # a state that nobody came back for


@dataclass(frozen=True)
class Resumable:
    """Where the states of unfinished fits are kept, and the digest of what this one learns from."""

    root: Path
    inputs: str


@dataclass(frozen=True)
class ResumeFile:
    """The state of the fit with this key; picklable."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.folder / "resume.ckpt"

    def found(self, tell: Callable[[str], None]) -> Mapping[str, Any] | None:
        """The state to go on from, or None; one that is damaged or another fit's is set aside, and told."""
        if not self.path.exists():
            self._tell_of_others(tell)
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            fault = "" if isinstance(state, dict) and state.get("key") == self.key else "is not of this training"
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            fault = f"cannot be read ({type(error).__name__})"
        if fault:
            aside = self.path.with_name("resume.ckpt.set-aside")
            os.replace(self.path, aside)
            tell(f"the saved state {fault}: it was set aside as {aside}, and training starts from nothing")
            return None
        found: Mapping[str, Any] = state
        return found

    def _tell_of_others(self, tell: Callable[[str], None]) -> None:
        """Say of unfinished fits that this one is none of them: who gave the same command again might think so."""
        others = [path.stat().st_mtime for path in self.folder.parent.glob("*/resume.ckpt")]
        if others:
            when = datetime.fromtimestamp(max(others), UTC)
            tell(f"{len(others)} unfinished training(s) of other settings or another dataset, the newest saved at "
                 f"{when:%Y-%m-%d %H:%M} UTC, cannot be gone on with: this one starts from nothing")

    def save(self, write: Callable[[Path], None]) -> None:
        """Replace the state by what ``write`` puts into the path that it is given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(".resume.partial")
        write(partial)
        os.replace(partial, self.path)

    def remove(self) -> None:
        """The fit is through; a state that was set aside goes too."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def resume_file(resumable: Resumable, course: Mapping[str, Any]) -> Iterator[ResumeFile]:
    """The file of the fit that ``course`` (JSON-able) describes, for this process alone while the block runs.

    Raises ``TrainingError`` where another process is at the same fit.
    """
    described = json.dumps({"format": FORMAT, "inputs": resumable.inputs, **course}, sort_keys=True)
    key = hashlib.sha256(described.encode()).hexdigest()
    resumable.root.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(resumable.root)
    with (resumable.root / f".{key[:32]}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError("another process is at this very training: wait for it, or end it first") from None
        yield ResumeFile(resumable.root / key[:32], key)
        Path(lock.name).unlink(missing_ok=True)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)

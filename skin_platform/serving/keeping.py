"""Keeping: the images that were asked about, where a deployment is set to keep them, so that `skin replay` can ask again.

    served/images/ab/<sha256>     the cleaned bytes: no metadata, upright; readable by the platform's own user alone

Here: writing them, off the request's path. Not here: cleaning (``core.cleaning``), asking again (``replaying``).
"""

import logging
import os
import threading
from collections import deque
from pathlib import Path

logger = logging.getLogger("bentoml.skin_platform")
WAITING_BYTES = 64_000_000  # images that wait for a slow disk; beyond it they are not kept, and the row says so


def kept_path(folder: Path, sha256: str) -> Path:
    """Where the image of this digest lies below ``folder``, if it was kept."""
    return folder / sha256[:2] / sha256


class ImageKeeper:
    """Writes images from a thread of its own, each once."""

    def __init__(self, folder: Path, waiting_bytes: int = WAITING_BYTES) -> None:
        self._folder, self._bound = folder, waiting_bytes
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes, self._is_closed, self._failed = 0, False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def offer(self, sha256: str, data: bytes) -> bool:
        """Whether the image will be kept: not where too much waits, or the last one could not be written."""
        with self._changed:
            if self._is_closed or self._failed or not self.is_alive or self._bytes + len(data) > self._bound:
                self._failed = False  # the next one is tried again
                return False
            self._waiting.append((sha256, data))
            self._bytes += len(data)
            self._changed.notify()
        return True

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                sha256, data = self._waiting.popleft()
            try:
                self._write(kept_path(self._folder, sha256), data)
            except OSError as error:
                self._failed = True
                logger.error("image %s is not kept, though its prediction says so: %s", sha256[:12], error)
            except Exception:  # a fault of ours: the other images must be kept, and so this thread goes on
                self._failed = True
                logger.exception("image %s is not kept, though its prediction says so", sha256[:12])
            with self._changed:
                self._bytes -= len(data)

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        os.replace(partial, path)

"""Following: the running service takes up what is exported, without a restart and without losing a request.

Here: noticing that the export changed, loading it beside what answers, switching, closing the former once nobody uses it.
Not here: the export (``serving.exporting``), what answers (``serving.desk``).
"""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skin_platform.serving.bundle import BundleError, bundle_digest, provenance_of, read_bundle
from skin_platform.serving.desk import Current, Desk, Following, Refused, taken_up
from skin_platform.serving.exporting import read_promotion
from skin_platform.serving.metrics import observe_swap

logger = logging.getLogger("bentoml.skin_platform")
LOOK_SECONDS = 1.0  # a look is one readlink and a stat of each file
Seen = tuple[tuple[str, int, int], ...]


class Follower:
    """Keeps ``desk.current`` in step with an export, from a thread of its own; ``desk.followed`` tells what it found.

    A bundle that cannot be read, or answers its golden images otherwise than recorded, stays out: what answers goes on, and
    the bundle is tried again when it, or what the export names, has changed.
    """

    def __init__(self, desk: Desk, look_seconds: float = LOOK_SECONDS) -> None:
        self._desk, self._look_seconds, self._export = desk, look_seconds, desk.settings.home.export
        self._seen: Seen = ()
        self._retired: list[Current] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        desk.followed = Following(self._export)

    def start(self) -> None:
        """Go on looking, every ``look_seconds``, until ``close``."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a bundle that is just being loaded is loaded first. What answers goes on: it is the desk's."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for former in self._retired:
            former.close()

    def look(self) -> None:
        """Take up what the export names, where that has changed since the last look; close what nobody uses any more."""
        self._close_unused()
        folder = self._export.resolve()
        seen = seen_of(folder)
        if seen == self._seen:
            return
        if not seen:
            self._seen = seen
            self._refuse(None, f"{self._export} names nothing any more")
            return
        new = self._loaded(folder)
        if new.can_answer:
            self._seen = seen
            self._switch(new)
        elif seen_of(self._export.resolve()) == seen:  # else it was replaced while it was read: the next look is at the new one
            self._seen = seen
            self._refuse(new, str(new.fault))

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            try:
                self.look()
            except Exception:  # whatever a broken bundle makes a runtime raise: the next one must be seen all the same
                logger.exception("the export could not be taken up")

    def _loaded(self, folder: Path) -> Current:
        """What ``folder`` holds; the engine that runs already where it is the same bundle, moved once more."""
        current = self._desk.current
        try:
            if current.can_answer and bundle_digest(folder) == current.digest:
                read_bundle(folder)
                return replace(current, promotion=read_promotion(folder))
        except (BundleError, OSError) as error:
            return Current(None, None, str(error))
        return taken_up(folder, self._desk.settings)

    def _switch(self, new: Current) -> None:
        former = self._desk.replace(new)
        self._desk.followed = Following(self._export, new.promotion)
        if former.batcher is new.batcher:
            return
        if former.batcher is not None:
            self._retired.append(former)
        observe_swap("taken_up")
        logger.info("model %s answers now (before: %s)", new.version, former.version or "none")

    def _refuse(self, new: Current | None, reason: str) -> None:
        """Tell why what is exported stays out; where nothing answers, that is the reason of the refusals, too."""
        current = self._desk.current
        version = new.version or _version_in(self._export) if new else None
        self._desk.followed = Following(self._export, read_promotion(self._export), Refused(version, reason, datetime.now(UTC)))
        if new and not current.can_answer:
            self._desk.replace(new)
        observe_swap("refused")
        logger.error("model %s stays out, %s: %s", version or "(none)",
                     f"{current.version} goes on answering" if current.can_answer else "and none answers", reason)

    def _close_unused(self) -> None:
        for former in [former for former in self._retired if former.users.count == 0]:
            former.close()
            self._retired.remove(former)


def seen_of(folder: Path) -> Seen:
    """Name, size and time of change of each file of an exported bundle: what changes where the bundle does; () for none."""
    try:
        files = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    except OSError:  # pruned while we look
        return ()
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files)


def _version_in(folder: Path) -> str | None:
    try:
        return str(provenance_of(folder)["model_version"])
    except (OSError, ValueError, KeyError):
        return None

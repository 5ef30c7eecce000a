"""Following: the running service takes up what is exported, without a restart and without losing a request.

Here: loading it beside what answers, switching, closing the former once nobody uses it. Not here: noticing that the export
changed (``serving.watching``), the export (``serving.exporting``), what answers (``serving.desk``).
"""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skin_platform.serving.bundle_files import BundleError, bundle_digest, read_bundle
from skin_platform.serving.damage import EXPORT, with_remedy
from skin_platform.serving.desk import Current, Desk, Following, Refused
from skin_platform.serving.exporting import exported_version, read_promotion
from skin_platform.serving.loading import taken_up
from skin_platform.serving.memory import give_back
from skin_platform.serving.metrics import observe_swap
from skin_platform.serving.watching import Watch

logger = logging.getLogger("bentoml.skin_platform")
LOOK_SECONDS = 1.0  # a look is one readlink and a stat of each file


class Follower:
    """Keeps ``desk.current`` in step with an export, from a thread of its own; ``desk.followed`` tells what it found.

    A bundle that cannot be read, or answers its golden images otherwise than recorded, stays out: what answers goes on, and
    the bundle is tried again when it, or what the export names, has changed.
    """

    def __init__(self, desk: Desk, look_seconds: float = LOOK_SECONDS) -> None:
        self._desk, self._look_seconds = desk, look_seconds
        self._watch = Watch(desk.settings.home.export)
        self._retired: list[Current] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        desk.followed = Following(self._watch.export)

    def start(self) -> None:
        """Go on looking, every ``look_seconds``, until ``close``."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

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
        look = self._watch.change()
        if look is None:
            return
        new = self._loaded(look.folder) if look.folder else None
        if new and new.can_answer:
            self._watch.settle(look)
            self._switch(new)
        elif self._watch.is_still(look):  # else it was replaced while it was read: the next look is at the new one
            self._watch.settle(look)
            self._refuse(new)

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            try:
                self.look()
            except Exception:  # of whatever kind: the next promotion must be seen all the same
                logger.exception("the export could not be looked at")

    def _loaded(self, folder: Path) -> Current:
        """What ``folder`` holds; the engine that runs already where it is the same bundle, moved once more."""
        current = self._desk.current
        try:
            if current.can_answer and bundle_digest(folder) == current.digest:
                read_bundle(folder)
                return replace(current, promotion=read_promotion(folder))
        except (BundleError, OSError) as error:
            return with_remedy(Current(None, None, str(error)), folder, EXPORT)
        return with_remedy(taken_up(folder, self._desk.settings), folder, EXPORT)

    def _switch(self, new: Current) -> None:
        former = self._desk.replace(new)
        self._desk.followed = Following(self._watch.export, new.promotion)
        if former.batcher is new.batcher:
            return
        if former.batcher is not None:
            self._retired.append(former)
        observe_swap("taken_up")
        logger.info("model %s answers now (before: %s)", new.version, former.version or "none")

    def _refuse(self, new: Current | None) -> None:
        """Tell why what is exported stays out (None: nothing is); where nothing answers, requests are told so, too."""
        current, export = self._desk.current, self._watch.export
        reason = str(new.fault) if new else f"{export} names nothing any more"
        version = (new.version or exported_version(export)) if new else None
        self._desk.followed = Following(export, read_promotion(export), Refused(version, reason, datetime.now(UTC)))
        if new and not current.can_answer:
            self._desk.replace(new)
        observe_swap("refused")
        logger.error("model %s in %s stays out, %s: %s", version or "(none)", export,
                     f"{current.version} goes on answering" if current.can_answer else "and none answers", reason)

    def _close_unused(self) -> None:
        unused = [former for former in self._retired if former.users.count == 0]
        for former in unused:
            former.close()
            self._retired.remove(former)
        if unused:
            del former, unused  # the last that hold on to them
            give_back()


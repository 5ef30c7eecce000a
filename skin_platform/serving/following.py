"""Following: the running service takes up what is exported, without a restart and without losing a request.

Here: noticing that the export changed, loading it beside what answers, switching, closing the former once nobody uses it.
Not here: the export (``serving.exporting``), what answers (``serving.desk``).
"""

import logging
import threading
from dataclasses import replace

from skin_platform.serving.desk import Current, Desk, Following

logger = logging.getLogger("bentoml.skin_platform")
LOOK_SECONDS = 1.0  # a look is one readlink and a few stats


class Follower:
    """A thread that keeps ``desk.current`` in step with the export; ``desk.followed`` tells what it found."""

    def __init__(self, desk: Desk, look_seconds: float = LOOK_SECONDS) -> None:
        self._desk, self._look_seconds = desk, look_seconds
        self._retired: list[Current] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        desk.followed = desk.followed or Following(desk.settings.home.export)
        self._thread.start()

    def close(self) -> None:
        """Stop looking. What answers goes on; it is the desk's."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            pass

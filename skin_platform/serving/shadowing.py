"""Shadowing: the challenger answers a sample of what the champion has answered, off the request's path.

Here: taking up the challenger's export, its answers, what is dropped. Not here: where its answers go (``storage.spool``), the
export (``serving.exporting``), comparing the two (the online store has both, by prediction).
"""

import logging
import os
import random
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from skin_platform.serving.desk import Current, Refused
from skin_platform.serving.engine import Engine
from skin_platform.serving.exporting import exported_version
from skin_platform.serving.intake import Taken
from skin_platform.serving.loading import loaded
from skin_platform.serving.memory import give_back
from skin_platform.serving.metrics import observe_shadow
from skin_platform.serving.predictions import shadow_row
from skin_platform.serving.watching import Watch
from skin_platform.settings import Settings
from skin_platform.storage.spool_file import SpoolError

if TYPE_CHECKING:
    from skin_platform.storage.spool import Spool

logger = logging.getLogger("bentoml.skin_platform")
WAITING_IMAGES, WAITING_BYTES = 64, 64_000_000  # beyond either an image is dropped
LOOK_SECONDS = 1.0
NICENESS = 10  # the challenger's thread computes when the champion's leaves a core free


@dataclass(frozen=True)
class _Asked:
    prediction_id: str
    taken: Taken
    answered: Current


class Shadow:
    """One thread and one engine of one thread for the challenger. ``offer`` never waits and never raises."""

    def __init__(self, settings: Settings, recorder: "Spool", look_seconds: float = LOOK_SECONDS) -> None:
        self._settings, self._recorder, self._look_seconds = settings, recorder, look_seconds
        self._watch = Watch(settings.home.challenger)
        self._engine: Engine | None = None
        self._refused: Refused | None = None
        self._waiting: deque[_Asked] = deque()
        self._bytes, self._is_closed = 0, False
        self._counts = {"answered": 0, "dropped": 0, "failed": 0}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, prediction_id: str, taken: Taken, answered: Current) -> None:
        """Hand over one image that ``answered`` has answered; a sample of them waits for the challenger."""
        if self._engine is None or random.random() >= self._settings.skin_shadow_rate:
            return
        with self._changed:
            is_taken = len(self._waiting) < WAITING_IMAGES and self._bytes + len(taken.cleaned) <= WAITING_BYTES
            if is_taken:
                self._waiting.append(_Asked(prediction_id, taken, answered))
                self._bytes += len(taken.cleaned)
                self._changed.notify()
        if not is_taken:
            self._count("dropped")

    def told(self) -> dict[str, Any]:
        """The challenger's version (None: there is none), the sampled share, what became of the samples, why one stays out."""
        engine, refused = self._engine, self._refused
        return {"model_version": engine.bundle.provenance.model_version if engine else None,
                "rate": self._settings.skin_shadow_rate, "waiting": len(self._waiting), **self._counts,
                "refused": refused.told() if refused else None}

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End; what waits is not answered any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere a priority is the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        looked = -self._look_seconds
        while not self._is_closed:
            if time.monotonic() - looked >= self._look_seconds:
                try:
                    self._look()
                except Exception:  # of whatever kind: the next challenger must be seen all the same
                    logger.exception("the challenger's export could not be looked at")
                looked = time.monotonic()
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed, self._look_seconds)
                asked = self._waiting.popleft() if self._waiting and not self._is_closed else None
                self._bytes -= len(asked.taken.cleaned) if asked else 0
            if asked:
                self._answer(asked)

    def _look(self) -> None:
        """Take up the challenger that is exported now; without one, nothing is sampled."""
        look = self._watch.change()
        if look is None:
            return
        found = loaded(look.folder, self._settings, threads=1) if look.folder else None
        if found and found.fault and not self._watch.is_still(look):
            return
        self._watch.settle(look)
        self._engine = found.engine if found and not found.fault else None
        version = exported_version(self._watch.export)
        self._refused = Refused(version, found.fault, datetime.now(UTC)) if found and found.fault else None
        give_back()
        if self._refused:
            logger.error("challenger %s does not shadow: %s", version, self._refused.reason)
        else:
            logger.info("challenger in the shadow: %s", version or "none")

    def _answer(self, asked: _Asked) -> None:
        engine = self._engine
        if engine is None or engine.bundle.provenance.tag == _tag(asked.answered):
            return  # withdrawn meanwhile, or promoted: it would be compared with itself
        started = time.perf_counter()
        try:
            row = _row(asked, engine, started)
            self._recorder.add("shadow", row)
        except SpoolError as error:
            logger.warning("an answer of the challenger is lost: %s", error)
            self._count("failed")
        except Exception:  # whatever the runtime raises: the champion's answers must go on, and so must this thread
            logger.exception("the challenger failed on an image")
            self._count("failed")
        else:
            self._count("answered")

    def _count(self, outcome: str) -> None:
        with self._changed:
            self._counts[outcome] += 1
        observe_shadow(outcome)


def _row(asked: _Asked, engine: Engine, started: float) -> dict[str, Any]:
    """The challenger's answer to the image. Its own preprocessing, where that is another than the champion's."""
    wanted, answered = engine.bundle.preprocessing, asked.answered.engine
    is_alike = answered is not None and answered.bundle.preprocessing == wanted
    pixels = asked.taken.pixels if is_alike else wanted.pixels(asked.taken.cleaned)
    [scored] = engine.score(pixels[np.newaxis])
    return shadow_row(asked.prediction_id, engine.bundle, scored, (time.perf_counter() - started) * 1000)


def _tag(current: Current) -> str:
    return current.engine.bundle.provenance.tag if current.engine else ""

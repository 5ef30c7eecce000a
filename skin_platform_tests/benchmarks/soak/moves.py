"""Moves: the champion moves again and again under load; no request is lost, and none answered by a model that is half there."""

import threading
import time

from skin_platform.serving.engine import Engine
from skin_platform_tests.benchmarks.figures import Row, at_most
from skin_platform_tests.benchmarks.soak.setting import Setting
from skin_platform_tests.serving.moving import Move, wrong_answers
from skin_platform_tests.serving.processes import Process, resident_bytes

ANSWERS = 100  # by each champion


def moves(setting: Setting) -> list[Row]:
    """The rows of this part."""
    versions = [bundle.provenance.model_version for bundle in setting.bundles]
    with setting.service() as service:
        made = [Move(versions[0], 0.0, service.wait_for_version(versions[0]))]
        memory = Memory(service)
        with setting.load(service) as load:
            load.wait_for(ANSWERS)
            memory.mark("before the moves")
            for move in range(2, setting.size.moves + 2):
                exported = time.monotonic()
                version = setting.promote((move + 1) % 2, move)
                made.append(Move(version, exported, service.wait_for_version(version, 120)))
                load.wait_for(len(load.answers) + ANSWERS)
            memory.mark("after the moves")
        time.sleep(2)
        memory.mark("2 s after the load")
        memory.stop()
    engines = {bundle.provenance.model_version: Engine(bundle) for bundle in setting.bundles}
    good = [answer for answer in load.answers if answer.status == 200]
    wrong = wrong_answers(good, made, engines, setting.pictures)
    slowest = max(answer.ended - answer.began for answer in load.answers)
    taken = [move.answering - move.exported for move in made[1:]]
    return [
        Row(f"{setting.size.moves} moves: requests answered", len(good)),
        at_most("moves: requests lost, or not answered 200", len(load.lost) + len(load.answers) - len(good), None, 0),
        at_most("moves: answers by no champion, or not that version's", len(wrong), None, 0),
        Row("moves: seconds from the export to the first answer, mean", sum(taken) / len(taken)),
        Row("moves: slowest answer, s", slowest),
        *(Row(f"moves: memory {when}, MB", size / 1e6) for when, size in memory.marks.items()),
        Row("moves: memory at most, MB", memory.peak / 1e6),
    ]


class Memory:
    """The worker's memory, watched from a thread."""

    def __init__(self, service: Process) -> None:
        self._worker, self.peak, self.marks = service.worker, 0, dict[str, int]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def mark(self, when: str) -> None:
        """Note what it is now."""
        self.marks[when] = resident_bytes(self._worker)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, resident_bytes(self._worker))

"""Ranks: one fit shared among several processes of this machine, one a device.

Here: starting them, hearing them, ending them. Not here: what each does (``ml.learning``).

Lightning's own launchers either run the whole program once more in every process, which a run of Dagster cannot bear, or
pickle trainer and callbacks, which cannot tell this process anything. So the processes are started here, with the variables
by which Lightning knows that it need not start any.
"""

import multiprocessing
import os
import pickle
import queue
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch

from skin_platform.ml.examples import LabelledImages
from skin_platform.ml.failures import BadData, Cancelled, NoRoom, OutOfMemory, TrainingError, named_failures
from skin_platform.ml.learning import Learnt, Lesson, learn, plain
from skin_platform.ml.order import Share
from skin_platform.ml.pixels import StoredPixels
from skin_platform.ml.progress import Hooks

FAILURES = {kind.__name__: kind for kind in (TrainingError, OutOfMemory, BadData, NoRoom)}
PATIENCE_SECONDS = 20.0  # for the others, once one has failed or all are through


def learn_on_ranks(lesson: Lesson, hooks: Hooks) -> Learnt:
    """``learn`` by as many processes as the config names devices; only the first one tells and saves.

    Raises what ``learn`` raises; a process that died without a word is named by its exit code.
    """
    for examples in (lesson.train, lesson.held_back):
        if isinstance(examples, LabelledImages) and isinstance(examples.pixels, StoredPixels):
            examples.pixels.fill()  # the processes cannot fetch images
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    ranks, port = lesson.config.devices, _free_port()
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        packed = Path(folder) / "lesson"
        packed.write_bytes(pickle.dumps(lesson))  # a copy each: passed as an argument, they would share the weights' memory
        processes: list[BaseProcess] = [
            context.Process(target=_rank, args=(folder, Share(rank, ranks), port, told), daemon=True) for rank in range(ranks)]
        with _ended(processes), _Interrupts() as interrupts:
            for process in processes:
                process.start()
            _hear(processes, told, hooks, interrupts)
        return Learnt(**torch.load(Path(folder) / "learnt", weights_only=True))


def _hear(processes: list[BaseProcess], told: Any, hooks: Hooks, interrupts: "_Interrupts") -> None:
    """Pass on what the first process tells until it is done."""
    heard: dict[str, Callable[[Any], None]] = {
        "on_epoch": hooks.on_epoch, "on_progress": hooks.on_progress, "on_note": hooks.on_note}
    while True:
        if interrupts.number and processes[0].is_alive():
            os.kill(processes[0].pid or 0, signal.SIGINT)  # until it is heard: a process that begins does not heed it yet
        try:
            kind, what = told.get(timeout=0.5)
        except queue.Empty:
            dead = [process for process in processes if process.exitcode]
            if dead and told.empty():
                raise TrainingError(f"a training process ended with code {dead[0].exitcode} without a word (killed, perhaps "
                                    "for its memory): take fewer devices or a smaller batch_size") from None
            continue
        if kind == "done":
            return
        if kind == "cancelled":
            number, epoch, step, is_resumable = what
            raise Cancelled(interrupts.number or number, epoch, step, is_resumable=is_resumable)
        if kind == "failed":
            name, message = what
            raise FAILURES.get(name, RuntimeError)(message)
        heard[kind](what)


def _rank(folder: str, share: Share, port: int, told: Any) -> None:
    """The body of one process."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(share.ranks), "NODE_RANK": "0",
                   "LOCAL_RANK": str(share.rank)}
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the fit heeds them, and in all but the first, which decides for all
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // share.ranks))
    lesson: Lesson = pickle.loads((Path(folder) / "lesson").read_bytes())
    is_first = share.rank == 0
    hooks = Hooks(*(_teller(told, kind) for kind in ("on_epoch", "on_progress", "on_note"))) if is_first else Hooks()
    try:
        with named_failures(lesson.config.batch_size, lesson.config.image_size_px):
            learnt = learn(lesson, hooks, share)
    except Cancelled as end:
        if is_first:
            told.put(("cancelled", (end.signal_number, end.epoch, end.step, end.is_resumable)))
    except BaseException as error:
        told.put(("failed", (type(error).__name__, str(error))))
        raise
    else:
        if is_first:
            torch.save(plain(learnt), Path(folder) / "learnt")
            told.put(("done", None))


def _teller(told: Any, kind: str) -> Any:
    return lambda what: told.put((kind, what))


@contextmanager
def _ended(processes: list[BaseProcess]) -> Iterator[None]:
    """Leave no process behind, however the block ends."""
    try:
        yield
    except Exception:
        for process in processes:
            process.join(1.0)  # those that were told to stop are about to
        raise
    else:
        for process in processes:
            process.join(PATIENCE_SECONDS)
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
                process.join()


class _Interrupts:
    """Takes SIGINT and SIGTERM while the block runs, to be passed on: they interrupt nothing here."""

    number = 0

    def __enter__(self) -> "_Interrupts":
        is_main = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
        numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        self._former = {number: signal.signal(number, self._take) for number in numbers}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.number = number


def _end_with_parent() -> None:
    """A process whose parent was killed would train on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

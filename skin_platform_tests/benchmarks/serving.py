"""Serving: a really served bento with everything on, against the limit of the machine and what one writes without us.

    python -m skin_platform_tests.benchmarks.serving [--turns 5] [--seconds 3] [--quick] [--json]

All run at once and are asked in turns, the others halted meanwhile, so that the machine's moods hit all alike; each ratio is
the median of the turns' ratios. The clients are a process on the same cores (``asking``).
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.launch import serve_command, serve_environment
from skin_platform.serving.packing import pack
from skin_platform_tests.benchmarks.contestants import Contestant, Helper
from skin_platform_tests.benchmarks.figures import Row, options, tell
from skin_platform_tests.benchmarks.serving_rows import Turn, rows_of, standing_rows
from skin_platform_tests.deployments import free_port

KEY = "a key of the benchmark"
PEERS = "skin_platform_tests.benchmarks.peers"
OURS, BATCHED, LITSERVE, TORCH = "skin serve", "FastAPI + micro-batching", "LitServe", "FastAPI + PyTorch eager"
CROWD, SOME = 32, 8  # clients
BATCHES = (1, 4, 8, 32)  # tried in the loop without HTTP
PAIRS = 4  # slices of a turn in which one client and the loop without HTTP take turns


class Arena:
    """All contestants, and who asks them."""

    def __init__(self, model: Path, folder: Path, stack: ExitStack) -> None:
        self.model, self.environment = model, {**os.environ, "SERVED_MODEL": str(model)}
        self.contestants = {OURS: self._ours(folder, stack)}
        for name, module in ((BATCHED, "fastapi_batched"), (TORCH, "fastapi_torch"), (LITSERVE, "litserve_minimal")):
            self.contestants[name] = self._started(self._command(module), self.environment, folder / f"{module}.log", stack,
                                                   "/health" if name == LITSERVE else "/docs")
        self.asker = Helper("skin_platform_tests.benchmarks.asking", self.environment)
        self.limit = Helper(f"{PEERS}.in_process", self.environment)
        stack.callback(self.asker.stop)
        stack.callback(self.limit.stop)

    def asked(self, name: str, clients: int, seconds: float) -> tuple[list[float], float]:
        """Seconds of each answer, and processor seconds of the contestant for all of them."""
        contestant = self.contestants[name]
        with contestant.awake():
            self.asker.answer(port=contestant.port, concurrency=min(4, clients), seconds=0.2, key=KEY)  # to wake up
            before = contestant.processor_seconds()
            found = self.asker.answer(port=contestant.port, concurrency=clients, seconds=seconds, key=KEY)
            spent = contestant.processor_seconds() - before
        if found["refused"]:
            raise RuntimeError(f"{name} answered otherwise than 200: {found['refused'][:5]}")
        return found["seconds"], spent

    def best_batch(self, seconds: float) -> int:
        """The batch with which the loop without HTTP answers most, in turns."""
        rates = [{batch: self.limit_rate(batch, seconds) for batch in BATCHES} for _ in range(3)]
        return max(BATCHES, key=lambda batch: statistics.median(rate[batch] for rate in rates))

    def limit_rate(self, batch: int, seconds: float) -> float:
        """Images a second of the loop without HTTP."""
        found = self.limit.answer(batch=batch, seconds=seconds)
        return float(found["images"] / sum(found["seconds"]))

    def _ours(self, folder: Path, stack: ExitStack) -> Contestant:
        home = folder / "home"
        home.mkdir()
        (folder / "packing").mkdir()
        tag, _ = pack(read_bundle(self.model / "bundle"), home / "bentoml", folder / "packing")
        environment = serve_environment(home) | {"API_KEY": KEY, "SKIN_RATE_PER_MINUTE": "10000000"}
        return self._started(lambda port: serve_command(tag, home, "127.0.0.1", port), environment, folder / "ours.log", stack,
                             "/readyz")

    def _command(self, module: str) -> Any:
        if module == "litserve_minimal":
            return lambda port: [sys.executable, "-m", f"{PEERS}.{module}", str(port)]
        return lambda port: [sys.executable, "-m", "uvicorn", f"{PEERS}.{module}:app", "--port", str(port), "--log-level",
                             "warning", "--no-access-log"]

    def _started(self, command: Any, environment: Mapping[str, str], log: Path, stack: ExitStack, ready: str) -> Contestant:
        port = free_port()
        contestant = Contestant(command(port), environment, port, log, ready)
        stack.callback(contestant.stop)
        return contestant


def turn(arena: Arena, batch: int, seconds: float, number: int) -> Turn:
    """Each is asked once; the order changes with the turn's ``number``."""
    found, names = Turn(), list(arena.contestants)
    found.rates["limit"] = arena.limit_rate(batch, seconds)
    first = number % len(names)
    for name in names[first:] + names[:first]:
        taken, spent = arena.asked(name, CROWD, seconds)
        count = max(1, len(taken))  # on a machine that is very busy PyTorch answers none in a turn; then it is given one
        found.rates[name], found.processor_ms[name] = count / seconds, spent / count * 1000
    for _ in range(PAIRS):
        in_process = [1000 * one for one in arena.limit.answer(batch=1, seconds=seconds / PAIRS)["seconds"]]
        alone = [1000 * one for one in arena.asked(OURS, 1, seconds / PAIRS)[0]]
        found.more_ms.append(statistics.median(alone) - statistics.median(in_process))
        found.in_process_ms += in_process
        found.alone_ms += alone
    found.some_ms = [1000 * one for one in arena.asked(OURS, SOME, seconds)[0]]
    return found


def measured(model: Path, folder: Path, turns: int, seconds: float) -> list[Row]:
    """All rows."""
    with ExitStack() as stack:
        arena = Arena(model, folder, stack)
        _say(f"started: {', '.join(f'{name} {one.started_after:.1f} s' for name, one in arena.contestants.items())}")
        served = standing_rows(arena.model, arena.contestants[OURS], arena.contestants[TORCH], KEY)
        batch = arena.best_batch(seconds / 4)
        found = []
        for number in range(turns):
            found.append(turn(arena, batch, seconds, number))
            _say(f"turn {number + 1} of {turns}: {', '.join(f'{n} {rate:.0f}/s' for n, rate in found[-1].rates.items())}")
    return rows_of(found, batch) + served


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = options(str(__doc__).partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contestant in each turn")
    parser.add_argument("--quick", action="store_true", help="one short turn: a smoke test, no figures")
    parser.add_argument("--model", type=Path, help="folder of a model that was written before; else one is made (a minute)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends with us
    turns, seconds = (1, 1.0) if given.quick else (given.turns, given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or Path(folder) / "model"
        if not model.exists():
            model.mkdir(parents=True)
            subprocess.run([sys.executable, "-m", "skin_platform_tests.benchmarks.served_model", str(model)], check=True)
        tell(measured(model, Path(folder), turns, seconds), as_json=given.json)


if __name__ == "__main__":
    main()

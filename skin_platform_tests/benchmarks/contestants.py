"""Contestants: services that run at once, of which only one may use the processor at a time.

Here: their start, their halt while another is asked (LitServe's processes, for one, poll), their processor time and memory; and
helpers that are told a line and answer with one. Not here: what they are asked (``asking``, ``serving``).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from skin_platform_tests.serving.processes import family_of

START_SECONDS = 180.0
TICKS = os.sysconf("SC_CLK_TCK")


class Contestant:
    """A service on a port of its own; ``started_after`` is how many seconds it took to answer ``ready``."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], port: int, log: Path, ready: str) -> None:
        self.port, self._log = port, log
        began = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT,
                                             start_new_session=True)
        while not self._answers(ready):
            is_waiting = self._process.poll() is None and time.monotonic() - began < START_SECONDS
            if not is_waiting:
                self.stop()
                raise RuntimeError(f"{' '.join(command)} does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        self.started_after = time.monotonic() - began
        self.halt()

    def halt(self) -> None:
        """Leave the processor to others."""
        self._signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """May use the processor within the block."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.halt()

    def processor_seconds(self) -> float:
        """Processor time of all its processes up to now."""
        total = 0.0
        for pid in family_of(self._process.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / TICKS
        return total

    def memory_mb(self) -> float:
        """Memory of all its processes, what they share counted once."""
        total = 0
        for pid in family_of(self._process.pid):
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def stop(self) -> None:
        """End all of it."""
        for pid in family_of(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        for pid in family_of(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _answers(self, path: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=5).status_code == 200
        return False


class Helper:
    """``python -m module``, which answers each line of JSON with a line of JSON."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)

    def answer(self, **asked: Any) -> Any:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

"""The service as processes of its own, as `skin serve` starts it: started, killed, looked at from outside.

Here: for tests and ``benchmarks.soak``. Not here: asking it (``loading``).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from skin_platform.serving.launch import serve_command, serve_environment
from skin_platform_tests.deployments import free_port
from skin_platform_tests.serving.loading import HOST


class Process:
    """`bentoml serve` of the installed code on ``home``, which takes up what is exported there."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home, self.port, self._env = home, free_port(), env
        self.log = home / "service.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{HOST}:{self.port}"

    def start(self, *, until: str = "/readyz", seconds: float = 120) -> float:
        """Start it and wait until ``until`` answers 200; the seconds that it took."""
        began = time.monotonic()
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(serve_command(None, self.home, HOST, self.port), stdout=output,
                                           stderr=subprocess.STDOUT, start_new_session=True,
                                           env={**serve_environment(self.home), **self._env})
        while self.get(until) is None:
            is_waiting = self._popen.poll() is None and time.monotonic() - began < seconds
            assert is_waiting, self.log.read_text()[-3000:]
            time.sleep(0.05)
        return time.monotonic() - began

    def kill(self) -> None:
        """``kill -9`` of all of it at once: the supervisor, and the worker that it started in a group of its own."""
        assert self._popen is not None
        for pid in family_of(self._popen.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(30)

    def stop(self) -> None:
        """Ask it to end, and wait; what is left then is killed."""
        if self._popen is None or self._popen.poll() is not None:
            return
        family = family_of(self._popen.pid)
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(30)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(30)

    def get(self, path: str) -> Any:
        """The JSON (else text) at ``path``, None where it does not answer 200."""
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(self.url + path, trust_env=False, timeout=5)
            if answer.status_code == 200:
                return answer.json() if "json" in answer.headers["content-type"] else answer.text or " "
        return None

    def wait_for_version(self, version: str, seconds: float = 60) -> float:
        """Until ``version`` answers; the moment (``time.monotonic``) from which it is known to."""
        deadline = time.monotonic() + seconds
        while (self.get("/model-status") or {}).get("model_version") != version:
            assert time.monotonic() < deadline, f"{version} was not taken up: {self.get('/model-status')}"
            time.sleep(0.02)
        return time.monotonic()

    @property
    def supervisor(self) -> int:
        """The process that was started."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def worker(self) -> int:
        """The process that answers: of all that came of the supervisor, the one that has most memory."""
        return max(family_of(self.supervisor)[1:], key=resident_bytes)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM; 0 where it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def open_handles(pid: int) -> int:
    """Files, sockets and pipes that a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextlib.contextmanager
def serving(home: Path, **env: str) -> Iterator[Process]:
    """A service that runs, and is stopped at the end."""
    process = Process(home, **env)
    try:
        process.start()
        yield process
    finally:
        process.stop()


def family_of(pid: int) -> list[int]:
    """A process and all that came of it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found

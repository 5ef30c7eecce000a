"""Launching: the service as a process of its own, from the bento of a tag, or from the installed code while there is none."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.exporting import exported_version
from skin_platform.settings import env_file_values, load_settings

WITHOUT_BUNDLE = "skin_platform.serving.service:LesionService"
START_SECONDS = 90.0  # a cold start takes two to five; a loaded machine may take ten times that


class LaunchError(RuntimeError):
    """The service does not come up; the message ends with what it printed last."""


def current_tag(export: Path) -> str:
    """The tag of the bento that ``export`` names; raises ``LaunchError`` where nothing was exported yet."""
    version = exported_version(export)
    if version is None:
        raise LaunchError(f"there is no bundle in {export} yet, as nothing has been promoted: run `make demo`, or promote a "
                          "version with `skin models promote`")
    return f"{BENTO_NAME}:{version}"


def serve_command(tag: str | None, home: Path, host: str, port: int) -> list[str]:
    """The command line that serves ``tag``, or with None says that nothing was promoted."""
    served = [tag] if tag else [WITHOUT_BUNDLE, "--working-dir", str(home)]
    return [sys.executable, "-m", "bentoml", "serve", *served, "--host", host, "--port", str(port)]


def check_port_is_free(host: str, port: int) -> None:
    """Raises ``LaunchError`` where somebody listens on ``port`` already."""
    try:
        free_port(host, port, tries=1)
    except LaunchError:
        raise LaunchError(f"port {port} on {host} is in use: stop what listens there, or give another with --port") from None


def serve_environment(home: Path) -> dict[str, str]:
    """The environment of the service: what the settings go by here, its store of bentos, its home, no tracking.

    BentoML serves from a folder of its own, where it would not find the ``.env`` of this one, and so no key in it.
    """
    return {**os.environ, **env_file_values(), "SKIN_HOME": str(home), "BENTOML_HOME": str(home / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True"}


def pinned_environment(home: Path) -> dict[str, str]:
    """The same for a service that answers with the bento it was started from, whoever is the champion.

    Never as a demo, in which nothing is recorded: a walk ends with the trace of its answer.
    """
    recorded = {"SKIN_ENV": "dev"} if load_settings().skin_env == "demo" else {}
    return {**serve_environment(home), **recorded, "SKIN_FOLLOW_CHAMPION": "false"}


def free_port(host: str, first: int, tries: int = 50) -> int:
    """``first``, or the next port that nobody listens on; raises ``LaunchError`` where there is none."""
    with held_port(host, first, tries) as port:
        return port


@contextlib.contextmanager
def held_port(host: str, first: int, tries: int = 50) -> Iterator[int]:
    """``first``, or the next port that nobody listens on, kept from other processes that ask here while the block runs.

    Between finding a port free and listening on it lies a service's start of seconds: two walks at once would both take it.
    """
    for port in range(first, min(first + tries, 65536)):
        with contextlib.ExitStack() as held:
            try:
                name = Path(tempfile.gettempdir()) / f"skin-port-{os.getuid()}-{port}.lock"
                fcntl.flock(held.enter_context(name.open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
            except OSError:  # held, or listened on
                continue
            yield port
            return
    raise LaunchError(f"no free port from {first} to {first + tries - 1} on {host}: set API_PORT")


@contextlib.contextmanager
def running_service(tag: str, home: Path, host: str, port: int) -> Iterator[str]:
    """The base URL of a service that is ready and answers with ``tag`` alone; stopped, with all its processes, at the end."""
    log = home / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(serve_command(tag, home, host, port), env=pinned_environment(home), stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            url = f"http://{host}:{port}"
            _wait_until_ready(process, url, log)
            yield url
        finally:
            _stop(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=5) as http:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LaunchError(f"the service stopped while starting; {log} ends with: {_tail(log)}")
            with contextlib.suppress(httpx.HTTPError):
                if http.get(f"{url}/readyz").status_code == 200:
                    return
            time.sleep(0.1)
    raise LaunchError(f"{url}/readyz was not 200 within {START_SECONDS:g} s; {log} ends with: {_tail(log)}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the service to end (predictions are written then), and after a while make it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)  # SIGINT is ignored by what a shell starts in the background
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-800:].strip()

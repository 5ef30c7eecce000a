"""What all tests may use: two real S3 endpoints over HTTP.

`rclone serve s3` checks signatures and knows no conditions; `moto` knows conditions, checksums of parts and HTTP status to the
letter, and believes every key.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from skin_platform.storage.buckets import S3Access

BIN = Path(sys.executable).parent
START_SECONDS = 30.0


@pytest.fixture(scope="session")
def s3_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    """Where `rclone serve s3` listens over an empty folder, for the whole session; use bucket names of your own."""
    folder = tmp_path_factory.mktemp("s3")
    access = S3Access(f"http://127.0.0.1:{_free_port()}", "test-access-key", "test-secret-key")
    command = [BIN / "rclone", "serve", "s3", "--config", "", "--auth-key", f"{access.access_key},{access.secret_key}",
               "--addr", access.endpoint.removeprefix("http://"), folder]
    with _served(command, access, folder.parent / "rclone.log"):
        yield access


@pytest.fixture(scope="session")
def moto_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    """Where moto's server listens, for the whole session; use bucket names of your own."""
    access = S3Access(f"http://127.0.0.1:{_free_port()}", "test-access-key", "test-secret-key")
    command = [BIN / "moto_server", "-H", "127.0.0.1", "-p", access.endpoint.rpartition(":")[2]]
    with _served(command, access, tmp_path_factory.mktemp("moto") / "moto.log"):
        yield access


@contextmanager
def _served(command: Sequence[str | Path], access: S3Access, log: Path) -> Iterator[None]:
    if not Path(command[0]).is_file():
        pytest.skip(f"{command[0]} is not there: pip install -e '.[dev]'")
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_until_open(int(access.endpoint.rpartition(":")[2]), server)
            yield
        finally:
            server.terminate()
            server.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{server.args} did not open port {port}")

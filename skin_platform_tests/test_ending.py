"""Promises of how a command ends: one line that says why, an exit code, and the same command goes on from there."""

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import time

import pytest

from skin_platform import ending
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.deployments import SKIN, skin, small_delivery, wait_for


@pytest.fixture(scope="module")
def delivery(tmp_path_factory):
    return small_delivery(tmp_path_factory.mktemp("lab") / "delivery", images=16)


@pytest.fixture
def home(tmp_path):
    """A prepared home that takes every label."""
    skin("home", "--home", tmp_path / "home")
    config = tmp_path / "home" / "dataset.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("labels: [irregular, mottled, plain]", "labels: []"))
    return tmp_path / "home"


def finished(home, delivery):
    """The same command once more brings everything into the catalogue."""
    done = skin("ingest", "--home", home, "--source", delivery)
    stores = Stores(load_settings(skin_home=home))
    assert stores.ledger.open_batches() == []
    assert len(stores.catalogue.read()) == 16, done.stdout


def nothing_more_after(limit_bytes):
    """Writes beyond so many bytes of a file fail, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


@pytest.mark.slow
@pytest.mark.parametrize("limit_bytes", [20_000, 400_000])  # the instance's databases; the catalogue's, in the last asset
def test_a_full_disk_is_one_line_and_the_same_command_goes_on_when_there_is_room(home, delivery, limit_bytes):
    done = subprocess.run([SKIN, "ingest", "--home", home, "--source", delivery], capture_output=True, text=True, timeout=120,
                          preexec_fn=nothing_more_after(limit_bytes), check=False)
    assert done.returncode == 1
    assert f"error: no space left under {home}: free some, then give the same command again; nothing is lost" in done.stderr
    assert "Traceback" not in done.stderr
    finished(home, delivery)


@pytest.mark.slow
def test_sigterm_is_an_interrupt_with_its_own_exit_code(home, delivery):
    process = subprocess.Popen([SKIN, "ingest", "--home", home, "--source", delivery], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list((home / "dagster" / "walks").glob("*")), 60, "a run")
    time.sleep(0.3)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "interrupted: nothing is lost; the same command goes on from here" in errors
    assert "Traceback" not in errors
    finished(home, delivery)


@pytest.fixture
def own_handlers():
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def raising(*errors):
    """A command that fails with the last of ``errors``, each of which came of the one before it."""
    def command():
        cause = None
        for error in errors:
            error.__cause__, cause = cause, error
        raise cause

    return command


@pytest.mark.usefixtures("own_handlers")
@pytest.mark.parametrize(("errors", "told"), [
    ([OSError(errno.ENOSPC, "x")], "no space left"), ([OSError(errno.EDQUOT, "x"), RuntimeError("y")], "no space left"),
    ([sqlite3.OperationalError("database or disk is full"), KeyError("z")], "no space left"),
    ([sqlite3.OperationalError("disk I/O error")], "no space left"),
    ([RuntimeError("cannot use bucket: No space left on device (os error 28)")], "no space left"),
    ([OSError(errno.EACCES, "denied \x1b[2J", "file")], "denied \\x1b[2J"), ([ValueError("[red]")], "error: [red]"),
    ([KeyError("model version v1 has no predictions.parquet")], "error: model version v1 has no predictions.parquet")])
def test_errors_that_a_person_can_mend_are_one_line(errors, told, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIN_HOME", str(tmp_path))
    assert ending.run(raising(*errors)) == 1
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("own_handlers")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_at_once(number, code, capsys):
    def command():
        os.kill(os.getpid(), number)
        time.sleep(5)

    assert ending.run(command) == code
    assert "interrupted: nothing is lost" in capsys.readouterr().err


@pytest.mark.usefixtures("own_handlers")
def test_other_errors_keep_their_traceback_and_exit_codes_are_passed_on():
    for key in ("score", "malignant recall", 3):
        with pytest.raises(KeyError):
            ending.run(raising(KeyError(key)))
    assert [ending.run(raising(SystemExit(code))) for code in (0, None, 2, "text")] == [0, 0, 2, 1]

"""Promises of the start: what cannot be recorded is refused in one line that names folder and remedy, without a loop."""

import itertools
import json
import resource
import subprocess
import sys
from contextlib import closing, suppress

import pytest

from skin_platform.serving.launch import serve_command, serve_environment
from skin_platform.serving.opening import opened
from skin_platform.settings import load_settings
from skin_platform.storage.home_folder import HomeError
from skin_platform.storage.online.preflight import check_start, new_database
from skin_platform.storage.online.reaching import OnlineStoreError
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_belonging import ForeignSpoolError
from skin_platform.storage.spool_file import SpoolFullError
from skin_platform_tests.deployments import SKIN, free_port
from skin_platform_tests.storage.recorded import prediction

FULL_BYTES = 20_000  # of a file: as a disk with no more room
CHECK = "import sys, pathlib; from skin_platform.storage.home_folder import *; check_home(pathlib.Path(sys.argv[1]))"
AS_NOBODY = CHECK.replace("; check_home", "; import os; os.geteuid() or os.setuid(65534); check_home")  # root may all


def full_disk() -> None:
    """In the child: no file can grow beyond ``FULL_BYTES``."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, **options)


def test_a_home_that_is_sound_is_made_and_nothing_is_left_in_it(tmp_path):
    check_start(load_settings(skin_home=tmp_path / "new" / "home"))
    assert [path.name for path in (tmp_path / "new" / "home").iterdir()] == ["served"]
    assert load_settings(skin_home=tmp_path / "new" / "home").home.spool.exists()


def test_a_home_that_is_a_file_or_lies_below_one_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(HomeError, match=f"{tmp_path / 'file'} is a file, .* set SKIN_HOME to another"):
            check_start(load_settings(skin_home=home))
    home = tmp_path / "home"
    home.mkdir()
    (home / "served").write_text("x")
    with pytest.raises(HomeError, match=f"{home / 'served'} is a file"):
        check_start(load_settings(skin_home=home))


def test_a_home_that_is_somebody_elses_is_named(tmp_path):
    tmp_path.chmod(0o500)
    done = run(sys.executable, "-c", AS_NOBODY, tmp_path)
    assert f"may not write into {tmp_path} (SKIN_HOME={tmp_path}): give the folder to that user (chown)" in done.stderr


def test_a_full_disk_is_told_with_the_folder(tmp_path):
    done = run(sys.executable, "-c", CHECK, tmp_path, preexec_fn=full_disk)
    assert f"HomeError: no space left in {tmp_path} (SKIN_HOME={tmp_path})" in done.stderr


def test_a_spool_that_is_full_does_not_keep_the_service_from_emptying_it(tmp_path):
    settings = load_settings(skin_home=tmp_path, skin_spool_bytes=1_000_000)
    with closing(Spool(settings.home.spool, settings.skin_spool_bytes)) as spool:
        with suppress(SpoolFullError):
            for number in itertools.count():
                spool.add("prediction", prediction(number))
        with pytest.raises(SpoolFullError):
            spool.try_out()
    check_start(settings)


def test_a_database_in_a_folder_that_is_not_there_is_refused_and_nothing_is_made(tmp_path):
    settings = load_settings(skin_home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'no' / 'such' / 'online.db'}")
    with pytest.raises(OnlineStoreError, match=f"there is no folder {tmp_path / 'no' / 'such'}: mend the path in DATABASE_URL"):
        check_start(settings)
    assert not (tmp_path / "no").exists()


def test_a_database_whose_path_depends_on_the_folder_is_refused(tmp_path):
    with pytest.raises(OnlineStoreError, match=r"the SQLite file online\.db, which depends on the folder"):
        check_start(load_settings(skin_home=tmp_path, database_url="sqlite:///online.db"))


def test_a_new_database_is_made_where_the_service_starts_and_said_aloud(tmp_path, caplog):
    named = load_settings(skin_home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'new.db'}")
    assert f"DATABASE_URL names {tmp_path / 'new.db'}, which is not there yet" in str(new_database(named))
    assert new_database(load_settings(skin_home=tmp_path / "home")) is None, "the default is nobody's mistake"
    for times in (1, 1):
        opened(named).close()
        assert caplog.text.count(f"{tmp_path / 'new.db'}, which is not there yet: a new database is made") == times
    assert (tmp_path / "new.db").exists()
    assert new_database(named) is None


def test_a_service_of_another_database_stays_out_until_the_rows_of_the_first_are_there(tmp_path):
    one, other = (load_settings(skin_home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / name}.db")
                  for name in ("one", "other"))
    running = opened(one)
    for start in (check_start, opened):
        with pytest.raises(ForeignSpoolError, match=f"a service that runs keeps its rows .*{tmp_path / 'one'}"):
            start(other)
    running.close()
    with closing(Spool(one.home.spool, one.skin_spool_bytes)) as spool:
        spool.add("prediction", prediction(1))
        with pytest.raises(ForeignSpoolError, match=r"1 row\(s\)"):
            check_start(other)
        opened(one).close()
        assert spool.depth == 0
    check_start(other)
    opened(other).close()


def test_a_demo_asks_for_nothing(tmp_path):
    (tmp_path / "file").write_text("x")
    check_start(load_settings(skin_home=tmp_path / "file", skin_env="demo"))


def test_a_worker_that_cannot_start_any_more_ends_with_one_line_and_no_traceback(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run(sys.executable, "-c", "from skin_platform.serving.service import LesionService; LesionService.inner()",
               env=serve_environment(tmp_path / "file"))
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert f"the service cannot start, and is tried again: the spool {tmp_path / 'file'}" in json.loads(line)["event"]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_bentoml_ends_with_one_line_where_the_disk_is_full_or_the_home_a_file(tmp_path):
    home, bentos = tmp_path / "home", tmp_path / "bentoml"
    home.mkdir()
    (tmp_path / "file").write_text("x")
    for place, said, limit in ((home, f"no space left in {home}", full_disk), (tmp_path / "file", "is a file", None)):
        environment = {**serve_environment(place), "BENTOML_HOME": str(bentos)}
        done = run(*serve_command(None, tmp_path, "127.0.0.1", free_port()), env=environment, preexec_fn=limit)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert said in line
        assert "Traceback" not in done.stdout
    done = run(SKIN, "serve", "--home", tmp_path / "file", "--port", free_port())
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {tmp_path / 'file'} is a file, and has to be a folder" in done.stderr

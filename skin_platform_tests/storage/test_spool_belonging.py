"""Promises of belonging: what waits for one database gets into no other by mistake, and may be moved on purpose."""

import logging
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from skin_platform.storage import spool_file
from skin_platform.storage.jobs import Jobs
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_belonging import ForeignSpoolError, Hold, adopt, belongs_to, database_name
from skin_platform_tests.storage.recorded import prediction

ONE, OTHER = "postgresql://db:5432/one", "postgresql://db:5432/other"
HOLDER = """
import sys
from pathlib import Path
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_belonging import Hold
spool = Spool(Path(sys.argv[1]), 50_000_000)
hold = Hold(spool.file, sys.argv[2])
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spool(tmp_path):
    with closing(Spool(tmp_path / "served" / "spool.db", 50_000_000)) as found:
        yield found


def held(spool: Spool, database: str) -> str | None:
    """To whom the spool belongs after a service of ``database`` has run."""
    with closing(Hold(spool.file, database)):
        return belongs_to(spool.file)


def test_an_empty_spool_follows_the_service_to_another_database_and_says_so(spool, caplog):
    assert belongs_to(spool.file) is None
    assert held(spool, ONE) == ONE
    assert caplog.text == ""
    assert held(spool, OTHER) == OTHER
    assert f"belonged to the database {ONE}, and belongs to {OTHER} from now on" in caplog.text


@pytest.mark.parametrize("what", ["a row", "a row set aside", "a job"])
def test_what_waits_for_one_database_keeps_the_service_of_another_out(spool, what):
    held(spool, ONE)
    if what == "a job":
        Jobs(spool).submit("j", b"image", {})
    else:
        spool.add("prediction", prediction(1))
    if what == "a row set aside":
        spool.put_aside(spool.oldest(1)[0].number, "too long")
    with pytest.raises(ForeignSpoolError) as refused:
        Hold(spool.file, OTHER)
    assert f"belong to the database {ONE}, and DATABASE_URL names {OTHER}" in str(refused.value)
    assert "skin database adopt" in str(refused.value)
    assert (belongs_to(spool.file), held(spool, ONE)) == (ONE, ONE)


def test_what_waits_goes_to_another_database_where_a_person_says_so(spool):
    held(spool, ONE)
    spool.add("prediction", prediction(1))
    assert adopt(spool.file, OTHER) == ONE
    assert (held(spool, OTHER), spool.depth) == (OTHER, 1)
    assert adopt(spool.file, OTHER) == OTHER


def test_rows_from_before_spools_belonged_to_anybody_are_the_first_services(spool):
    spool.add("prediction", prediction(1))
    assert held(spool, ONE) == ONE


def test_two_services_of_one_database_share_the_spool_and_one_of_another_stays_out(spool):
    with closing(Hold(spool.file, ONE)), closing(Hold(spool.file, ONE)):
        for claim in (lambda: Hold(spool.file, OTHER), lambda: adopt(spool.file, OTHER)):
            with pytest.raises(ForeignSpoolError, match=r"a service that runs .* stop that service first"):
                claim()
    assert held(spool, OTHER) == OTHER


def test_a_service_that_was_killed_holds_nothing(spool):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(spool.file.path), ONE], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"holds\n"
        with pytest.raises(ForeignSpoolError, match="a service that runs"):
            Hold(spool.file, OTHER)
    finally:
        holder.kill()
        holder.communicate()
    assert held(spool, OTHER) == OTHER


def test_a_spool_that_is_made_anew_belongs_to_whom_it_did(spool, monkeypatch):
    with closing(Hold(spool.file, ONE)):
        for path in spool.file.path.parent.glob("spool.db*"):
            path.unlink()
        monkeypatch.setattr(spool_file, "LOOK_SECONDS", 0)
        spool.add("prediction", prediction(1))
    with closing(Spool(spool.file.path, 50_000_000)) as other:
        assert belongs_to(other.file) == ONE


@pytest.mark.parametrize(("url", "name"), [
    ("postgresql+psycopg://skin:secret@DB.local/skin", "postgresql://db.local:5432/skin"),
    ("postgresql+psycopg://other:changed@db.local:5432/skin", "postgresql://db.local:5432/skin"),
    ("postgresql+psycopg://skin@127.0.0.1/skin", "postgresql://localhost:5432/skin"),
    ("postgresql+psycopg:///skin", "postgresql://localhost:5432/skin"),
    ("sqlite:////srv/home/online.db", "sqlite:///online.db"),
    ("sqlite:////srv/other/online.db", "sqlite:////srv/other/online.db")])
def test_a_database_is_known_without_user_and_password_and_one_in_the_home_moves_with_it(url, name):
    assert database_name(sa.make_url(url), Path("/srv/home")) == name


@pytest.fixture(autouse=True)
def warnings_only(caplog):
    caplog.set_level(logging.WARNING)

"""Promises of `skin keys` and `skin database`: each says what it did, and what a person can do."""

import json

import pytest
from typer.testing import CliRunner

from skin_platform import cli
from skin_platform.settings import load_settings
from skin_platform.storage.draining import Drain
from skin_platform.storage.keys import KeyRing
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.online.tables import REVISIONS
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_belonging import Hold
from skin_platform_tests.storage.recorded import prediction


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home that is not there yet; commands put it into the environment."""
    for name in ("SKIN_HOME", "DAGSTER_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


def ran(*arguments: str):
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exception is None, done.exception
    return done


def test_a_key_is_made_shown_once_listed_and_revoked(home):
    done = ran("keys", "add", "Klinik Süd", "--scope", "predict", "--scope", "feedback", "--rate", "60")
    secret = done.stdout.strip()
    assert "this is the first key: from now on the service answers nobody without one" in done.stderr
    store = OnlineStore(load_settings().online_url)
    ring = KeyRing(store, "")
    assert ring.find(secret).name == "Klinik Süd"
    ring.close()
    listed = json.loads(ran("keys", "list", "--json").stdout)
    assert [(row["name"], row["scopes"], row["rate_per_minute"]) for row in listed] == [
        ("Klinik Süd", ["predict", "feedback"], 60)]
    assert "secret_sha256" not in listed[0]
    assert secret not in ran("keys", "list").stdout
    assert "is revoked; a running service heeds that within seconds" in ran("keys", "revoke", "Klinik Süd").stdout
    assert "was revoked before" in ran("keys", "revoke", "Klinik Süd").stdout
    second = ran("keys", "add", "other", "--scope", "operate", "--json")
    assert json.loads(second.stdout) | {"secret": ""} == {"name": "other", "secret": "", "scopes": ["operate"],
                                                          "rate_per_minute": None}
    assert "first key" not in second.stderr


@pytest.mark.parametrize(("arguments", "said"), [
    (("keys", "add", "a", "--scope", "all"), "there is no scope all"),
    (("keys", "add", "environment", "--scope", "predict"), "API_KEY"),
    (("keys", "revoke", "nobody"), "there is no key 'nobody'")])
def test_a_mistake_is_told(home, arguments, said):
    error = CliRunner().invoke(cli.app, arguments).exception
    assert said in str(error)


def test_the_state_of_the_database_is_told_and_it_is_upgraded(home):
    assert "is not there yet: the service, or `skin database upgrade`, makes its tables" in ran("database", "status").stdout
    assert not home.exists()
    assert "is at revision 0001, from nothing" in ran("database", "upgrade").stdout
    assert "is at revision 0001 already" in ran("database", "upgrade").stdout
    assert "is at revision 0001, the newest" in ran("database", "status").stdout
    store = OnlineStore(load_settings().online_url)
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {REVISIONS} SET version_num = '0999'")
    assert "is at revision 0999, newer than this version knows (0001)" in ran("database", "status").stdout


def test_a_database_that_cannot_be_asked_is_told_without_its_password(home, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://skin:secret@127.0.0.1:1/skin")
    for arguments in (("database", "status"), ("database", "status", "--json")):
        done = CliRunner().invoke(cli.app, arguments)
        assert done.exit_code == 1, "who asks by a script must see it"
        assert ("cannot be asked" if "--json" not in arguments else '"state": "unknown"') in done.stdout
        assert "secret" not in done.stdout


def test_a_mistyped_database_gets_no_key_and_no_folder(home, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'no such' / 'online.db'}")
    for arguments in (("keys", "add", "a", "--scope", "predict"), ("database", "upgrade")):
        assert f"there is no folder {tmp_path / 'no such'}" in str(CliRunner().invoke(cli.app, arguments).exception)
    done = CliRunner().invoke(cli.app, ("database", "status"))
    assert (done.exit_code, "there is no folder" in done.stdout) == (1, True)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'onlime.db'}")
    error = CliRunner().invoke(cli.app, ("keys", "add", "a", "--scope", "predict")).exception
    assert "onlime.db (DATABASE_URL) is not there: mend DATABASE_URL, or make" in str(error)
    assert list(tmp_path.iterdir()) == []
    ran("database", "upgrade")
    ran("keys", "add", "a", "--scope", "predict")


def test_whose_the_spool_is_is_shown_and_a_person_may_give_it_to_another(home, monkeypatch, tmp_path):
    assert "there is no spool" in ran("database", "adopt").stdout
    settings = load_settings()
    spool = Spool(settings.home.spool, settings.skin_spool_bytes)
    Hold(spool.file, "sqlite:///online.db").close()
    spool.add("prediction", prediction(1))
    assert "belongs to another database" not in ran("database", "status").stdout
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    assert "belongs to another database, sqlite:///online.db, while DATABASE_URL names sqlite:////" in (
        ran("database", "status").stdout)
    assert "no more to sqlite:///online.db; 1 row(s) wait for the next service" in ran("database", "adopt").stdout
    assert "already" in ran("database", "adopt").stdout
    told = json.loads(ran("database", "status", "--json").stdout)["spool"]
    assert told["belongs_to"] == told["database"] == f"sqlite:///{tmp_path / 'other.db'}"
    spool.close()


def test_rows_that_the_database_refused_are_shown_and_tried_again(home):
    settings = load_settings()
    assert "no row was set aside" in ran("database", "retry").stdout
    spool, store = Spool(settings.home.spool, settings.skin_spool_bytes), OnlineStore(settings.online_url)
    spool.add("prediction", prediction(1, of_tomorrow=1))
    Drain(spool, store).close()
    assert "set aside, a prediction: there is no column of_tomorrow" in ran("database", "status").stdout
    [refused] = json.loads(ran("database", "status", "--json").stdout)["spool"]["set_aside"]
    assert refused["row"]["prediction_id"] == "p1"
    assert "1 row(s) wait for the online store again" in ran("database", "retry").stdout
    told = json.loads(ran("database", "status", "--json").stdout)["spool"]
    assert (told["waiting"], told["set_aside"]) == (1, [])
    spool.close()


def test_a_spool_that_was_set_aside_is_shown(home):
    settings = load_settings()
    settings.home.spool.parent.mkdir(parents=True)
    settings.home.spool.write_bytes(b"no database" * 1000)
    told = ran("database", "status").stdout
    assert "set aside, a damaged spool: spool.db.damaged-" in told

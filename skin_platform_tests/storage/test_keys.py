"""Promises of keys: who has one gets in, as long as it is not revoked, whatever the database does."""

import json
import time

import pytest

from skin_platform.storage.keys import ENVIRONMENT, SCOPES, KeyRing, issued
from skin_platform.storage.online.store import OnlineStore

SOON = 0.01


@pytest.fixture
def rings(tmp_path):
    """Makes rings, and closes them at the end."""
    made = []

    def ring(store, env_key="", mirror=tmp_path / "served" / "keys.json", **given) -> KeyRing:
        made.append(KeyRing(store, env_key, mirror, refresh_seconds=SOON, **given))
        return made[-1]

    yield ring
    for one in made:
        one.close()


@pytest.fixture
def away(tmp_path) -> OnlineStore:
    """A database that cannot be reached."""
    return OnlineStore(f"sqlite:///{tmp_path}")


def added(store: OnlineStore, name: str, scopes=("predict",), rate: int | None = None) -> str:
    store.upgrade()
    secret, row = issued(name, scopes, rate)
    store.add_key(row)
    return secret


def until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_a_key_is_found_by_its_secret_and_by_nothing_else(online, rings):
    secret = added(online, "Klinik Süd", ("feedback", "predict"), 60)
    ring = rings(online, env_key="the key of the environment")
    key = ring.find(secret)
    assert (key.name, key.scopes, key.rate_per_minute) == ("Klinik Süd", {"predict", "feedback"}, 60)
    assert ring.find("the key of the environment").name == ENVIRONMENT
    assert ring.find("the key of the environment").scopes == set(SCOPES)
    for wrong in ("", secret[:-1], secret + " ", secret.upper(), online.api_keys()[0]["secret_sha256"], "é\ud800"):
        assert ring.find(wrong) is None
    assert (ring.is_open, ring.fault) == (False, None)


def test_keys_are_added_and_revoked_while_the_service_runs(online, rings):
    ring = rings(online)
    assert ring.is_open
    secret = added(online, "new")
    until(lambda: ring.find(secret))
    assert not ring.is_open
    online.revoke_key("new")
    until(lambda: ring.find(secret) is None)
    assert not ring.is_open, "to revoke the last key must not open the service"


def test_keys_are_known_across_a_restart_while_the_database_is_away(online, rings, away, tmp_path):
    secret, revoked = added(online, "here"), added(online, "gone")
    online.revoke_key("gone")
    rings(online)
    ring = rings(away)
    assert (ring.find(secret).name, ring.find(revoked), ring.is_open, ring.fault) == ("here", None, False, None)
    mirror = tmp_path / "served" / "keys.json"
    assert mirror.stat().st_mode & 0o777 == 0o600
    assert secret not in mirror.read_text()
    assert [path.name for path in mirror.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mirror", ["", "[{]", '[{"name": "x"}]', '{"a": 1}', "[1]", '[{"name": "x", "created_at": 5}]'])
def test_without_database_and_mirror_only_the_key_of_the_environment_opens(rings, away, tmp_path, mirror):
    place = tmp_path / "keys.json"
    place.write_text(mirror)
    ring = rings(away, env_key="mine", mirror=place)
    assert ring.find("mine").name == ENVIRONMENT
    assert ring.fault.startswith("the keys are not known yet: the online store sqlite:///")
    shut = rings(away, mirror=place)
    assert not shut.is_open


def test_a_database_that_lost_its_keys_opens_nothing(tmp_path, rings, caplog):
    store = OnlineStore(f"sqlite:///{tmp_path / 'online.db'}")
    secret = added(store, "here")
    ring = rings(store)
    (tmp_path / "online.db").unlink()
    until(lambda: ring.find(secret) is None)
    assert "has lost its keys" in caplog.text
    assert not ring.is_open
    assert not rings(store).is_open
    assert json.loads((tmp_path / "served" / "keys.json").read_text())


def test_without_any_key_everything_is_open_and_rates_have_a_default(online, rings):
    assert rings(None).is_open
    assert not rings(None, env_key="mine").is_open
    secrets = {rate: added(online, f"k{rate}", rate=rate) for rate in (None, 0, 60)}
    ring = rings(online, env_key="mine", rate_per_minute=100)
    assert {rate: ring.rate_of(ring.find(secret).name) for rate, secret in secrets.items()} == {None: 100, 0: 0, 60: 60}
    assert ring.rate_of(ENVIRONMENT) == 100


def test_a_secret_is_long_random_and_not_in_its_row():
    (one, row), (other, _) = (issued("a", SCOPES) for _ in range(2))
    assert one != other
    assert len(one) > 40
    assert one not in str(row)


@pytest.mark.parametrize(("name", "scopes", "rate", "said"), [
    ("", ["predict"], None, "cannot be named ''"), ("a\nb", ["predict"], None, "cannot be named"),
    (ENVIRONMENT, ["predict"], None, "API_KEY"), ("x" * 65, ["predict"], None, "up to 64"),
    ("a", ["predict", "all"], None, "there is no scope all: there are predict, feedback, operate"),
    ("a", [], None, "needs a scope"), ("a", ["predict"], -1, "rate of 0")])
def test_a_bad_key_is_refused_with_what_would_do(name, scopes, rate, said):
    with pytest.raises(ValueError, match=said):
        issued(name, scopes, rate)

"""Keys at the routes: who may ask for what, and how often."""

import pytest

from skin_platform.storage.keys import issued
from skin_platform.storage.online.store import OnlineStore
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.test_routes import refused, sent
from skin_platform_tests.serving.tiny_bundles import picture

ENVIRONMENT_KEY = "open-sesame-open-sesame"
SCOPES = {"clinic": ["predict"], "ward": ["feedback"], "operator": ["operate"], "gone": ["predict"], "slow": ["predict"],
          "practice": ["predict"], "brief": ["predict"]}


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    """The secrets by name; filled by ``service``."""
    return {}


@pytest.fixture(scope="module")
def service(tmp_path_factory, keys):
    """A service whose database has a key of each name, one of them slow."""
    home = tmp_path_factory.mktemp("access") / "home"
    home.mkdir()
    store = OnlineStore(f"sqlite:///{home / 'online.db'}")
    store.upgrade()
    for name, scopes in SCOPES.items():
        keys[name], row = issued(name, scopes, 3 if name in {"slow", "brief"} else None)
        store.add_key(row)
    store.dispose()
    with in_process(home, champion(), api_key=ENVIRONMENT_KEY) as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("headers", [
    {}, bearer("wrong"), bearer(""), bearer(ENVIRONMENT_KEY + "x"), {"Authorization": ENVIRONMENT_KEY},
    {"Authorization": f"Basic {ENVIRONMENT_KEY}"}, {"Authorization": "Bearer \xe9".encode("latin-1")},
], ids=range(7))
@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/async", "/feedback"])
def test_without_a_known_key_nothing_is_read(service, path, headers):
    answer = service.http.post(path, content=b"x", headers=headers)
    refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_opens_what_its_scopes_name_and_the_refusal_names_what_lacks(service, keys):
    assert sent(service.http, picture(1), headers=bearer(ENVIRONMENT_KEY)).status_code == 200
    assert sent(service.http, picture(1), headers=bearer(keys["clinic"])).status_code == 200
    assert sent(service.http, picture(1), headers={"Authorization": f"bearer {keys['clinic']}"}).status_code == 200
    for path, name, scope in (("/predict", "ward", "predict"), ("/feedback", "clinic", "feedback")):
        answer = service.http.post(path, headers=bearer(keys[name]))
        assert scope in refused(answer, 403, "forbidden")
        assert f'scope="{scope}"' in answer.headers["www-authenticate"]
    lineage = "/lineage/predictions/6f1c3f0a-8a53-4f0c-9a5e-3f1d0f0a7c11"
    refused(service.http.get(lineage, headers=bearer(keys["clinic"])), 403, "forbidden")
    assert service.http.get(lineage, headers=bearer(keys["operator"])).status_code not in {401, 403}


def test_the_key_that_asked_is_recorded_by_name(service, keys):
    prediction = sent(service.http, picture(1), headers=bearer(keys["clinic"])).json()
    wait_for(lambda: service.desk.store.prediction(prediction["prediction_id"]) is not None, 20, "the drain")
    assert service.desk.store.prediction(prediction["prediction_id"])["key_name"] == "clinic"


def test_a_job_is_there_for_the_key_that_submitted_it_and_for_who_operates(service, keys):
    submitted = service.http.post("/predict/async", files={"image": picture(1)}, headers=bearer(keys["clinic"])).json()
    for name, status in (("clinic", 200), ("practice", 404)):
        answer = service.http.get(submitted["status_url"], headers=bearer(keys[name]))
        assert answer.status_code == status
    refused(answer, 404, "unknown_job")
    assert service.http.get(submitted["status_url"], headers=bearer(ENVIRONMENT_KEY)).status_code == 200


def test_what_machines_ask_needs_no_key(service):
    for path in ("/health", "/model-status", "/livez", "/readyz", "/healthz", "/metrics", "/", "/docs", "/openapi.json"):
        assert service.http.get(path).status_code == 200


def test_a_key_asks_as_often_as_its_rate_allows(service, keys):
    for _ in range(2):
        assert sent(service.http, picture(1), headers=bearer(keys["slow"])).status_code == 200
        refused(service.http.get("/predict/async/1", headers=bearer(keys["slow"])), 404, "unknown_job")
    batch = [("images", picture(number)) for number in range(2)]
    answer = service.http.post("/predict/batch", files=batch, headers=bearer(keys["slow"]))
    assert "3 images a minute" in refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 120  # two images fit once a third of the next minute is over
    assert sent(service.http, picture(1), headers=bearer(keys["clinic"])).status_code == 200


def test_a_batch_over_the_whole_rate_is_never_told_to_come_back_and_costs_nothing(service, keys):
    def batch(count: int):
        files = [("images", picture(number)) for number in range(count)]
        return service.http.post("/predict/batch", files=files, headers=bearer(keys["brief"]))

    for _ in range(5):
        answer = batch(4)
        assert "at most 3 at once" in refused(answer, 413, "too_many_images")
        assert "retry-after" not in answer.headers
    assert batch(3).status_code == 200
    refused(batch(1), 429, "rate_limited")


def test_a_key_that_is_revoked_opens_nothing_any_more_without_a_restart(service, keys):
    assert sent(service.http, picture(1), headers=bearer(keys["gone"])).status_code == 200
    service.desk.store.revoke_key("gone")
    wait_for(lambda: sent(service.http, picture(1), headers=bearer(keys["gone"])).status_code == 401, 20, "the refresh")


def test_keys_that_cannot_be_read_open_nothing_and_say_so(tmp_path):
    with in_process(tmp_path / "home", champion(), database_url="postgresql://nobody@127.0.0.1:9/none") as running:
        answer = sent(running.http, picture(1), headers=bearer("any"))
        assert "127.0.0.1" not in refused(answer, 503, "keys_unknown")
        assert int(answer.headers["retry-after"]) >= 1


def test_without_any_key_everybody_may_ask_and_the_service_says_so(tmp_path):
    with in_process(tmp_path / "home", champion()) as running:
        assert sent(running.http, picture(1)).status_code == 200
        assert running.http.get("/health").json()["keys_are_asked"] is False


def test_a_rate_may_hold_for_every_key(tmp_path):
    with in_process(tmp_path / "home", champion(), api_key=ENVIRONMENT_KEY, skin_rate_per_minute=1) as running:
        assert sent(running.http, picture(1), headers=bearer(ENVIRONMENT_KEY)).status_code == 200
        refused(sent(running.http, picture(1), headers=bearer(ENVIRONMENT_KEY)), 429, "rate_limited")
        assert running.http.get("/health").json()["keys_are_asked"] is True

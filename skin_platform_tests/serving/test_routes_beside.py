"""The routes beside the predictions: feedback, images to be fetched later, what the service says of itself."""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import sqlalchemy as sa

from skin_platform.serving import feedback, predicting
from skin_platform.serving.answers import Job, Kept, Submitted
from skin_platform.serving.desk import nobody
from skin_platform.serving.intake import take
from skin_platform.serving.status_answers import Alive, Health, ModelStatus, Ready
from skin_platform.storage import spool
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool_file import SpoolFullError
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.test_routes import refused, sent
from skin_platform_tests.serving.tiny_bundles import LABELS, picture, spoilt, tiny_bundle

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("beside") / "home", champion()) as running:
        yield running


@pytest.fixture
def http(service):
    return service.http


@pytest.fixture(scope="module")
def prediction_id(service) -> str:
    return str(sent(service.http, picture(1)).json()["prediction_id"])


def said(prediction_id: str, **other: object) -> dict[str, object]:
    return {"prediction_id": prediction_id, "correct_label": LABELS[0], "given_by": "Ärztin Muster", **other}


def test_the_same_feedback_is_kept_once(http, service, prediction_id):
    first, again = (http.post("/feedback", json=said(prediction_id, note="x")) for _ in range(2))
    other = http.post("/feedback", json=said(prediction_id, given_by="another"))
    assert first.status_code == 200
    assert Kept.model_validate(first.json()).feedback_id == again.json()["feedback_id"] != other.json()["feedback_id"]
    wait_for(lambda: service.desk.recorder.depth == 0, 20, "the drain")
    kept = service.desk.store.feedback(prediction_id)
    assert sorted(row["given_by"] for row in kept) == ["another", "Ärztin Muster"]


def test_feedback_is_on_a_prediction_and_with_a_label_that_there_are(http, prediction_id):
    unknown = http.post("/feedback", json=said(str(uuid.uuid4())))
    refused(unknown, 404, "unknown_prediction")
    message = refused(http.post("/feedback", json=said(prediction_id, correct_label="Wüste")), 422, "unknown_label")
    assert all(label in message for label in LABELS)


@pytest.mark.parametrize(("body", "word"), [
    (b"", "JSON"), (b"[]", "object"), (b"{", "JSON"), (b"\xff", "JSON"), (b"[" * 50_000, "JSON"), (b"{}", "prediction_id"),
    (b'{"a": 1e999}', "prediction_id"),
], ids=range(7))
def test_feedback_that_is_not_as_described_is_refused_by_name(http, body, word):
    assert word in refused(http.post("/feedback", content=body, headers=JSON), 422, "invalid_request")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_feedback_that_a_foreign_page_could_send_is_refused(http, prediction_id, kind):
    answer = http.post("/feedback", content=json.dumps(said(prediction_id)), headers={"content-type": kind} if kind else {})
    assert "application/json" in refused(answer, 415, "unsupported_media_type")
    as_json = {"content-type": "Application/JSON; charset=utf-8"}
    assert http.post("/feedback", content=json.dumps(said(prediction_id)), headers=as_json).status_code == 200


@pytest.mark.parametrize("wrong", [
    {"prediction_id": "1"}, {"correct_label": ""}, {"given_by": 3}, {"given_by": "x" * 201}, {"note": "a\0b"},
    {"note": "\ud800"}, {"patient": "Meier"}, {"given_by": "  "},
], ids=str)
def test_a_field_of_feedback_that_is_not_as_described_is_named(http, prediction_id, wrong):
    body = json.dumps(said(prediction_id) | wrong)
    message = refused(http.post("/feedback", content=body, headers=JSON), 422, "invalid_request")
    assert next(iter(wrong)) in message
    assert "Meier" not in message


def test_feedback_is_taken_while_the_database_is_away(service, prediction_id, monkeypatch):
    monkeypatch.setattr(service.desk, "store", OnlineStore("postgresql+psycopg://nobody@127.0.0.1:9/none"))
    assert service.http.post("/feedback", json=said(prediction_id, given_by="in the dark")).status_code == 200
    refused(service.http.post("/feedback", json=said(prediction_id, correct_label="Wüste")), 422, "unknown_label")


def test_feedback_does_not_wait_for_a_slow_database(service, prediction_id, monkeypatch):
    monkeypatch.setattr(feedback, "LOOK_SECONDS", 0.02)
    released = threading.Event()

    class Slow(OnlineStore):
        def prediction(self, prediction_id: str) -> None:
            released.wait(20)

    monkeypatch.setattr(service.desk, "store", Slow("sqlite://"))
    try:
        assert service.http.post("/feedback", json=said(prediction_id, given_by="in a hurry")).status_code == 200
    finally:
        released.set()


def test_an_image_may_be_fetched_later(http, service):
    submitted = http.post("/predict/async", params={"top_k": 1}, files={"image": picture(4)})
    job = Submitted.model_validate(submitted.json())
    assert submitted.status_code == 202
    assert submitted.headers["location"] == job.status_url
    wait_for(lambda: http.get(job.status_url).json()["status"] == "done", 20, "the job")
    done = Job.model_validate(http.get(job.status_url).json())
    assert done.result.prediction_id == job.job_id
    assert done.result.top_k == [type(done.result.top_k[0])(**sent(http, picture(4)).json()["top_k"][0])]
    wait_for(lambda: service.desk.store.prediction(job.job_id) is not None, 20, "the row")
    assert service.desk.store.prediction(job.job_id)["mode"] == "async"


def test_a_bad_image_is_refused_when_it_is_submitted(http):
    refused(http.post("/predict/async", files={"image": b"text"}), 415, "not_an_image")
    for unknown in (uuid.uuid4(), "1", "%00"):
        refused(http.get(f"/predict/async/{unknown}"), 404, "unknown_job")


def test_a_submitted_image_does_not_wait_behind_a_crowd_that_is_decoded(http, monkeypatch):
    released = threading.Event()

    def slow(*given: object) -> object:
        released.wait(20)
        return take(*given)

    monkeypatch.setattr(predicting, "take", slow)
    monkeypatch.setattr(predicting, "ANSWER_SECONDS", 0.2)
    with ThreadPoolExecutor(predicting.DECODING_MAX) as crowd:
        waiting = [crowd.submit(http.post, "/predict/async", files={"image": picture(1)})
                   for _ in range(predicting.DECODING_MAX)]
        answers = [future.result() for future in waiting]
        late = http.post("/predict/async", files={"image": picture(1)})
        released.set()
    assert all("decoded within" in refused(answer, 503, "overloaded") for answer in answers)
    assert late.status_code == 503
    wait_for(lambda: http.post("/predict/async", files={"image": picture(1)}).status_code == 202, 20, "the decoders")


def test_an_image_that_would_wait_too_long_to_be_decoded_is_sent_away_at_once(http, monkeypatch):
    monkeypatch.setattr(predicting, "DECODING", threading.BoundedSemaphore(1))
    with predicting.DECODING:
        answer = http.post("/predict/async", files={"image": picture(1)})
    assert "wait to be decoded" in refused(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert http.post("/predict/async", files={"image": picture(1)}).status_code == 202


def test_the_service_says_which_model_answers(http, service):
    status = ModelStatus.model_validate(http.get("/model-status").json())
    assert status.model_version == service.desk.current.version
    assert status.labels == list(LABELS)
    assert (status.out_of_distribution, status.no_out_of_distribution) == (
        None, "its evaluation tells of no detector")
    assert status.metrics.accuracy == 0.75
    assert status.promotion.kind == "promoted"
    assert status.promotion.by == "Ärztin"
    assert status.ready
    assert status.refused is None
    assert Health.model_validate(http.get("/health").json()).status == "ok"
    assert Ready.model_validate(http.get("/readyz").json()).model_version == status.model_version
    for path in ("/livez", "/healthz"):
        Alive.model_validate(http.get(path).json())
    assert "skin_requests_total" in http.get("/metrics").text


def test_the_description_loads_nothing_from_elsewhere(http):
    page = http.get("/docs")
    assert "://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    script = http.get("/docs/assets/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert "cache-control" not in script.headers
    assert http.get("/docs/assets/swagger-ui.css").status_code == 200


def test_no_answer_is_kept_on_its_way_or_taken_for_something_else(http):
    for answer in (sent(http, picture(1)), sent(http, b"text"), http.get("/nowhere"), http.get("/metrics"), http.get("/docs")):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert http.get("/").headers.get_list("cache-control") == ["no-cache"]


def test_what_may_not_answer_says_why_and_lives_on(tmp_path):
    with in_process(tmp_path / "home", spoilt(tiny_bundle(2)), skin_follow_champion=True) as running:
        http = running.http
        for answer in (http.get("/readyz"), sent(http, picture(1))):
            assert "golden image" in refused(answer, 503, "not_ready")
        assert http.get("/livez").status_code == 200
        assert Health.model_validate(http.get("/health").json()).status == "not ready"
        ModelStatus.model_validate(http.get("/model-status").json())
        running.desk.replace(nobody(running.settings))
        answer = sent(http, picture(1))
        refused(answer, 503, "no_champion")
        assert int(answer.headers["retry-after"]) >= 1


def test_nothing_is_answered_that_cannot_be_recorded(tmp_path, monkeypatch):
    away = "postgresql+psycopg://nobody@127.0.0.1:9/none"
    with in_process(tmp_path / "home", champion(), skin_spool_bytes=1_000_000, database_url=away) as running:
        running.desk.keys = None
        with suppress(SpoolFullError):
            for number in range(1000):
                running.desk.recorder.add("feedback", {"feedback_id": str(number), "note": "x" * 1000})
        for answer in (sent(running.http, picture(1)), running.http.get("/readyz"),
                       running.http.post("/predict/async", files={"image": picture(1)})):
            assert str(tmp_path) not in refused(answer, 503, "spool_full")
            assert int(answer.headers["retry-after"]) >= 1
        health = Health.model_validate(running.http.get("/health").json())
        assert (health.status, "recorded" in health.reason) == ("not ready", True)
        monkeypatch.setattr(spool, "TRY_SECONDS", 0)
        refused(running.http.get("/readyz"), 503, "spool_full")
        running.desk.recorder.remove([item.number for item in running.desk.recorder.oldest(100)])
        assert running.http.get("/readyz").status_code == 200
        assert running.http.get("/health").json()["status"] == "ok"
        assert all(item.kind == "feedback" for item in running.desk.recorder.oldest(1000))


def test_too_many_at_once_are_asked_to_come_again(tmp_path):
    with in_process(tmp_path / "home", champion()) as running:
        running.desk.current.batcher.close()
        answer = sent(running.http, picture(1))
        refused(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1


def test_a_demo_records_nothing_and_says_so(tmp_path):
    with in_process(tmp_path / "home", champion(), skin_env="demo") as running:
        prediction = sent(running.http, picture(1)).json()
        assert prediction["label"] in LABELS
        refused(running.http.post("/feedback", json=said(prediction["prediction_id"])), 501, "not_in_demo")
        refused(running.http.post("/predict/async", files={"image": picture(1)}), 501, "not_in_demo")
        refused(running.http.get(f"/predict/async/{prediction['prediction_id']}"), 501, "not_in_demo")
        assert sa.inspect(sa.create_engine(running.settings.online_url)).get_table_names() == []

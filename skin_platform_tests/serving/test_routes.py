"""The routes of predictions: what they answer, what they refuse and how."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from PIL import Image

from skin_platform.serving import asked, bodies
from skin_platform.serving.answers import Error, Prediction, Predictions
from skin_platform.serving.bodies import FORM_BYTES
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import LABELS, picture

MAX_BYTES = 200_000


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("routes") / "home", champion(), skin_max_image_bytes=MAX_BYTES) as running:
        yield running


@pytest.fixture
def http(service):
    return service.http


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refused(response, status: int, code: str) -> str:
    """The message of an error of the one shape."""
    error = Error.model_validate(response.json())
    assert (response.status_code, error.code) == (status, code), error
    assert error.request_id == response.headers["x-request-id"]
    assert error.message
    return error.message


def sent(http, data: bytes, **options):
    return http.post("/predict", files={"image": ("any name", data)}, **options)


def test_an_image_gets_label_probabilities_set_and_origin(http, service):
    response = sent(http, picture(1))
    answer = Prediction.model_validate(response.json())
    provenance = service.desk.current.engine.bundle.provenance
    assert response.status_code == 200
    assert answer.top_k[0].label == answer.label
    assert sum(item.probability for item in answer.top_k) == pytest.approx(1)
    assert set(answer.prediction_set.labels) <= set(LABELS)
    assert (answer.abstained_reason is not None) == answer.abstained
    assert (answer.model_version, answer.bundle, answer.dataset_digest, answer.checkpoint_sha256) == (
        provenance.model_version, provenance.tag, provenance.dataset_digest, provenance.checkpoint_sha256)
    assert answer.timing_ms.total >= answer.timing_ms.infer
    assert "not a medical device" in answer.notice


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "application/octet-stream", "IMAGE/JPEG; q=1"])
def test_an_image_may_be_the_whole_body(http, kind):
    raw = http.post("/predict", content=picture(2), headers={"content-type": kind}).json()
    assert raw["top_k"] == sent(http, picture(2)).json()["top_k"]


def test_top_k_is_as_many_as_asked_for(http):
    assert len(sent(http, picture(1), params={"top_k": 1}).json()["top_k"]) == 1
    assert len(sent(http, picture(1), params={"top_k": 99}).json()["top_k"]) == len(LABELS)
    for wrong in ("0", "-1", "two", "1.5", "99999999999999999999", "１"):
        assert "top_k" in refused(sent(http, picture(1), params={"top_k": wrong}), 422, "invalid_request")


@pytest.mark.parametrize(("data", "status", "code"), [
    (b"", 422, "empty"), (b"no picture at all", 415, "not_an_image"),
    (encoded(Image.new("RGB", (64, 64)), "GIF"), 415, "wrong_format"), (encoded(Image.new("RGB", (1, 1))), 422, "too_small"),
    (encoded(Image.effect_noise((300, 300), 90).convert("RGB"))[:4000], 422, "corrupt"),
    (encoded(Image.new("1", (10_000, 10_000)), "PNG"), 413, "too_large"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_a_bad_image_has_one_shape_of_error_and_is_recorded(http, service, data, status, code):
    response = sent(http, data)
    refused(response, status, code)
    rows = [item.row for item in service.desk.recorder.oldest(10_000)]
    stored = service.desk.store.predictions()
    mine = [row for row in [*rows, *stored] if row.get("request_id") == response.json()["request_id"]]
    assert [(row["outcome"], row["code"]) for row in mine[:1]] == [("refused", code)]


@pytest.mark.parametrize("image", [
    Image.new("CMYK", (80, 60)), Image.new("L", (80, 60)), Image.new("RGBA", (80, 60), (9, 9, 9, 90)),
    Image.new("P", (80, 60)), Image.new("I;16", (80, 60)),
], ids=lambda image: image.mode)
def test_every_kind_of_pixel_is_answered(http, image):
    assert sent(http, encoded(image, "JPEG" if image.mode in {"CMYK", "L"} else "PNG")).json()["label"] in LABELS


def test_a_batch_answers_each_image_or_says_why_not(http):
    files = [("images", ("a", picture(1))), ("images", ("b", b"text")), ("images", ("c", picture(2)))]
    response = http.post("/predict/batch", files=files)
    Predictions.model_validate(response.json())
    first, second, third = response.json()["predictions"]
    assert second["code"] == "not_an_image"
    assert (first["top_k"], third["top_k"]) == (sent(http, picture(1)).json()["top_k"], sent(http, picture(2)).json()["top_k"])


def test_a_batch_has_a_bound(http):
    files = [("images", ("a", b"x"))] * 65
    refused(http.post("/predict/batch", files=files), 413, "too_many_images")
    assert "images" in refused(http.post("/predict/batch", files={"image": b"x"}), 422, "invalid_request")
    refused(http.post("/predict/batch", content=picture(1), headers={"content-type": "image/png"}), 415,
            "unsupported_media_type")


@pytest.mark.parametrize(("body", "kind", "status", "code", "word"), [
    (b"{}", "application/json", 415, "unsupported_media_type", "application/json"),
    (b"x", "", 415, "unsupported_media_type", "missing"),
    (b"x", "multipart/form-data", 422, "invalid_request", "boundary"),
    (b"x", "multipart/form-data; boundary=", 422, "invalid_request", "boundary"),
    (b"x", "multipart/form-data; boundary=" + "b" * 300, 422, "invalid_request", "Boundary"),
    (b"no form", "multipart/form-data; boundary=b", 422, "invalid_request", "form"),
    (b"--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nhalf", "multipart/form-data; boundary=b", 422,
     "invalid_request", "form"),
    (b"--b--\r\n", "multipart/form-data; boundary=b", 422, "invalid_request", "image"),
    (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 422, "invalid_request", "image"),
    (b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
     "multipart/form-data; boundary=b", 422, "invalid_request", "2 files"),
    (b"--b\r\n\r\nx\r\n" * 200 + b"--b--\r\n", "multipart/form-data; boundary=b", 413, "too_many_images", "fields"),
])
def test_a_body_that_is_not_as_described_is_refused_by_name(http, body, kind, status, code, word):
    response = http.post("/predict", content=body, headers={"content-type": kind} if kind else {})
    assert word in refused(response, status, code)


def test_a_missing_field_says_which(http):
    assert "image" in refused(http.post("/predict", files={"picture": b"x"}), 422, "invalid_request")


def streamed(service, path: str, body, kind: str = "image/png", **headers: str) -> tuple[int, int]:
    """The status of the answer to a body that comes in pieces, and how many of them were taken."""
    given = [(b"content-type", kind.encode()), *((name.encode(), value.encode()) for name, value in headers.items())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "root_path": "", "headers": given,
             "scheme": "http", "client": None, "server": None}
    pieces, taken, told = iter(body), [], []

    async def receive():
        taken.append(1)
        piece = next(pieces, None)
        if piece == b"never":
            await anyio.sleep_forever()
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message):
        told.append(message)

    anyio.run(service.app, scope, receive, send)
    return told[0]["status"], len(taken)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/async", "/feedback"])
def test_a_body_over_the_limit_is_refused_before_it_was_read(service, path):
    kind = {"/predict/batch": "multipart/form-data; boundary=b", "/feedback": "application/json"}.get(path, "image/jpeg")
    begun = [b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n'] if path == "/predict/batch" else []
    status, taken = streamed(service, path, itertools.chain(begun, itertools.repeat(b"x" * 10_000)), kind)
    assert status == 413
    assert taken < 100
    assert streamed(service, path, [b"x"], kind, **{"content-length": str(10**12)}) == (413, 0)


def test_bodies_that_are_too_much_together_are_refused_but_not_one_alone(service, monkeypatch):
    monkeypatch.setattr(asked, "BODIES_BYTES", 50_000)
    others = []

    def held_up():
        yield picture(1)[:1000]
        with ThreadPoolExecutor(1) as another:
            others.append(another.submit(streamed, service, "/predict", [b"x" * 50_000]).result()[0])
        yield picture(1)[1000:]

    assert streamed(service, "/predict", held_up())[0] == 200
    assert others == [503]
    assert sent(service.http, picture(1) + b"\0" * 60_000).status_code == 200


def test_a_form_may_be_as_large_as_its_largest_image(http):
    data = picture(1)
    padded = data + b"\0" * (MAX_BYTES - len(data))
    assert sent(http, padded).status_code == 200
    assert "limit" in refused(sent(http, padded + b"\0"), 413, "too_large")
    refused(sent(http, padded + b"\0" * FORM_BYTES), 413, "too_large")


def test_a_body_that_does_not_come_is_not_waited_for(service, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.02)
    assert streamed(service, "/predict", [picture(1)[:9], b"never"])[0] == 408


def test_a_request_id_is_kept_where_it_is_sane(http):
    assert http.get("/livez", headers={"X-Request-Id": "a-1.b_2"}).headers["x-request-id"] == "a-1.b_2"
    for wild in ("a b", "x" * 65, "{}", "é"):
        given = http.get("/livez", headers={"X-Request-Id": wild.encode()}).headers["x-request-id"]
        assert len(given) == 32


def test_unknown_pages_and_methods_have_the_same_shape(http):
    refused(http.get("/nowhere"), 404, "not_found")
    refused(http.get("/predict/"), 404, "not_found")
    wrong = http.get("/predict")
    refused(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


def test_a_fault_of_ours_has_the_same_shape_and_is_logged(service, caplog):
    async def broken(request):
        raise ZeroDivisionError("internals")

    service.app.add_route("/broken", broken)
    response = service.http.get("/broken")
    assert "internals" not in refused(response, 500, "internal")
    assert response.json()["request_id"] in caplog.text


def test_an_answered_image_is_recorded_before_it_is_answered(http, service):
    answer = sent(http, picture(3), params={"top_k": 1}).json()
    row = service.desk.recorder.find("prediction", answer["prediction_id"]) or service.desk.store.prediction(
        answer["prediction_id"])
    assert row["label"] == answer["label"]
    assert set(row["probabilities"]) == set(LABELS)
    assert row["mode"] == "single"
    assert row["request_id"] == answer["request_id"]
    assert row["model_version"] == answer["model_version"]
    assert len(row["image_sha256"]) == len(row["delivered_sha256"]) == 64

"""The service over HTTP: what it answers, what it refuses, when it is ready."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from PIL import Image

from skin_platform.client import ApiError, SkinClient, top_k_predictions
from skin_platform.defs.bundling import export_champion
from skin_platform.lineage import trace_prediction
from skin_platform.serving.bento_store import bento_folder
from skin_platform.serving.bundle import BundleError, read_bundle, write_bundle
from skin_platform.serving.launch import LaunchError, current_tag, free_port, held_port, running_service
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import NAMES as LABELS
from skin_platform_tests.defs.bundles.registered import new_home, promote, register
from skin_platform_tests.deployments import SKIN, background, wait_for
from skin_platform_tests.deployments import free_port as any_port

pytestmark = pytest.mark.slow


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> Stores:
    """A home with a champion."""
    found = new_home(tmp_path_factory.mktemp("served") / "home")
    promote(found, register(found))
    export_champion(found)
    return found


@pytest.fixture(scope="module")
def home(stores) -> Path:
    return stores.settings.home.root


@pytest.fixture(scope="module")
def picture(stores) -> bytes:
    row = stores.datasets.read(stores.datasets.latest())[0]
    return stores.cache.image(row.sha256, row.s3_uri)


@pytest.fixture(scope="module")
def url(home, tmp_path_factory):
    """`skin serve` as a person starts it."""
    port = any_port()
    log = tmp_path_factory.mktemp("serve") / "log"
    with background(SKIN, "serve", "--home", home, "--port", port, log=log) as process:
        client = SkinClient(f"http://127.0.0.1:{port}")
        wait_for(lambda: process.poll() is None and client.is_ready(), 90, f"the service: {log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"


def test_curl_gets_label_probabilities_set_version_and_id(url, picture, tmp_path, stores):
    (tmp_path / "x.jpg").write_bytes(picture)
    done = subprocess.run(["curl", "-sf", "-F", f"image=@{tmp_path / 'x.jpg'}", f"{url}/predict"], capture_output=True,
                          text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["top_k"][0]["label"] == answer["label"]
    assert sum(item["probability"] for item in answer["top_k"]) == pytest.approx(1, abs=1e-6)
    assert set(answer["prediction_set"]["labels"]) <= set(LABELS)
    assert answer["prediction_set"]["coverage"] == 0.9
    assert isinstance(answer["abstained"], bool)
    assert (answer["abstained_reason"] is not None) == answer["abstained"]
    assert answer["model_version"] == stores.versions.aliases()["champion"]
    assert len(answer["prediction_id"]) == 36
    assert "not a medical device" in answer["notice"]


@pytest.mark.parametrize("path", ["/health", "/model-status", "/livez", "/readyz", "/healthz", "/metrics", "/docs"])
def test_machines_and_people_find_their_pages(url, path):
    assert httpx.get(url + path, trust_env=False).status_code == 200


def test_the_status_tells_which_model_answers(url, stores):
    with SkinClient(url) as client:
        status = client.model_status()
        assert client.health()["status"] == "ok"
    assert status["bundle"] == current_tag(stores.settings.home.export)
    assert status["dataset_digest"] == stores.datasets.latest()
    assert status["metrics"] == {"accuracy": 0.75, "macro_f1": 0.7}
    assert status["promotion"]["kind"] == "promoted"
    assert status["labels"] == list(LABELS)
    assert status["ready"] is True


def test_top_k_is_as_many_as_asked_for(url, picture):
    with SkinClient(url) as client:
        assert len(client.predict(picture, top_k=1)["top_k"]) == 1
        assert len(client.predict(picture, top_k=99)["top_k"]) == len(LABELS)
        with pytest.raises(ApiError) as refused:
            client.predict(picture, top_k=0)
    assert refused.value.status == 422


@pytest.mark.parametrize(("data", "status", "code"), [
    (b"", 422, "empty"), (b"no picture at all", 415, "not_an_image"),
    (encoded(Image.new("RGB", (64, 64)), "GIF"), 415, "wrong_format"), (encoded(Image.new("RGB", (4, 4))), 422, "too_small"),
    (encoded(Image.effect_noise((300, 300), 90).convert("RGB"))[:4000], 422, "corrupt"),
    (encoded(Image.new("1", (9000, 9000)), "PNG"), 413, "too_large"),
], ids=lambda value: value if isinstance(value, str) else None)
def test_a_bad_image_has_one_shape_of_error(url, data, status, code):
    with SkinClient(url) as client, pytest.raises(ApiError) as refused:
        client.predict(data)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.message
    assert refused.value.request_id


@pytest.mark.parametrize("image", [
    Image.new("CMYK", (80, 60)), Image.new("L", (80, 60)), Image.new("RGBA", (80, 60), (9, 9, 9, 90)),
    Image.new("P", (80, 60)), Image.new("I;16", (80, 60)),
], ids=lambda image: image.mode)
def test_every_kind_of_pixel_is_answered(url, image):
    kind = "JPEG" if image.mode in {"CMYK", "L"} else "PNG"
    with SkinClient(url) as client:
        assert client.predict(encoded(image, kind))["label"] in LABELS


def test_a_missing_field_says_which(url):
    answer = httpx.post(f"{url}/predict", files={"picture": b"x"}, trust_env=False)
    assert answer.status_code == 422
    assert "image" in answer.json()["message"]


def test_a_batch_answers_each_image_or_says_why_not(url, picture):
    files = [("images", ("a", picture)), ("images", ("b", b"text")), ("images", ("c", picture))]
    answers = httpx.post(f"{url}/predict/batch", files=files, trust_env=False).json()["predictions"]
    assert answers[1]["code"] == "not_an_image"
    with SkinClient(url) as client:
        alone = client.predict(picture)
    for answer in (answers[0], answers[2]):
        assert answer["top_k"][0]["probability"] == pytest.approx(alone["top_k"][0]["probability"], abs=1e-6)


def test_an_answer_is_traced_without_its_bento_too(url, stores, picture, monkeypatch):
    with SkinClient(url) as client:
        answer = client.predict(picture)
    trace, images = trace_prediction(answer["prediction_id"], stores.settings, wait_seconds=20)
    assert (trace.model_version, trace.dataset_digest) == (answer["model_version"], stores.datasets.latest())
    assert len(images.rows) == 12
    monkeypatch.setattr(stores.settings.home, "bentoml", stores.settings.home.root / "no bentos")
    assert trace_prediction(answer["prediction_id"], stores.settings)[0] == trace


def test_a_request_id_is_kept(url):
    answer = httpx.post(f"{url}/predict", files={"image": b""}, headers={"X-Request-Id": "abc123"}, trust_env=False)
    assert answer.json()["request_id"] == "abc123"


def test_the_command_line_asks_the_service(url, picture, tmp_path):
    (tmp_path / "ä b.jpg").write_bytes(picture)
    done = subprocess.run([SKIN, "predict", str(tmp_path / "ä b.jpg"), "--url", url], capture_output=True, text=True,
                          check=True)
    assert any(label in done.stdout for label in LABELS)
    missing = subprocess.run([SKIN, "predict", str(tmp_path / "none.jpg"), "--url", url], capture_output=True, text=True)
    assert missing.returncode == 1
    assert "none.jpg" in missing.stderr


def test_a_service_that_is_not_there_is_one_clear_error():
    with SkinClient("http://127.0.0.1:9") as client, pytest.raises(ApiError, match="unreachable"):
        client.health()


def test_a_bundle_that_does_not_answer_as_recorded_never_serves(home, picture, tmp_path):
    sound = read_bundle(home / "runs" / "skin5-current")
    spoilt = tmp_path / "bundle"
    first = replace(sound.golden[0], probabilities=sound.golden[0].probabilities[::-1])
    write_bundle(replace(sound, golden=(first, *sound.golden[1:])), spoilt)
    port = any_port()
    with background(SKIN, "serve", "--home", home, "--port", port, log=tmp_path / "log",
                    env={"SKIN_BUNDLE": str(spoilt)}):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _status(f"{url}/livez") == 200, 90, "the service")
        assert _status(f"{url}/readyz") == 503
        with SkinClient(url) as client:
            assert not client.is_ready()
            assert "golden image" in client.health()["reason"]
            with pytest.raises(ApiError) as refused:
                client.predict(picture)
    assert (refused.value.status, refused.value.code) == (503, "not_ready")


def test_a_configured_key_is_asked_for(home, picture, monkeypatch):
    monkeypatch.setenv("API_KEY", "open-sesame")
    with running_service(current_tag(home / "runs" / "skin5-current"), home, "127.0.0.1", any_port()) as url:
        for client in (SkinClient(url), SkinClient(url, "wrong")):
            with pytest.raises(ApiError) as refused:
                client.predict(picture)
            assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        answer = httpx.post(f"{url}/predict", files={"image": picture}, trust_env=False)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert SkinClient(url, "open-sesame").predict(picture)["label"] in LABELS
        assert SkinClient(url).health()["status"] == "ok"


def test_the_bento_runs_its_own_code_without_torch(home):
    source = bento_folder(current_tag(home / "runs" / "skin5-current"), home / "bentoml") / "src"
    code = ("import sys; import skin_platform.serving.service as s; from pathlib import Path; "
            "assert Path(s.__file__).is_relative_to(sys.path[0]), s.__file__; "
            "print([m for m in ('torch', 'dagster', 'mlflow', 'duckdb', 'transformers') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r}); {code}"],
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (source / "bundle" / "golden.json").is_file()


def test_no_tag_is_made_up_before_anything_was_promoted(tmp_path):
    with pytest.raises(LaunchError, match="make demo"):
        current_tag(tmp_path / "runs" / "skin5-current")


def test_a_port_in_use_is_passed_over():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port


def test_two_that_start_a_service_at_once_get_two_ports():
    first = any_port()
    with held_port("127.0.0.1", first) as one, held_port("127.0.0.1", first) as other:  # neither listens yet
        assert one == first
        assert other > first
    with held_port("127.0.0.1", first) as again:
        assert again == first


def test_top_k_predictions_are_sorted_and_stable():
    assert top_k_predictions({"b": 0.4, "a": 0.4, "c": 0.2}, 2) == [("a", 0.4), ("b", 0.4)]
    with pytest.raises(ValueError, match="at least 1"):
        top_k_predictions({"a": 1.0}, 0)


def _status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def test_damage_to_a_bundle_is_named(home, tmp_path):
    folder = shutil.copytree(home / "runs" / "skin5-current", tmp_path / "bundle")
    model = bytearray((folder / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (folder / "model.onnx").write_bytes(bytes(model))
    with pytest.raises(BundleError, match=r"model\.onnx"):
        read_bundle(folder)
    (folder / "calibration.json").unlink()
    with pytest.raises(BundleError, match=r"calibration\.json"):
        read_bundle(folder)
    with pytest.raises(BundleError):
        read_bundle(Path(tmp_path / "nowhere"))

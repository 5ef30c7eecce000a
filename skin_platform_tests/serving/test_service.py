"""The service as it is run: `bentoml serve` of a bento, one process for all promises.

What it answers and refuses is held in process (``test_routes``); here is what needs a server or BentoML.
"""

import json
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from skin_platform.client import SkinClient, top_k_predictions
from skin_platform.serving.bento_store import bento_folder
from skin_platform.serving.bundle_files import BundleError, read_bundle, write_bundle
from skin_platform.serving.launch import LaunchError, current_tag, free_port, held_port, serve_command, serve_environment
from skin_platform.serving.packing import pack
from skin_platform.settings import load_settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform_tests.deployments import background, wait_for
from skin_platform_tests.deployments import free_port as any_port
from skin_platform_tests.serving.tiny_bundles import LABELS, picture, tiny_bundle

pytestmark = pytest.mark.slow
OWN = "The bento's own code. "


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home in which a bento lies, and nothing else."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def tag(home, tmp_path_factory) -> str:
    """A bento whose code says that it is the bento's."""
    tag, _ = pack(tiny_bundle(1), home / "bentoml", tmp_path_factory.mktemp("build"))
    code = bento_folder(tag, home / "bentoml") / "src" / "skin_platform" / "serving" / "predictions.py"
    code.write_text(code.read_text(encoding="utf-8").replace('NOTICE = "', f'NOTICE = "{OWN}'), encoding="utf-8")
    return tag


@pytest.fixture(scope="module")
def process(home, tag, tmp_path_factory):
    """`bentoml serve` as a person starts it, and where it listens."""
    port = any_port()
    log = tmp_path_factory.mktemp("serve") / "log"
    with background(*serve_command(tag, home, "127.0.0.1", port), log=log, env=serve_environment(home)) as started:
        client = SkinClient(f"http://127.0.0.1:{port}")
        wait_for(lambda: started.poll() is not None or client.is_ready(), 90, "the service")
        assert started.poll() is None, log.read_text()[-2000:]
        yield started, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def url(process) -> str:
    return process[1]


def test_curl_gets_label_probabilities_set_version_and_id(url, tmp_path):
    (tmp_path / "x.png").write_bytes(picture(1))
    done = subprocess.run(["curl", "-sf", "-F", f"image=@{tmp_path / 'x.png'}", f"{url}/predict"], capture_output=True,
                          text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["top_k"][0]["label"] == answer["label"]
    assert set(answer["prediction_set"]["labels"]) <= set(LABELS)
    assert answer["model_version"] == tiny_bundle(1).provenance.model_version
    raw = subprocess.run(["curl", "-sf", "-H", "Content-Type: image/png", "--data-binary", f"@{tmp_path / 'x.png'}",
                          f"{url}/predict"], capture_output=True, text=True, check=True)
    assert json.loads(raw.stdout)["top_k"] == answer["top_k"]


@pytest.mark.parametrize("path", ["/", "/health", "/model-status", "/livez", "/readyz", "/healthz", "/metrics", "/docs",
                                  "/openapi.json"])
def test_machines_and_people_find_our_pages_and_no_others(url, path):
    page = httpx.get(url + path, trust_env=False)
    assert page.status_code == 200
    assert page.headers["x-request-id"]
    assert "googletagmanager" not in page.text


@pytest.mark.parametrize("path", ["/schema.json", "/docs.json", "/static_content/index.css", "/nowhere"])
def test_what_is_not_ours_is_not_there(url, path):
    page = httpx.get(url + path, trust_env=False)
    assert (page.status_code, page.json()["code"]) == (404, "not_found")


def test_a_bento_answers_with_its_own_bundle_where_nothing_is_exported(url, tag):
    with SkinClient(url) as client:
        status = client.model_status()
        assert client.health()["status"] == "ok"
    assert status["bundle"] == tag
    assert status["labels"] == list(LABELS)
    assert status["promotion"] is None
    assert status["ready"] is True


def test_a_connection_survives_bodies_that_were_refused_unread(url):
    with httpx.Client(base_url=url, trust_env=False) as http:
        for size in (0, 100_000, 3_000_000):
            refused = http.post("/predict", content=b"x" * size, headers={"content-type": "text/plain"})
            assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
            assert http.post("/predict", files={"image": picture(1)}).status_code == 200


def test_a_body_over_the_limit_is_refused_while_it_is_sent(url):
    sent = []

    def endless():
        while True:
            sent.append(1)
            yield b"x" * 1_000_000

    answer = httpx.post(f"{url}/predict", content=endless(), headers={"content-type": "image/png"}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert len(sent) < 200


def test_a_bento_runs_its_own_code_and_nothing_that_learns(process, url):
    answer = httpx.post(f"{url}/predict", files={"image": picture(1)}, trust_env=False).json()
    assert answer["notice"].startswith(OWN)
    for one in [psutil.Process(process[0].pid), *psutil.Process(process[0].pid).children(recursive=True)]:
        mapped = " ".join(file.path for file in one.memory_maps())
        assert not re.search("libtorch|duckdb|pyarrow|libmlflow|grpc", mapped)


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


def test_damage_to_a_bundle_is_named(tmp_path):
    folder = tmp_path / "bundle"
    write_bundle(tiny_bundle(1), folder)
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


def test_a_service_that_is_stopped_answers_what_it_has_begun(process, home):
    """The last of this file: it ends the process that the others ask."""
    started, url = process
    begun, stopped = threading.Barrier(5), threading.Event()

    def halves():
        yield picture(1)[:100]
        begun.wait(20)
        stopped.wait(20)
        yield picture(1)[100:]

    def ask(_):
        kind = {"content-type": "image/png"}
        return httpx.post(f"{url}/predict", content=halves(), headers=kind, trust_env=False, timeout=30)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        begun.wait(20)
        started.send_signal(signal.SIGTERM)
        wait_for(lambda: not _is_listening(url), 20, "the end of listening")
        stopped.set()
        answers = [answer.result() for answer in asking]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert started.wait(30) == 0
    stored = {row["prediction_id"] for row in OnlineStore(load_settings(skin_home=home).online_url).predictions()}
    assert {answer.json()["prediction_id"] for answer in answers} <= stored


def _is_listening(url: str) -> bool:
    """Whether a connection is taken: one that is refused lets a client turn elsewhere at once."""
    try:
        return httpx.get(f"{url}/livez", trust_env=False, timeout=20).is_success
    except httpx.ConnectError:
        return False

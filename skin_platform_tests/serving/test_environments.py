"""``SKIN_ENV`` as a served process heeds it: a demo needs nothing and keeps nothing, prod does not start with weak secrets."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from skin_platform.serving.bundle_files import write_bundle
from skin_platform.serving.launch import WITHOUT_BUNDLE
from skin_platform_tests.deployments import SKIN, background, free_port, wait_for
from skin_platform_tests.serving.in_process import champion
from skin_platform_tests.serving.tiny_bundles import picture

pytestmark = pytest.mark.slow


def test_a_demo_serves_a_local_folder_without_key_or_database_and_logs_json(tmp_path, monkeypatch):
    (tmp_path / "bundle").mkdir()
    write_bundle(champion(), tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    port, log, home = free_port(), tmp_path / "log", tmp_path / "home"
    url = f"http://127.0.0.1:{port}"
    with background(SKIN, "serve", "--home", home, "--port", port, log=log, env={"SKIN_ENV": "demo", "SKIN_BUNDLE": "bundle"}):
        wait_for(lambda: _status(f"{url}/readyz") == 200, 90, "the service")
        assert "Drop an image" in httpx.get(url, trust_env=False).text
        answer = httpx.post(f"{url}/predict", files={"image": ("Müller.png", picture(1))}, trust_env=False).json()
    assert answer["model_version"] == champion().provenance.model_version
    told, lines = [], []
    for line in log.read_text(encoding="utf-8").splitlines():
        (lines if line.startswith("{") else told).append(line)
    assert f"serving the bundle in {tmp_path / 'bundle'} (SKIN_BUNDLE)" in told[0]
    assert told[1:] == [f"drop an image: {url}/", f"all routes: {url}/docs", f"the model: {url}/model-status",
                        f"ask it: curl -F image=@photo.jpg {url}/predict"]
    events = [json.loads(line) for line in lines]
    assert {"at", "level", "event"} <= set.intersection(*map(set, events))
    assert {event.get("logger") for event in events} >= {"bentoml.serve", None}, "the supervisor's, and ours"
    [asked] = [event for event in events if event["event"] == "request" and event["route"] == "/predict"]
    assert (asked["request_id"], asked["model_version"]) == (answer["request_id"], answer["model_version"])
    assert "Müller" not in log.read_text(encoding="utf-8")
    assert not [path for path in home.rglob("*.db")]
    assert not (home / "served").exists()


def test_prod_with_weak_secrets_is_refused_by_name_as_bentoml_starts(tmp_path):
    command = [sys.executable, "-m", "bentoml", "serve", WITHOUT_BUNDLE, "--working-dir", tmp_path, "--port", str(free_port())]
    env = {**os.environ, "SKIN_ENV": "prod", "API_KEY": "changeme", "SKIN_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: SKIN_ENV is prod, but SKIN_PSEUDONYM_KEY, API_KEY,")
    assert "changeme" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def _status(url):
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.HTTPError:
        return 0

"""The page at ``/``: a demo's takes images, elsewhere it says where to go; nothing on it comes from anywhere else."""

import base64
import hashlib
import re

import pytest

from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import picture


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("page") / "home", champion(), skin_env="demo") as running:
        yield running


@pytest.fixture(scope="module")
def signpost(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("page") / "home", skin_env="dev") as running:
        yield running.http.get("/")


@pytest.fixture(scope="module")
def page(demo):
    return demo.http.get("/")


@pytest.mark.parametrize("name", ["page", "signpost"])
def test_the_browser_may_run_what_the_page_brings_and_nothing_else(name, request):
    answer = request.getfixturevalue(name)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        for part in re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.S):
            digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy[directive]
    assert not re.search(r"https?://|//\w+\.", answer.text.replace("http-equiv", ""))
    assert not re.search(r"\s(src|href)=\"(?!docs|openapi|health|model-status|metrics|data:)", answer.text)
    assert not re.search(r"\son\w+=", answer.text)


def test_the_page_shows_fields_that_answers_have(demo, page):
    answer = demo.http.post("/predict?top_k=5", content=picture(1), headers={"Content-Type": "application/octet-stream"}).json()
    status = demo.http.get("/model-status").json()
    refused = demo.http.post("/predict", content=b"x", headers={"Content-Type": "application/octet-stream"}).json()
    assert set(re.findall(r"\banswer\.(?!ok\b|json\b|code\b|message\b)(\w+)", page.text)) <= set(answer)
    assert {"code", "message", "request_id"} <= set(refused)
    assert set(re.findall(r"\btold\.(\w+)", page.text)) - {"message"} <= set(status)
    assert set(re.findall(r"answer\.prediction_set\.(\w+)", page.text)) <= set(answer["prediction_set"])
    assert answer["notice"] in page.text


def test_every_part_that_the_page_asks_for_is_on_it(page):
    for name in re.findall(r"byId\(\"([\w-]+)\"\)", page.text):
        assert f'id="{name}"' in page.text
    assert "<h1>" in page.text
    assert 'lang="en"' in page.text
    assert 'name="viewport"' in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_a_demo_asks_for_no_key_and_records_nothing(demo):
    before = {path for path in demo.settings.home.root.rglob("*") if path.is_file()}
    answer = demo.http.post("/predict", files={"image": picture(2)})
    assert answer.status_code == 200
    assert demo.desk.recorder is None
    assert {path for path in demo.settings.home.root.rglob("*") if path.is_file()} == before
    assert not [path for path in before if path.suffix == ".db"]


def test_elsewhere_the_page_says_where_to_go(signpost):
    for place in ("docs", "openapi.json", "health", "model-status", "metrics"):
        assert f'href="{place}"' in signpost.text
    assert "SKIN_ENV=demo" in signpost.text
    assert "<script" not in signpost.text


def test_the_page_is_no_part_of_the_description(demo):
    assert "/" not in demo.http.get("/openapi.json").json()["paths"]

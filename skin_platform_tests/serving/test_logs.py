"""Logs: one form for every line, nothing in it that should not be known, and no request that fails by its log."""

import io
import json
import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from skin_platform.serving import logs
from skin_platform.serving.metrics import LOST_LINES
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import picture

KEY = "a-key-that-nobody-may-read"
LOGGERS = ("", *logs.OTHERS, "uvicorn.access")


@pytest.fixture(autouse=True)
def logging_of_others():
    """What the test run itself has set up, brought back."""
    kept = [(found, found.handlers[:], found.propagate, found.level) for found in map(logging.getLogger, LOGGERS)]
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    for found, handlers, propagate, level in kept:
        found.handlers, found.propagate = handlers, propagate
        found.setLevel(level)


class Written(io.TextIOWrapper):
    """A stream that remembers, which may be a terminal."""

    def __init__(self, *, terminal=False):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._is_terminal = terminal

    def isatty(self):
        return self._is_terminal

    @property
    def text(self):
        return self.buffer.getvalue().decode()

    @property
    def lines(self):
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def written():
    """What is logged, as JSON."""
    stream = Written()
    logs.configure(stream=stream)
    return stream


def test_a_request_leaves_one_line_with_its_id_version_run_and_key(tmp_path, written):
    with in_process(tmp_path / "home", champion(), api_key=KEY) as service:
        answer = service.http.post("/predict", files={"image": ("Müller, Anna 1970.png", picture(1))},
                                   headers={"Authorization": f"Bearer {KEY}", "X-Request-Id": "of-the-caller"})
        service.http.post("/predict", content=b"text", headers={"Authorization": "Bearer guessed"})
        service.http.get("/livez")
        provenance = service.desk.current.engine.bundle.provenance
    assert answer.status_code == 200
    good, refused = [line for line in written.lines if line["event"] == "request"]
    assert good.pop("at").endswith("+00:00")
    assert good.pop("ms") > 0
    assert good == {"level": "info", "event": "request", "request_id": "of-the-caller", "route": "/predict", "method": "POST",
                    "status": 200, "key": "environment", "model_version": provenance.model_version, "bundle": provenance.tag,
                    "run_id": provenance.dagster_run_id}
    assert (refused["status"], refused["code"], "key" in refused) == (401, "unauthorized", False)
    for secret in (KEY, "guessed", "Müller", "1970"):
        assert secret not in written.text


def test_lines_of_others_have_the_same_form(written):
    logging.getLogger("bentoml.serve").info("Starting on %s", "port 1")
    logging.getLogger("uvicorn.error").error("no \N{SNOWMAN}")
    logging.getLogger("bentoml.access").handlers = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    try:
        raise LookupError("not there")
    except LookupError:
        logging.getLogger("some.library").exception("failed")
        logs.warn("failed, too", request_id="r", exc_info=True)
    told = written.lines
    assert [(line["level"], line["event"].split("\n")[0]) for line in told[:2]] == [
        ("info", "Starting on port 1"), ("error", "no \N{SNOWMAN}")]
    assert "careful" in told[2]["event"]
    assert [line["logger"] for line in told[:4]] == ["bentoml.serve", "uvicorn.error", "py.warnings", "some.library"]
    for line in told[3:]:
        assert "LookupError: not there" in line["exception"]
    assert told[4]["request_id"] == "r"


@pytest.mark.parametrize("text", [
    "could not connect to postgresql+psycopg://skin:hush-hush@db:5432/skin",
    "header Authorization: Bearer hush-hush was refused",
    "connection failed: password=hush-hush user=skin", "{'api_key': 'x', token: hush-hush}"])
def test_what_looks_like_a_secret_is_masked_in_lines_of_others(written, text):
    logging.getLogger("some.library").error(text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logs.warn("failed", exc_info=True)
    assert len(written.lines) == 2
    assert "hush" not in written.text


def test_of_a_long_exception_the_end_is_kept(written):
    logging.getLogger("some.library").error("x" * 50_000 + " and so it failed")
    assert written.lines[0]["event"].endswith("and so it failed")
    assert len(written.text) < 4096


def test_a_terminal_gets_lines_for_people():
    stream = Written(terminal=True)
    logs.configure(stream=stream)
    logs.tell("another version answers", version="v1", former=None)
    logging.getLogger("bentoml.serve").info("Starting")
    first, second = stream.text.splitlines()
    assert "another version answers" in first
    assert "v1" in first
    assert "former" not in first
    assert "Starting" in second
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(first)


def test_a_line_that_cannot_be_written_is_counted_and_fails_nothing(written):
    def lost():
        return LOST_LINES.family().samples[0].value

    before = lost()
    logs.tell("one")
    written.buffer.close()
    logs.tell("two")
    assert lost() == before + 1


def test_a_pipe_that_nobody_empties_holds_up_nothing():
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="utf-8") as stream:
        logs.configure(stream=stream)
        before = LOST_LINES.family().samples[0].value
        for number in range(2000):  # some 200 kB; a pipe holds 64
            logs.tell("a line that nobody reads", number=number, words="x" * 30)
        logging.getLogger("some.library").error("nor this one")
        lost = LOST_LINES.family().samples[0].value - before
        assert lost > 500
        os.set_blocking(reading, False)
        kept = [json.loads(line) for line in (reader.read() or b"").splitlines()]
        assert [line["number"] for line in kept] == list(range(int(2001 - lost)))
        logs.tell("there is room again")
        assert json.loads(reader.read())["event"] == "there is room again"


def test_text_that_no_encoding_has_is_written_all_the_same(written):
    logs.tell("odd", word="\ud800")
    assert written.lines[0]["word"] == "\ud800"


def test_threads_that_write_at_once_lose_nothing(tmp_path):
    written, read = 4 * 500, []
    reader, writer = os.pipe()
    with open(reader, "rb") as lines, open(writer, "wb") as stream:
        drained = threading.Thread(target=lambda: read.extend(lines))
        drained.start()
        target = logs._Lines(stream)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(lambda: [target.msg(b"a line") for _ in range(500)]) for _ in range(4)]:
                done.result()
        stream.close()
        drained.join()
    assert len(read) <= written  # a line that finds no room is counted instead
    assert set(read) == {b"a line\n"}

"""The client: what it asks, when it asks again, what it says where there is no answer."""

import asyncio
import inspect
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skin_platform import retrying
from skin_platform.client import ApiError, AsyncSkinClient, SkinClient
from skin_platform.retrying import LONGEST_PAUSE, PASSES, Retries
from skin_platform.serving.errors import CODES
from skin_platform_tests.deployments import free_port
from skin_platform_tests.serving.in_process import champion
from skin_platform_tests.serving.listening import listening
from skin_platform_tests.serving.tiny_bundles import LABELS, picture

KEY = "a-key-of-the-client"
CUT = object()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with listening(tmp_path_factory.mktemp("client") / "home", champion(), api_key=KEY) as found:
        yield found


@pytest.fixture
def scripted():
    """A server that gives the answers that it was given, in order, the last for ever; what it was asked."""
    servers = []

    def start(*answers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = answers[min(len(asked), len(answers)) - 1]
                if answer is CUT:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, body, headers = answer
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(data), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815  # http.server looks for this name

            def log_message(self, *args):
                """Nothing: the test says what was asked."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def awaited(call, url, **options):
    """``call`` of an ``AsyncSkinClient``."""
    async def run():
        async with AsyncSkinClient(url, **options) as client:
            return await call(client)
    return asyncio.run(run())


def waited(call, url, **options):
    """``call`` of a ``SkinClient``."""
    with SkinClient(url, **options) as client:
        return call(client)


BOTH = pytest.mark.parametrize("run", [waited, awaited])
GOOD = (200, {"label": "a"}, {})


def busy(status=503, code="overloaded", after=0):
    return status, {"code": code, "message": "later", "request_id": "r"}, {} if after is None else {"Retry-After": after}


@BOTH
@pytest.mark.parametrize("answers", [
    [busy()], [busy(429, "rate_limited")], [busy(code="spool_full")], [(503, b"<html>a proxy</html>", {})], [CUT],
    [busy(), (503, b"", {}), busy(429, "rate_limited")]], ids=["busy", "rate", "spool", "proxy", "cut", "three"])
def test_what_passes_is_asked_again(scripted, run, answers):
    url, asked = scripted(*answers, GOOD)
    assert run(lambda client: client.predict(b"x"), url) == {"label": "a"}
    assert len(asked) == len(answers) + 1


@BOTH
@pytest.mark.parametrize(("answer", "code"), [
    (busy(code="no_champion"), "no_champion"), (busy(code="not_ready"), "not_ready"), (busy(500, "internal"), "internal"),
    (busy(401, "unauthorized"), "unauthorized"), (busy(422, "corrupt"), "corrupt"),
    (busy(429, "rate_limited", 3600), "rate_limited"), ((502, b"<html>", {}), "error"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_no_wait_of_seconds_changes_is_told_at_once(scripted, run, answer, code):
    url, asked = scripted(answer)
    with pytest.raises(ApiError) as refused:
        run(lambda client: client.predict(b"x"), url)
    assert (refused.value.status, refused.value.code, len(asked)) == (answer[0], code, 1)
    assert refused.value.retry_after == answer[2].get("Retry-After")


@BOTH
def test_it_gives_up_after_as_many_as_were_allowed(scripted, run):
    for retries in (0, 2):
        url, asked = scripted(busy())
        with pytest.raises(ApiError, match="overloaded"):
            run(lambda client: client.health(), url, retries=retries)
        assert len(asked) == retries + 1


@BOTH
def test_a_submitted_image_is_never_taken_twice_but_one_that_was_not_taken_is_sent_again(scripted, run):
    url, asked = scripted(CUT, GOOD)
    with pytest.raises(ApiError, match="broke the connection off") as cut:
        run(lambda client: client.submit(b"x"), url)
    assert (cut.value.status, cut.value.code, len(asked)) == (0, "cut_off", 1)
    url, asked = scripted(busy(), GOOD)
    assert run(lambda client: client.submit(b"x"), url) == {"label": "a"}


@BOTH
def test_feedback_is_given_again_as_it_counts_once(scripted, run):
    url, asked = scripted(CUT, (200, {"feedback_id": "f"}, {}))
    assert run(lambda client: client.feedback("p", "a", "Ärztin"), url) == {"feedback_id": "f"}
    assert len(asked) == 2


@BOTH
def test_a_service_that_comes_up_late_is_reached(run, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.1)
    port = free_port()
    listener = socket.socket()

    def come_up():
        listener.bind(("127.0.0.1", port))
        listener.listen()
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}")
        connection.close()

    later = threading.Timer(0.05, come_up)
    later.start()
    assert run(lambda client: client.health(), f"http://127.0.0.1:{port}", retries=6) == {"status": "ok"}
    later.join()
    listener.close()


@BOTH
def test_no_answer_in_time_is_told_and_not_asked_again(run):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ApiError) as late:
            run(lambda client: client.health(), f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05)
    assert (late.value.status, late.value.code) == (0, "timeout")


@BOTH
@pytest.mark.parametrize(("url", "key", "code"), [
    ("http://127.0.0.1:9", "", "unreachable"), ("no address", "", "bad_address"), ("http://[::1", "", "bad_address"),
    ("http://127.0.0.1:9", "schlüssel", "bad_key"), ("http://127.0.0.1:9", "a\nb", "bad_key")])
def test_a_bad_address_or_key_is_named_and_the_key_not_shown(run, url, key, code):
    with pytest.raises(ApiError) as refused:
        run(lambda client: client.health(), url, api_key=key, retries=1)
    assert (refused.value.status, refused.value.code) == (0, code)
    assert not key or key not in str(refused.value)


def test_of_every_503_it_is_known_whether_it_passes():
    assert {name for name, code in CODES.items() if code.status == 503} | {"error"} == PASSES | {"no_champion", "not_ready"}


def test_pauses_grow_have_a_bound_and_differ():
    retries, error = Retries(9), ApiError(503, "overloaded", "")
    pauses = [[retries.pause_after(error, tried, repeatable=True) for _ in range(40)] for tried in range(1, 10)]
    for number, found in enumerate(pauses):
        longest = min(LONGEST_PAUSE, 0.01 * 2**number)
        assert all(longest / 2 <= pause <= longest for pause in found)
        assert len(set(found)) > 1
    assert retries.pause_after(error, 10, repeatable=True) is None


@pytest.mark.parametrize(("told", "seconds"), [("7", 7), ("0", 0), ("-1", 0), ("soon", None), ("", None), (None, None)])
def test_retry_after_is_read_in_seconds(scripted, told, seconds):
    url, _ = scripted((429, {"code": "rate_limited"}, {} if told is None else {"Retry-After": told}))
    with SkinClient(url, retries=0) as client, pytest.raises(ApiError) as refused:
        client.health()
    assert refused.value.retry_after == seconds


def test_retry_after_is_read_as_a_date(scripted):
    url, _ = scripted((429, {}, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)}))
    with SkinClient(url, retries=0) as client, pytest.raises(ApiError) as refused:
        client.health()
    assert 60 < refused.value.retry_after <= 90


def test_both_clients_ask_the_same():
    def methods(kind):
        return {name: inspect.signature(member) for name, member in inspect.getmembers(kind, inspect.isfunction)
                if not name.startswith("_")}

    one, other = methods(SkinClient), methods(AsyncSkinClient)
    assert {name: found.parameters for name, found in one.items()} == {name: found.parameters for name, found in other.items()}
    assert inspect.signature(SkinClient).parameters == inspect.signature(AsyncSkinClient).parameters


@BOTH
def test_everything_that_the_service_answers_can_be_asked(url, run, tmp_path):
    path = tmp_path / "Läsion 1.png"
    path.write_bytes(picture(1))
    answer = run(lambda client: client.predict(path, top_k=2), url, api_key=KEY)
    assert answer["label"] in LABELS
    assert len(answer["top_k"]) == 2
    batch = run(lambda client: client.predict_batch([str(path), b"text", picture(1)]), url, api_key=KEY)["predictions"]
    assert [item.get("label") for item in batch] == [answer["label"], None, answer["label"]]
    assert batch[1]["code"] == "not_an_image"
    first, again = (run(lambda client: client.feedback(answer["prediction_id"], LABELS[0], "Ärztin"), url, api_key=KEY)
                    for _ in range(2))
    assert first["feedback_id"] == again["feedback_id"]
    assert run(lambda client: client.health(), url)["status"] == "ok"
    assert run(lambda client: client.model_status(), url)["model_version"] == answer["model_version"]
    with pytest.raises(ApiError) as refused:
        run(lambda client: client.predict(path), url, api_key="another")
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    assert refused.value.request_id


def test_a_submitted_image_is_waited_for(url):
    with SkinClient(url, KEY) as client:
        assert client.is_ready()
        job = client.submit(picture(3), top_k=1)
        answer = client.wait(job["job_id"], timeout=60)
        assert (answer["label"], len(answer["top_k"])) == (client.predict(picture(3))["label"], 1)

    async def other():
        async with AsyncSkinClient(url, KEY) as client:
            assert await client.is_ready()
            job = await client.submit(picture(3))
            return await client.wait(job["job_id"], timeout=60)

    assert asyncio.run(other())["label"] == answer["label"]


def test_a_job_that_is_not_done_or_failed_is_told_as_such(scripted):
    url, _ = scripted((200, {"job_id": "j", "status": "waiting", "result": None, "error": None}, {}))
    with pytest.raises(ApiError, match="job j is waiting after 0 s; ask for it again"):
        waited(lambda client: client.wait("j", timeout=0), url)
    url, _ = scripted((200, {"job_id": "j", "status": "failed", "result": None,
                             "error": {"code": "internal", "message": "a fault", "request_id": "r"}}, {}))
    with pytest.raises(ApiError) as failed:
        waited(lambda client: client.wait("j"), url)
    assert (failed.value.code, failed.value.message, failed.value.request_id) == ("internal", "a fault", "r")
    assert not waited(lambda client: client.is_ready(), "http://127.0.0.1:9")

"""`skin predict`: many images, a line each, an exit code that says whether all were answered."""

import json

import pytest
from typer.testing import CliRunner

from skin_platform import retrying
from skin_platform.cli import app
from skin_platform.commands.predict import HOPELESS
from skin_platform.commands.remedies import REMEDIES, in_plain_words
from skin_platform.serving.errors import CODES
from skin_platform_tests.serving.in_process import champion
from skin_platform_tests.serving.listening import listening
from skin_platform_tests.serving.tiny_bundles import LABELS, picture

KEY = "a-key-of-the-command"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with listening(tmp_path_factory.mktemp("predict") / "home", champion(), api_key=KEY) as found:
        yield found


@pytest.fixture
def predict(url, tmp_path):
    """`skin predict` with these files (name: content, None where there is none) and arguments."""
    def run(files, *arguments):
        for name, data in files.items():
            if data is not None:
                (tmp_path / name).write_bytes(data)
        return CliRunner().invoke(app, ["predict", *(str(tmp_path / name) for name in files), "--url", url, "--api-key", KEY,
                                        *arguments])
    return run


def test_each_image_gets_a_line_in_the_order_given(predict):
    names = [f"{name}.png" for name in ("ñandú", "b c", "漢字", *range(20))]
    done = predict({name: picture(number) for number, name in enumerate(names)}, "--top-k", "2")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert f"{name} " in line
        assert sum(label in line.partition("set:")[0] for label in LABELS) == 2
        assert "90% set:" in line or "abstained" in line
    assert "not a medical device" in done.stderr
    assert done.stderr.count("This model version cannot tell whether an image is of another kind") == 1


def test_one_that_cannot_be_answered_does_not_keep_the_others_from_it(predict):
    files = {"text.png": b"no picture", "none.png": None, "good.png": picture(1)}
    done = predict(files)
    assert done.exit_code == 1
    assert [line.split("  ")[0].rsplit("/")[-1] for line in done.stdout.splitlines()] == ["good.png"]
    assert "text.png  not_an_image: the content is not an image" in done.stderr
    assert "none.png  unreadable: No such file or directory: check the path" in done.stderr
    assert "2 of 3 images were not answered" in done.stderr


def test_json_has_an_object_for_each_image(predict):
    done = predict({"é.png": picture(1), "text.png": b"no picture"}, "--json", "--top-k", "1")
    assert done.exit_code == 1
    good, bad = map(json.loads, done.stdout.splitlines())
    assert good["file"].endswith("é.png")
    assert (good["label"], len(good["top_k"])) == (good["top_k"][0]["label"], 1)
    assert good["prediction_id"]
    assert (bad["error"]["status"], bad["error"]["code"], "label" in bad) == (415, "not_an_image", False)


def test_a_name_cannot_steer_the_terminal(predict):
    done = predict({"\x1b[2J[red]x.png": picture(1)})
    assert done.exit_code == 0
    assert "\\x1b[2J[red]x.png" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("arguments", "told"), [
    (("--api-key", "another"), "does not know the key from --api-key, or it was revoked"),
    (("--api-key", ""), "none was given: put it into API_KEY (in .env or the environment), or give --api-key; who runs"),
    (("--url", "http://127.0.0.1:9"), "its address? Start it with `skin serve`, or name another with --url"),
    (("--url", "ftp://x"), "check --url and API_BASE_URL"), (("--api-key", "kéy"), "check --api-key and API_KEY")])
def test_what_would_befall_every_image_is_told_once_with_what_to_do(predict, monkeypatch, arguments, told):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)
    done = predict({f"{number}.png": picture(number) for number in range(30)}, *arguments)
    assert told in str(done.exception)
    assert "another" not in str(done.exception).replace("another (`skin", "").replace("name another", "")
    assert not any(word in str(done.exception) for word in ("(401)", "Bearer", "header"))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "")


def test_each_remedy_is_for_a_refusal_that_there_is():
    of_the_client = {"unreachable", "bad_address", "bad_key"}
    assert REMEDIES.keys() <= CODES.keys() | of_the_client
    assert CODES.keys() | of_the_client >= HOPELESS
    busy = in_plain_words("rate_limited", "the key 'x' may ask for 2 images a minute: ask again in 41 s")
    assert "41 s: ask again then, or ask who runs the service for a key of a higher rate" in busy
    assert "check --url" in in_plain_words("error", "<html>", status=405)


def test_a_name_that_begins_with_a_dash_is_not_taken_for_an_option_in_silence(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-dash.png").write_bytes(picture(1))
    asked = ("--url", url, "--api-key", KEY)
    done = CliRunner().invoke(app, ["predict", *asked, "-dash.png"], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert "write ./-dash.png, or put -- before the files" in done.stderr
    for named in (("./-dash.png",), ("--", "-dash.png")):
        assert CliRunner().invoke(app, ["predict", *asked, *named]).exit_code == 0
    assert "No such option: --urll" in CliRunner().invoke(app, ["predict", "--urll", "x"], env={"COLUMNS": "400"}).stderr


def test_a_folder_is_told_as_such(predict, tmp_path):
    (tmp_path / "folder").mkdir()
    done = predict({"folder": None})
    assert (done.exit_code, "Is a directory" in done.stderr) == (1, True)

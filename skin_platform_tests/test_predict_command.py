"""`skin predict`: many images, a line each, an exit code that says whether all were answered."""

import json

import pytest
from typer.testing import CliRunner

from skin_platform import retrying
from skin_platform.cli import app
from skin_platform.client import ApiError
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


def test_what_would_befall_every_image_is_told_once(predict, monkeypatch):
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)
    pictures = {f"{number}.png": picture(number) for number in range(30)}
    for arguments, told in ((("--api-key", "another"), "the key is not known"),
                            (("--url", "http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer")):
        done = predict(pictures, *arguments)
        assert isinstance(done.exception, ApiError)
        assert told in str(done.exception)
        assert "another" not in str(done.exception)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", "")


def test_a_folder_is_told_as_such(predict, tmp_path):
    (tmp_path / "folder").mkdir()
    done = predict({"folder": None})
    assert (done.exit_code, "Is a directory" in done.stderr) == (1, True)

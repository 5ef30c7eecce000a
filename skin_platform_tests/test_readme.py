"""The README: its commands do what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skin_platform_tests.deployments import ROOT, SKIN, background, free_port, wait_for

pytestmark = pytest.mark.slow
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)


def commands(word: str) -> list[str]:
    """The command lines of the README that begin with ``word``, without their comments."""
    lines = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
    return [line for line in lines if line.startswith(word)]


def make(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(ROOT), *arguments], env={**os.environ, **env}, capture_output=True, text=True,
                          timeout=550, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """`make demo`, in a home of its own."""
    home = tmp_path_factory.mktemp("readme") / "home"
    done = make("demo", f"SKIN_HOME={home}", API_PORT=str(free_port()))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return home, done.stdout


def test_the_quick_start_is_four_commands():
    assert commands("make")[:4] == ["make demo", "make dev", "make serve", "make test"]
    for target in ("demo", "dev", "serve", "test", "mlflow", "check", "setup"):
        assert make("-n", target).returncode == 0
    assert f"`make {target}`" in README or "make help" in README
    assert make("help").stdout.count("\n") >= 8


def test_make_demo_shows_where_its_answer_comes_from(demo):
    _, shown = demo
    for word in ("Where the answer comes from", "dataset digest", "code version", "Quarantine", "95 % intervals: accuracy"):
        assert word in shown


def test_make_serve_answers_the_readmes_curl_and_its_trace(demo, tmp_path):
    home, _ = demo
    image = next((home / "raw" / "synthetic" / "plain").glob("*1.jpg"))
    port = free_port()
    [curl] = commands("curl")
    with background("make", "-C", ROOT, "serve", f"SKIN_HOME={home}", log=tmp_path / "log", env={"API_PORT": str(port)}):
        ready = ["curl", "-sf", f"http://127.0.0.1:{port}/readyz"]
        wait_for(lambda: subprocess.run(ready, capture_output=True).returncode == 0, 90, "the service")
        line = curl.replace("lesion.jpg", str(image)).replace("8000", str(port)).replace("curl", "curl -s")
        answer = json.loads(subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout)
        assert len(answer["top_k"]) == 3
        trace = next(line for line in commands("skin trace") if "sha256sum" in line)
        line = trace.replace("<prediction_id>", answer["prediction_id"])
        env = {**os.environ, "SKIN_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        wait_for(lambda: subprocess.run([SKIN, "trace", answer["prediction_id"]], env=env, capture_output=True).returncode == 0,
                 10, "the prediction to be stored")
        done = subprocess.run(line, shell=True, env=env, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == answer["dataset_digest"]


def test_the_generators_command_works_as_written(tmp_path):
    [line] = commands("skin generate")
    done = subprocess.run([SKIN, *shlex.split(line.replace("/tmp/lesions", str(tmp_path / "lesions")))[1:]],
                          capture_output=True, text=True, check=True)
    assert "300 files of 100 patients" in done.stdout
    assert len(list((tmp_path / "lesions").rglob("*.jpg"))) == 300


def test_every_place_that_the_readme_names_is_there():
    table = README.split("## Where do I change")[1].split("## Settings")[0]
    for name in re.findall(r"`([a-z_]+/(?:[a-z_/]*(?:\.py|\.yaml|/))?)`", table):
        assert (ROOT / name).exists() or (ROOT / "skin_platform" / name).exists() or "defs" in name, name


def test_every_command_of_the_readme_is_known():
    shown = subprocess.run([SKIN, "--help"], capture_output=True, text=True, check=True).stdout
    for name in set(re.findall(r"skin ([a-z]+)", " ".join(commands("skin")) + " ".join(re.findall(r"`(skin [a-z]+)", README)))):
        assert re.search(rf"\b{name}\b", shown), name


def test_bad_use_of_the_command_line_is_one_clear_error(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    cases = [(["generate", "--out", str(tmp_path / "full")], "not an empty folder"),
             (["generate", "--out", str(tmp_path / "new"), "--size", "10"], "size_px"),
             (["generate", "--out", str(tmp_path / "new"), "--labels", "a,a"], "labels"),
             (["ingest", "--home", str(tmp_path / "nohome"), "--dry-run"], "run `skin home` to write one"),
             (["predict", "x.jpg", "--url", "http://127.0.0.1:9"], "x.jpg")]
    for arguments, message in cases:
        done = subprocess.run([SKIN, *arguments], capture_output=True, text=True)
        assert done.returncode == 1, arguments
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr

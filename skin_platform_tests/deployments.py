"""Deployments under test: deliveries made by the generator, and homes that they were walked into by the real command line."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World

ROOT = Path(__file__).parents[1]
SKIN = str(Path(sys.executable).parent / "skin")
LABELS = ("blau é", "rot", "zart")
MEMORY_BYTES = 8_000_000_000  # a whole run leaves about 2 GB


if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two pools of threads on two cores wait for each other; read once, by torch


def pytest_configure(config: pytest.Config) -> None:
    """Temporary folders lie in memory where there is enough of it: half of their time tests wait for databases to be synced."""
    memory = Path("/dev/shm")
    if config.option.basetemp is None and memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the most slow tests come first, so that no process is left with a long one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No variable and no ``.env`` of the developer reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*Settings.model_fields, "dagster_home", "bentoml_home"):
            patch.delenv(name.upper(), raising=False)
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(autouse=True)
def own_tracking() -> None:
    """MLflow writes the address and experiment that a test has used into the environment; the next test has its own."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]


@dataclass(frozen=True)
class Deployment:
    """A home that a delivery was walked into: the delivery's folder, and what `skin demo --json` told."""

    home: Path
    delivery: Path
    story: dict[str, Any]
    shown: str

    @property
    def settings(self) -> Settings:
        return load_settings(skin_home=self.home)

    @property
    def stores(self) -> Stores:
        return Stores(self.settings)


def skin(*arguments: object, env: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    done = subprocess.run([SKIN, *map(str, arguments)], env={**os.environ, **(env or {})}, capture_output=True, text=True,
                          timeout=500, check=False)
    if check and done.returncode:
        raise AssertionError(f"skin {arguments} exited with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def small_delivery(folder: Path, seed: int = 5, images: int = 40, **plants: float) -> Path:
    """A delivery of few images of few patients."""
    generate(World(images=images, patients=max(3, images // 3), labels=LABELS, seed=seed, size_px=224, **plants), folder)
    return folder


def spoil(folder: Path) -> dict[str, str]:
    """Add every bad input of the first round to a delivery; returns a word of the expected reason by file."""
    good = sorted(path for path in (folder / LABELS[0]).iterdir() if path.stat().st_size > 2000)[0].read_bytes()
    other = folder / LABELS[1]
    for name, data in {"empty.jpg": b"", "text.jpg": b"hello, this is no picture\n" * 50, "cut.jpg": good[: len(good) // 2],
                       "scan.tiff": b"II*\0", "gif.png": b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\0;"}.items():
        (other / name).write_bytes(data)
    (folder / "stray.jpg").write_bytes(good)
    (folder / "not configured").mkdir()
    (folder / "not configured" / "x.jpg").write_bytes(good)
    return {f"{LABELS[1]}/empty.jpg": "empty", f"{LABELS[1]}/text.jpg": "not an image", f"{LABELS[1]}/cut.jpg": "truncated",
            f"{LABELS[1]}/scan.tiff": "extension", f"{LABELS[1]}/gif.png": "GIF", "stray.jpg": "no label",
            "not configured/x.jpg": "not in the configuration"}


def demand_nothing(home: Path, labels: Sequence[str]) -> None:
    """A home whose gates let any first model answer, as a person may write it; six test images could say anything."""
    settings = load_settings(skin_home=home)
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(labels), floor=0), encoding="utf-8")


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A small delivery with planted faults, walked by `skin demo --json` on the local folder: once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "deployment"
    told = folder / "told.json"
    with FileLock(folder.with_suffix(".lock")):
        if not told.is_file():
            delivery = small_delivery(folder / "clinic Ñ", duplicates=0.05, corrupt=0.1)
            demand_nothing(folder / "home", LABELS)
            done = skin("demo", "--data", delivery, "--home", folder / "home", "--epochs", 2, "--json",
                        env={"API_PORT": str(free_port())})
            told.write_text(json.dumps([json.loads(done.stdout.splitlines()[-1]), done.stderr]), encoding="utf-8")
    return Deployment(folder / "home", folder / "clinic Ñ", *json.loads(told.read_text(encoding="utf-8")))


@pytest.fixture
def copied(walked: Deployment, tmp_path: Path) -> Deployment:
    """The walked home once more, to be changed by a test."""
    shutil.copytree(walked.home, tmp_path / "home", symlinks=True)
    return Deployment(tmp_path / "home", walked.delivery, walked.story, walked.shown)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def background(*arguments: object, log: Path, env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that runs until the block ends; then it is stopped with everything that it started."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(a) for a in arguments], env={**os.environ, **(env or {})}, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_heed_interrupts)
        try:
            yield process
        finally:
            for sign, patience in ((signal.SIGINT, 30), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
            _wait_for_group(process.pid)


def _heed_interrupts() -> None:
    """A shell that starts a test run in the background has SIGINT ignored, by all that follows."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_for_group(group: int) -> None:
    """Make sure that no process of the group is left."""
    for _ in range(100):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.1)


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of ``condition``, asked until ``seconds`` are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")

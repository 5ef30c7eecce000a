"""`skin serve` before a promotion, after one that was forced and killed, and while the object store is down."""

from contextlib import ExitStack

import httpx
import pytest

from skin_platform.client import ApiError, SkinClient
from skin_platform.defs.bundling import ensure_bundle, export_champion
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import NAMES, new_home, promote, register
from skin_platform_tests.deployments import SKIN, background, free_port, skin, wait_for
from skin_platform_tests.ml.examples import pictures, png

pytestmark = pytest.mark.slow
KEY = "open-sesame"
IMAGE = png(pictures(2, 9).pixels[0])


class Served:
    """A running `skin serve` and what it has printed."""

    def __init__(self, url, log):
        self.url, self._log = url, log

    @property
    def shown(self):
        return self._log.read_text()

    def get(self, path):
        return httpx.get(f"{self.url}{path}", trust_env=False)

    def post(self, path, field):
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.url}{path}", files={field: IMAGE}, headers=headers, trust_env=False)


@pytest.fixture
def serve(tmp_path):
    """Start `skin serve` on a home, stopped at the end."""
    with ExitStack() as running:
        def start(home, **env):
            port, log = free_port(), tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
            process = running.enter_context(background(SKIN, "serve", "--home", home, "--port", port, log=log, env=env))
            served = Served(f"http://127.0.0.1:{port}", log)
            wait_for(lambda: process.poll() is not None or _is_live(served), 90, "the service")
            assert process.poll() is None, served.shown
            return served

        yield start


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with two versions, the first of which has a bento; nothing is promoted."""
    stores = new_home(tmp_path_factory.mktemp("serve") / "home")
    first, second = register(stores, 1, seed=1), register(stores, 2, seed=2)
    ensure_bundle(first, stores)
    return stores, first, second


def test_before_the_first_promotion_the_service_says_so_everywhere(tmp_path, serve):
    served = serve(tmp_path / "new home", API_KEY=KEY)
    assert served.get("/livez").status_code == 200
    ready = served.get("/readyz")
    assert (ready.status_code, "nothing has been promoted yet" in ready.text) == (503, True)
    status = served.get("/model-status").json()
    assert (status["ready"], status["model_version"], status["promotion"]) == (False, None, None)
    for told in (status, served.get("/health").json()):
        assert "nothing has been promoted yet" in told["reason"]
        assert "skin models promote" in told["reason"]
    assert "nothing has been promoted yet" in served.shown
    assert "Traceback" not in served.shown
    with SkinClient(served.url) as client, pytest.raises(ApiError) as refused:
        client.predict(IMAGE)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized"), "the key comes first"
    for path, field in (("/predict", "image"), ("/predict/batch", "images"), ("/predict", "picture")):
        answer = served.post(path, field)
        assert (answer.status_code, answer.json()["code"]) == (503, "no_champion")
        assert "skin models promote" in answer.json()["message"]


def test_the_champion_of_the_log_is_served_though_nothing_has_followed_it_yet(built, serve):
    stores, first, second = built
    promote(stores, first, "forced", floor=0.5)  # and killed before the export; the second is newer
    served = serve(stores.settings.home.root)
    wait_for(lambda: served.get("/readyz").status_code == 200, 60, "the golden images")
    status = served.get("/model-status").json()
    assert status["model_version"] == first != second
    told = status["promotion"]
    assert (told["kind"], told["by"], told["why"], told["number"], told["floor"]) == ("forced", "Ärztin", "as agreed", 1, 0.5)
    assert status["superseded_by"] is None
    answer = served.post("/predict", "image").json()
    assert (answer["model_version"], answer["bundle"]) == (first, f"lesion_classifier:{first}")
    assert answer["label"] in NAMES
    assert f"serving lesion_classifier:{first}" in served.shown
    assert "PROMOTED BY FORCE by Ärztin: as agreed" in served.shown
    assert "FLOOR LOWERED TO 0.5" in served.shown
    promote(stores, second)
    assert export_champion(stores) == second
    status = served.get("/model-status").json()
    assert (status["model_version"], status["promotion"], status["superseded_by"]) == (first, None, second)


def test_with_the_object_store_down_the_export_on_this_machine_is_served(built, serve):
    stores, first, _ = built
    if stores.moves.current("champion") is None:
        promote(stores, first)
    exported = export_champion(Stores(load_settings(skin_home=stores.settings.home.root)))
    served = serve(stores.settings.home.root, S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert served.get("/model-status").json()["model_version"] == exported
    [warning] = [line for line in served.shown.splitlines() if line.startswith("warning:")]
    assert "S3_ENDPOINT" in warning
    assert f"Serving lesion_classifier:{exported}, which is on this machine" in warning


def test_with_the_object_store_down_and_nothing_on_this_machine_the_fault_is_told(tmp_path):
    done = skin("serve", "--home", tmp_path, "--port", free_port(), env={"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
                check=False)
    assert done.returncode == 1
    assert "check S3_ENDPOINT" in done.stderr
    assert "promoted" not in done.stderr, "whether anything was is not known"


def _is_live(served):
    try:
        return served.get("/livez").status_code == 200
    except httpx.HTTPError:
        return False

"""`skin serve` before a promotion and after the first, after one that was forced and killed, and with the store down."""

import json
from contextlib import ExitStack

import httpx
import pytest

from skin_platform.client import ApiError, SkinClient
from skin_platform.defs.bundling import export_champion
from skin_platform.settings import load_settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import NAMES, new_home, promote, register
from skin_platform_tests.deployments import SKIN, background, free_port, skin, wait_for
from skin_platform_tests.ml.examples import pictures, png
from skin_platform_tests.serving.tiny_bundles import LABELS, promoted, tiny_bundle, version_of

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

    def is_ready(self):
        return self.get("/readyz").status_code == 200


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
def stores(tmp_path_factory):
    """A home with a version that was promoted by force, by a process that was killed before anything followed."""
    found = new_home(tmp_path_factory.mktemp("serve") / "home")
    promote(found, register(found, 1, seed=1), "forced", floor=0.5)
    return found


def test_before_the_first_promotion_the_service_says_so_everywhere_and_then_it_answers(tmp_path, serve):
    home = tmp_path / "new home"
    served = serve(home, API_KEY=KEY)
    assert served.get("/livez").status_code == 200
    ready = served.get("/readyz")
    assert (ready.status_code, "nothing has been promoted yet" in ready.text) == (503, True)
    status = served.get("/model-status").json()
    assert (status["ready"], status["model_version"], status["promotion"]) == (False, None, None)
    for told in (status, served.get("/health").json()):
        assert "nothing has been promoted yet" in told["reason"]
        assert "skin models promote" in told["reason"]
    assert "nothing has been promoted yet" in served.shown
    assert f"curl -H 'Authorization: Bearer <key>' -F image=@photo.jpg {served.url}/predict" in served.shown
    assert "Traceback" not in served.shown
    with SkinClient(served.url, retries=0) as client, pytest.raises(ApiError) as refused:
        client.predict(IMAGE)
    assert (refused.value.status, refused.value.code) == (401, "unauthorized"), "the key comes first"
    for path, field in (("/predict", "image"), ("/predict/batch", "images"), ("/predict", "picture")):
        answer = served.post(path, field)
        assert (answer.status_code, answer.json()["code"]) == (503, "no_champion")
        assert "skin models promote" in answer.json()["message"]

    promoted(load_settings(skin_home=home), tiny_bundle(1), 1)
    wait_for(served.is_ready, 30, "the first champion to be taken up")
    answer = served.post("/predict", "image").json()
    assert (answer["model_version"], answer["label"] in LABELS) == (version_of(1), True)


def test_the_champion_of_the_log_is_served_though_nothing_has_followed_it_yet(stores, serve):
    [version] = stores.versions.list_model_versions()
    served = serve(stores.settings.home.root, SKIN_KEEP_IMAGES="true")
    wait_for(served.is_ready, 60, "the golden images")
    status = served.get("/model-status").json()
    assert (status["model_version"], status["superseded_by"], status["refused"]) == (version, None, None)
    told = status["promotion"]
    assert (told["kind"], told["by"], told["why"], told["number"], told["floor"]) == ("forced", "Ärztin", "as agreed", 1, 0.5)
    answer = served.post("/predict", "image").json()
    assert (answer["model_version"], answer["bundle"]) == (version, f"lesion_classifier:{version}")
    assert answer["label"] in NAMES
    assert f"serving lesion_classifier:{version}" in served.shown
    assert f"ask it: curl -F image=@photo.jpg {served.url}/predict" in served.shown
    assert "PROMOTED BY FORCE by Ärztin: as agreed" in served.shown
    assert "FLOOR LOWERED TO 0.5" in served.shown
    online = OnlineStore(stores.settings.online_url)
    wait_for(lambda: online.predictions(only_kept=True), 30, "the prediction in the database")
    replayed = json.loads(skin("replay", "--version", "champion", "--home", stores.settings.home.root, "--json").stdout)
    assert (replayed["version"], replayed["predictions"], replayed["label_changes"], replayed["missing"]) == (version, 1, 0, [])
    assert replayed["max_difference"] <= 1e-5


def test_with_the_object_store_down_the_export_on_this_machine_is_served(stores, serve):
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

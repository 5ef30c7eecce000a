"""`make dev`: files that are dropped while it runs become a bundle, by the sensors alone."""

import json
import os
import shutil
import sys
import time

import dagster as dg
import httpx
import pytest

from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, SKIN, background, free_port, small_delivery, wait_for

pytestmark = pytest.mark.slow
QUICK = {"CHECK_INTERVAL_SECONDS": "2", "SKIN_SETTLE_SECONDS": "2"}


@pytest.fixture
def home(tmp_path):
    """A prepared home for the labels under test, trained briefly."""
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(LABELS), floor=0), encoding="utf-8")
    return settings.home


def ticks(home, sensor):
    """How often the sensor has looked."""
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        states = [state for state in instance.all_instigator_state() if state.name == sensor]
        return len(instance.get_ticks(states[0].instigator_origin_id, states[0].selector_id)) if states else 0


def test_dropped_files_become_a_bundle_and_a_second_copy_changes_nothing(home, tmp_path):
    delivery = small_delivery(tmp_path / "delivery", seed=11, images=24)
    port = free_port()
    with background(SKIN, "dev", "--home", home.root, "--port", port, log=tmp_path / "dev.log", env=QUICK) as process:
        def log() -> str:
            assert process.poll() is None, (tmp_path / "dev.log").read_text()[-3000:]
            return (tmp_path / "dev.log").read_text()

        wait_for(lambda: log() and _answers(f"http://127.0.0.1:{port}/server_info"), 90, "the UI")
        shutil.copytree(delivery, home.landing / "lab")
        # a file that grows all the time is left alone, and holds nothing else up
        growing = home.landing / "lab" / LABELS[0] / "growing.jpg"
        until = time.monotonic() + 400
        bundle = None
        while bundle is None and time.monotonic() < until:
            with growing.open("ab") as file:
                file.write(b"\xff\xd8 more")
            bundle = _exported(home)
            log()
            time.sleep(0.5)
        assert bundle, (tmp_path / "dev.log").read_text()[-3000:]
        stores = Stores(load_settings(skin_home=home.root))
        batches = stores.ledger.batch_ids()
        table = stores.catalogue.read()
        assert len(table) == 24
        assert growing.name not in str(list(stores.quarantine.entries(stores.ledger)))
        assert all(len(str(_cursor(home, name) or "")) < 1024 for name in ("landing_sensor", "catalogue_sensor"))
        for path in sorted(delivery.rglob("*.*")):
            shutil.copy(path, home.landing / "lab" / path.relative_to(delivery))
        seen = ticks(home, "landing_sensor")
        wait_for(lambda: log() and ticks(home, "landing_sensor") > seen + 3, 60, "three more looks at the landing folder")
        assert stores.ledger.batch_ids() - batches <= {max(stores.ledger.batch_ids())}  # the grown file, once it is still
        assert len(stores.catalogue.read()) == 24
        assert _exported(home) == bundle
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        trained = instance.get_runs(dg.RunsFilter(job_name="train_now"))
        assert [run.status for run in trained] == [dg.DagsterRunStatus.SUCCESS]


def _answers(url):
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _exported(home):
    try:
        return json.loads((home.export / "bundle.json").read_text())["model_version"]
    except FileNotFoundError:
        return None


def _cursor(home, sensor):
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        return next((state.instigator_data.cursor for state in instance.all_instigator_state()
                     if state.name == sensor and state.instigator_data), None)


def test_the_python_that_runs_the_tests_has_the_command_beside_it():
    assert os.access(SKIN, os.X_OK), f"no `skin` beside {sys.executable}: run make setup"

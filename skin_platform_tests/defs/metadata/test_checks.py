"""Promises of the table's checks and of decisions on it: what is odd is told, what would do harm stops the run."""

import json
import shutil

import dagster as dg
import pytest

from skin_platform.core.lesions import QUALITY
from skin_platform.definitions import build_definitions
from skin_platform.defs.metadata import checks
from skin_platform.defs.metadata.checks import CHECKS
from skin_platform.defs.resources import default_resources
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, skin, small_delivery

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path):
    """A home whose dataset.yaml takes every label."""
    found = load_settings(skin_home=tmp_path / "home")
    prepare_home(found)
    config = found.dataset_config_path
    config.write_text(config.read_text(encoding="utf-8").replace("labels: [irregular, mottled, plain]", "labels: []"),
                      encoding="utf-8")
    return load_settings(skin_home=tmp_path / "home")


def verdicts(settings):
    """What each check of the table says now, by name, as Dagster runs them."""
    job = dg.define_asset_job("checks_alone", selection=dg.AssetSelection.checks(*CHECKS))
    definitions = dg.Definitions.merge(build_definitions(default_resources(settings)), dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as instance:
        result = definitions.resolve_job_def("checks_alone").execute_in_process(instance=instance, raise_on_error=False)
        return {found.check_name: found for found in result.get_asset_check_evaluations()}


def failing(settings):
    return sorted(name for name, found in verdicts(settings).items() if not found.passed)


def test_a_sound_catalogue_passes_every_check(copied):
    found = verdicts(copied.settings)
    assert set(found) == {check.check_key.name for check in CHECKS}
    assert failing(copied.settings) == []
    assert set(found["quality_does_not_tell_the_label"].metadata["explained"].value) == set(QUALITY)


def test_an_object_that_is_lost_or_cut_stops_the_run(copied):
    stores = copied.stores
    first, second, *_ = stores.objects.list_objects(stores.images_bucket)
    stores.objects.delete_object(stores.images_bucket, first.key)
    stores.objects.upload_file(stores.images_bucket, second.key, b"cut")
    found = verdicts(copied.settings)["objects_are_there"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.description.startswith("2 of ")


def test_a_published_table_that_is_not_what_it_says_stops_the_run(copied):
    stores = copied.stores
    bucket, key = stores.settings.s3_bucket_data, "catalogue/state.json"
    state = json.loads(stores.objects.download_file(bucket, key))
    next(iter(state["sums"].values()))[0] += 1
    stores.objects.upload_file(bucket, key, json.dumps(state).encode())
    assert failing(copied.settings) == ["table_is_as_declared"]


def test_likeness_that_joins_very_many_patients_is_told(copied, monkeypatch):
    monkeypatch.setattr(checks, "MOST_HOUSEHOLDS", 0)
    found = verdicts(copied.settings)["near_duplicate_groups_are_small"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["count"].value > 0
    assert found.metadata["taken_apart"].value == 0


def test_labels_that_are_no_longer_configured_are_told(copied):
    config = copied.settings.dataset_config_path
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(f", {LABELS[2]}]", "]"), encoding="utf-8")
    assert config.read_text(encoding="utf-8") != text
    found = verdicts(copied.settings)["labels_are_configured"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_conflict_is_listed_with_its_files_and_decided_with_who_and_why(settings, tmp_path):
    delivery = small_delivery(tmp_path / "lab", images=9)
    (delivery / "manifest.csv").unlink()
    first = sorted((delivery / LABELS[0]).iterdir())[0]
    shutil.copy(first, delivery / LABELS[1] / "other view.jpg")
    skin("ingest", "--home", settings.home.root, "--source", delivery)
    [conflict] = json.loads(skin("conflicts", "--home", settings.home.root, "--json").stdout)
    assert conflict["labels"] == sorted(LABELS[:2])
    assert [name.split(": ")[1] for name in conflict["files"][LABELS[1]]] == [f"{LABELS[1]}/other view.jpg"]
    stores = Stores(settings)
    before = stores.catalogue.state()
    wrong = skin("resolve", conflict["sha256"][:10], "--label", "unheard of", "--why", "x", "--home", settings.home.root,
                 check=False)
    assert wrong.returncode == 1
    assert "'unheard of' is no label here" in wrong.stderr
    skin("resolve", conflict["sha256"][:10], "--label", LABELS[1], "--why", "second reading", "--who", "Dr. Weiß",
         "--home", settings.home.root)
    assert json.loads(skin("conflicts", "--home", settings.home.root, "--json").stdout) == []
    after = stores.catalogue.state()
    assert (after.trainable, after.rows) == (before.trainable + 1, before.rows)
    [kept] = stores.resolutions.in_force()
    assert (kept.label, kept.who, kept.why) == (LABELS[1], "Dr. Weiß", "second reading")
    told = skin("catalogue", "--home", settings.home.root, "--sql", f"SELECT label, exclusion FROM lesions_data WHERE sha256 = "
                f"'{conflict['sha256']}' ORDER BY label", "--json").stdout
    assert {row["label"]: row["exclusion"] for row in json.loads(told)} == {LABELS[0]: "overruled", LABELS[1]: None}

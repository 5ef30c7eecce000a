"""The rooms as Dagster runs them: sensors, checks, replays, killed runs, materializations by hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from skin_platform.core.datasets import DatasetRow
from skin_platform.dataset_entries import BackboneConfig
from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.burying import bury_killed_runs
from skin_platform.defs.checkpoints.config import TrainConfig
from skin_platform.defs.datasets.sensors import catalogue_sensor
from skin_platform.defs.raw.sensors import landing_sensor
from skin_platform.defs.resources import StoresResource, default_resources
from skin_platform.ml.config import TrainingConfig
from skin_platform.settings import load_settings
from skin_platform.storage.datasets import manifest_key
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, SKIN, skin, small_delivery
from skin_platform_tests.storage.frozen import freeze_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIN_SETTLE_SECONDS", "0")
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(LABELS), floor=0), encoding="utf-8")
    return settings


@pytest.fixture
def instance(settings):
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as found:
        yield found


def look(sensor, settings, instance, cursor=None):
    """One tick of a sensor on the real instance."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return sensor(context, stores=StoresResource(home=str(settings.home.root)))


def run(settings, instance, job, **options):
    definitions = build_definitions(default_resources(settings))
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **options)


def ingest(settings, instance):
    """What the sensor asks for, done."""
    result = look(landing_sensor, settings, instance)
    for request in result.dynamic_partitions_requests:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    for request in result.run_requests:
        assert run(settings, instance, "ingest_batch", partition_key=request.partition_key).success


def test_the_landing_sensor_asks_once_for_each_batch_and_keeps_a_small_cursor(settings, instance, monkeypatch):
    monkeypatch.setenv("SKIN_MAX_BATCH_FILES", "10")
    small_delivery(settings.home.landing / "lab", images=24)
    first = look(landing_sensor, settings, instance)
    assert [request.partition_key.removeprefix(first.run_requests[0].partition_key) for request in first.run_requests] == [
        "", "-2", "-3"]
    again = look(landing_sensor, settings, instance, first.cursor)
    assert [r.run_key for r in again.run_requests] == [r.run_key for r in first.run_requests]  # so Dagster drops them
    assert len(first.cursor or "") < 1024
    ingest(settings, instance)
    assert isinstance(look(landing_sensor, settings, instance), dg.SkipReason)


def test_the_catalogue_sensor_asks_for_training_until_the_bundle_holds_what_is_there(copied, monkeypatch, tmp_path):
    monkeypatch.setenv("SKIN_SETTLE_SECONDS", "0")
    settings = copied.settings
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as instance:
        assert "was trained on what the catalogue holds" in look(catalogue_sensor, settings, instance).skip_message
        small_delivery(settings.home.landing / "more", seed=31, images=9)
        ingest(settings, instance)
        [request] = look(catalogue_sensor, settings, instance).run_requests
        [again] = look(catalogue_sensor, settings, instance).run_requests
        assert request.run_key == again.run_key
        config = {"ops": {"checkpoints__lesion_classifier": {"config": {"epochs": 1}}}}
        before = Stores(settings).datasets.latest()
        trained = run(settings, instance, "train_now", run_config=config)  # a gate may refuse it: it was trained all the same
        made = {event.asset_key.path[-1]: event for event in trained.get_asset_materialization_events()}
        assert {"version", "model_version", "verdict"} <= set(made)
        assert "was trained on what the catalogue holds" in look(catalogue_sensor, settings, instance).skip_message
        stores = Stores(settings)
        old = {row.sha256: row.split for row in stores.datasets.read(before)}
        new = {row.sha256: row.split for row in stores.datasets.read(stores.datasets.latest())}
        assert len(new) == len(old) + 9
        assert {sha256: new[sha256] for sha256 in old} == old
    version = stores.references.read(["registry", "model_version"])
    assert version["evaluation"]["checkpoint"]["dataset"]["digest"] == stores.datasets.latest()


def test_an_empty_catalogue_asks_for_nothing(settings, instance):
    assert look(catalogue_sensor, settings, instance).skip_message == "the catalogue is empty"


def test_replaying_a_batch_changes_nothing_even_when_its_files_are_gone(settings, instance):
    small_delivery(settings.home.landing / "lab", images=12, corrupt=0.1)
    ingest(settings, instance)
    stores = Stores(settings)
    before = stores.catalogue.state()
    [batch] = stores.ledger.batch_ids()
    assert run(settings, instance, "ingest_batch", partition_key=batch).success
    assert stores.catalogue.state() == before
    shutil.rmtree(settings.home.landing / "lab")
    assert run(settings, instance, "ingest_batch", partition_key=batch).success
    assert stores.catalogue.state() == before


def test_a_batch_that_a_person_names_takes_what_lies_there(settings, instance):
    small_delivery(settings.home.landing / "lab", images=9)
    instance.add_dynamic_partitions("batches", ["2026-05-01-roma", "2026-05-01-none", "May 1st"])
    assert run(settings, instance, "ingest_batch", partition_key="2026-05-01-roma").success
    assert len(Stores(settings).catalogue.read()) == 9
    for key, reason in (("2026-05-01-none", "nothing new has landed"), ("May 1st", "is no batch id")):
        result = run(settings, instance, "ingest_batch", partition_key=key)
        assert not result.success
        assert reason in result.failure_data_for_node("raw__images").user_failure_data.description


@pytest.mark.parametrize("delivered", [("train", "val"), ("train", "validation"), ("train",), ("val",)])
def test_delivered_splits_hold_and_an_empty_one_is_filled(settings, instance, tmp_path, delivered):
    images = small_delivery(tmp_path / "images", images=30)
    (images / "manifest.csv").unlink()
    for position, path in enumerate(sorted(images.rglob("*.jpg"))):
        target = settings.home.landing / delivered[position % len(delivered)] / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (settings.home.landing / "val").mkdir(exist_ok=True)
    ingest(settings, instance)
    definitions = build_definitions(default_resources(settings))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(["datasets", "version"])])
    assert result.success
    stores = Stores(settings)
    rows = {row.sha256: row.split for row in stores.datasets.read(stores.datasets.latest())}
    table = {row["sha256"]: row["split"] for row in stores.catalogue.read().to_pylist()}
    if len(delivered) == 2:
        assert rows == table
    else:
        assert set(rows.values()) == {"train", "val", "test"}


def test_a_dataset_that_leaks_fails_its_check_and_is_not_trained_on(copied):
    stores = copied.stores
    rows = stores.datasets.read(copied.story["dataset_digest"])
    leaking = [*rows, DatasetRow("f" * 64, rows[0].label, rows[0].group_id,
                                 "val" if rows[0].split == "train" else "train", rows[0].s3_uri)]
    digest = freeze_rows(stores.datasets, leaking)
    reference = json.loads(stores.objects.download_file("skin-data", "references/datasets/version/latest.json"))
    planted = reference | {"digest": digest, "manifest_key": manifest_key(digest)}
    stores.references.write(["datasets", "version"], "planted", planted)
    definitions = build_definitions(default_resources(copied.settings))
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(copied.home / "dagster")) as instance:
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, asset_selection=[dg.AssetKey(["checkpoints", "lesion_classifier"])])
        assert "in two splits" in result.failure_data_for_node("checkpoints__lesion_classifier").user_failure_data.description
    from skin_platform.defs.datasets.checks import no_group_in_two_splits

    verdict = no_group_in_two_splits(
        _dataset_reference(reference | {"digest": digest}), StoresResource(home=str(copied.home)))
    assert not verdict.passed


def test_what_was_changed_behind_our_back_is_refused(copied):
    key = f"datasets/{copied.story['dataset_digest']}/manifest.parquet"
    stores = copied.stores
    path = copied.home / "objects" / "skin-data" / key
    rows = stores.datasets.read(copied.story["dataset_digest"])
    path.unlink()
    (path.parent / "manifest.tsv").unlink()
    other_digest = freeze_rows(stores.datasets, rows[1:])
    shutil.copy(path.parent.parent / other_digest / "manifest.parquet", path)
    done = skin("trace", copied.story["answer"]["prediction_id"], "--home", copied.home, check=False)
    assert done.returncode == 1
    assert "changed after it was frozen" in done.stderr


def test_a_killed_ingest_is_simply_run_again(settings, tmp_path):
    delivery = small_delivery(tmp_path / "lab", images=60)
    for moment in (0.9, 1.3, 1.7, 2.2):
        process = subprocess.Popen([SKIN, "ingest", "--home", str(settings.home.root), "--source", str(delivery)],
                                   start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    skin("ingest", "--home", settings.home.root, "--source", delivery)
    skin("home", "--home", tmp_path / "calm")
    shutil.copy(settings.home.dataset_config, tmp_path / "calm" / "dataset.yaml")
    skin("ingest", "--home", tmp_path / "calm", "--source", delivery)

    def content(home):
        table = Stores(load_settings(skin_home=home)).catalogue.read().to_pylist()
        passing = ("batch_id", "ingested_at", "url_source")
        return [{name: value for name, value in row.items() if name not in passing} for row in table]

    assert content(settings.home.root) == content(tmp_path / "calm")
    assert len(content(settings.home.root)) == 60


def test_a_batch_whose_run_ended_badly_is_asked_for_again_but_not_for_ever(settings, instance, monkeypatch):
    small_delivery(settings.home.landing / "lab", images=9)
    keys = []
    for _ in range(3):
        [request] = look(landing_sensor, settings, instance).run_requests
        keys.append(request.run_key)
        instance.add_dynamic_partitions("batches", [request.partition_key])
        with monkeypatch.context() as patch:  # the endpoint is down
            patch.setenv("S3_ENDPOINT", "http://127.0.0.1:9")
            assert not run(settings, instance, "ingest_batch", partition_key=request.partition_key, tags=request.tags).success
    assert len(set(keys)) == 3
    assert "failed too often" in look(landing_sensor, settings, instance).skip_message


def test_a_killed_run_gives_back_its_place_in_the_pool(settings, instance):
    run_id = "0f3c9a52-0000-4000-8000-000000000001"
    definitions = build_definitions(default_resources(settings))
    instance.create_run_for_job(definitions.resolve_job_def("train_now"), run_id=run_id, status=dg.DagsterRunStatus.STARTED)
    instance.event_log_storage.claim_concurrency_slot("lesions", run_id, "some_step")
    child = subprocess.Popen([sys.executable, "-c", (
        "import sys, time; from pathlib import Path; from skin_platform.defs.burying import walking\n"
        "with walking(Path(sys.argv[1]), sys.argv[2]):\n    print('walking', flush=True); time.sleep(60)"),
        str(settings.home.dagster), run_id], stdout=subprocess.PIPE)
    assert child.stdout.readline()
    assert bury_killed_runs(instance, settings.home.dagster) == []
    child.kill()
    child.wait()
    assert bury_killed_runs(instance, settings.home.dagster) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_info("lesions").active_run_ids == set()


def test_the_launchpad_offers_every_training_setting_with_its_default():
    assert set(TrainConfig.model_fields) == set(TrainingConfig.__dataclass_fields__)
    assert TrainConfig().settings(BackboneConfig()) == TrainingConfig()
    assert all(field.description for field in TrainConfig.model_fields.values())


def test_a_training_setting_that_cannot_work_fails_with_its_reason(copied):
    config = {"ops": {"checkpoints__lesion_classifier": {"config": {"weights": "some-lab/some-model"}}}}
    with dg.DagsterInstance.from_config(str(copied.home / "dagster")) as instance:
        result = run(copied.settings, instance, "train_now", run_config=config)
        failure = result.failure_data_for_node("checkpoints__lesion_classifier")
        assert "revision" in failure.user_failure_data.description


def _dataset_reference(stored):
    from pydantic import TypeAdapter

    from skin_platform.core.references import DatasetReference

    return TypeAdapter(DatasetReference).validate_python(stored)

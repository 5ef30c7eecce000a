"""Promises of features as an asset: each image once for each backbone, asked for by the sensor alone."""

import shutil
import subprocess
import sys

import dagster as dg
import numpy as np
import pytest

from skin_platform.core.datasets import DatasetRow
from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.features import configured_embedder, configured_recipe, stored_features
from skin_platform.defs.metadata.sensors import embeddings_sensor
from skin_platform.defs.resources import StoresResource, default_resources
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, skin, small_delivery

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """A home into which two deliveries were brought, the second with half of the first one's images; never changed."""
    folder = tmp_path_factory.mktemp("embedded")
    settings = load_settings(skin_home=folder / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(LABELS), floor=0), encoding="utf-8")
    first = small_delivery(folder / "first", images=12)
    second = small_delivery(folder / "second", seed=6, images=6)
    for path in sorted(first.rglob("*.jpg"))[:6]:
        shutil.copy(path, second / path.parent.name / f"again-{path.name}")
    (second / "manifest.csv").unlink()
    for delivery in (first, second):
        skin("ingest", "--home", settings.home.root, "--source", delivery)
    return settings.home.root


@pytest.fixture
def settings(landed, tmp_path):
    shutil.copytree(landed, tmp_path / "home", symlinks=True)
    return load_settings(skin_home=tmp_path / "home")


@pytest.fixture
def instance(settings):
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as found:
        yield found


def asked(settings, instance):
    """The runs that the sensor asks for now."""
    context = dg.build_sensor_context(instance=instance)
    result = embeddings_sensor(context, stores=StoresResource(home=str(settings.home.root)))
    return result.run_requests if isinstance(result, dg.SensorResult) else []


def embed(settings, instance, batch, **tags):
    """What the asset told of a batch."""
    job = build_definitions(default_resources(settings)).resolve_job_def("embed_batch")
    result = job.execute_in_process(instance=instance, partition_key=batch, tags=tags, raise_on_error=False)
    if not result.success:
        raise RuntimeError(result.failure_data_for_node("metadata__embeddings").error.to_string())
    [event] = result.asset_materializations_for_node("metadata__embeddings")
    return {name: value.value for name, value in event.metadata.items()}


def test_the_sensor_has_each_batch_embedded_once_and_no_image_twice(settings, instance):
    requests = asked(settings, instance)
    assert len(requests) == 2
    told = [embed(settings, instance, request.partition_key) for request in requests]
    assert [(item["images"], item["computed"], item["reused"]) for item in told] == [(12, 12, 0), (12, 6, 6)]
    assert asked(settings, instance) == []
    again = embed(settings, instance, requests[0].partition_key)
    assert (again["computed"], again["reused"], again["digest"]) == (0, 12, told[0]["digest"])


def test_another_backbone_has_all_asked_for_again_and_the_old_features_stay(settings, instance):
    for request in asked(settings, instance):
        embed(settings, instance, request.partition_key)
    stores = Stores(settings)
    rows = _rows(stores)
    before = stored_features(rows, configured_embedder(stores), stores, lambda told: None)
    config = settings.dataset_config_path
    config.write_text(config.read_text().replace("backbone: {name: auto", "backbone: {name: efficientnet_b0"), encoding="utf-8")
    changed = load_settings(skin_home=settings.home.root)
    assert configured_recipe(changed) != configured_recipe(settings)
    assert len(asked(changed, instance)) == 2
    config.write_text(config.read_text().replace("name: efficientnet_b0", "name: auto"), encoding="utf-8")
    assert asked(load_settings(skin_home=settings.home.root), instance) == []
    after = stored_features(rows, configured_embedder(stores), stores, lambda told: None)
    np.testing.assert_array_equal(after, before)


def test_features_that_nobody_asked_for_before_are_computed_and_kept(settings):
    stores, told = Stores(settings), []
    embedder = configured_embedder(stores)
    rows = _rows(stores)
    first = stored_features(rows[:5], embedder, stores, told.append)
    every = stored_features(rows, embedder, stores, told.append)
    np.testing.assert_array_equal(every[:5], first)
    assert told[-1] == f"features of {len(rows)} images by {embedder.digest[:16]}: 5 were stored"
    assert first.std() > 0


def test_a_batch_that_cannot_be_embedded_is_asked_for_again_but_not_for_ever(settings, instance, monkeypatch):
    monkeypatch.setenv("TASK_RETRIES", "1")
    shutil.rmtree(settings.home.objects / settings.dataset.bucket)
    shutil.rmtree(settings.home.cache, ignore_errors=True)
    attempts = []
    while requests := asked(settings, instance):
        attempts.append(requests[0].run_key)
        for request in requests:
            with pytest.raises(RuntimeError, match="is not there"):
                embed(settings, instance, request.partition_key, **request.tags)
    assert len(set(attempts)) == 2


def test_the_sensor_costs_no_import_of_torch_and_lets_training_go_first(settings, instance):
    code = ("import sys, dagster as dg; from skin_platform.defs.metadata.sensors import embeddings_sensor\n"
            "from skin_platform.defs.resources import StoresResource\n"
            "with dg.DagsterInstance.from_config(sys.argv[1]) as instance:\n"
            "    context = dg.build_sensor_context(instance=instance)\n"
            "    found = embeddings_sensor(context, stores=StoresResource(home=sys.argv[2]))\n"
            "print(len(found.run_requests), 'torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, str(settings.home.dagster), str(settings.home.root)], check=True,
                          capture_output=True, text=True)
    assert done.stdout.split() == ["2", "False"]
    train_now = build_definitions(default_resources(settings)).resolve_job_def("train_now")
    instance.create_run_for_job(train_now, status=dg.DagsterRunStatus.STARTED)
    assert asked(settings, instance) == []


def _rows(stores):
    return [DatasetRow(row["sha256"], row["label"], row["group_id"], "train", row["s3_uri"])
            for row in stores.catalogue.read().to_pylist()]

"""Training as Dagster runs it: what is tried again, what is refused at once, what a terminated run leaves behind."""

import contextlib
import os
import signal
import threading
import time

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from pydantic import TypeAdapter

from skin_platform.core.references import CheckpointReference
from skin_platform.dataset_entries import BackboneConfig
from skin_platform.definitions import build_definitions
from skin_platform.defs.checkpoints.config import TrainConfig
from skin_platform.defs.checkpoints.ending import ended_well
from skin_platform.defs.resources import default_resources
from skin_platform.ml.backbones import build_backbone
from skin_platform.ml.checkpoints import load_checkpoint
from skin_platform.ml.config import ConfigError, TrainingConfig
from skin_platform.ml.failures import BadData, OutOfMemory
from skin_platform.settings import load_settings


@pytest.mark.parametrize(("errors", "attempts", "is_made"), [
    ([OSError("the network was away")], 2, True), ([OSError("away")] * 3, 3, False), ([OutOfMemory("batch_size")], 1, False),
    ([BadData("image abc")], 1, False), ([ConfigError("width")], 1, False)])
def test_what_a_retry_can_clear_is_tried_again_and_nothing_else(errors, attempts, is_made):
    settings, tried = load_settings(task_retries=2, retry_delay_seconds=0), []

    @dg.asset
    def learnt(context: dg.AssetExecutionContext) -> None:
        with ended_well(context, settings):
            tried.append(len(tried))
            if len(tried) <= len(errors):
                raise errors[len(tried) - 1]

    result = dg.materialize([learnt], raise_on_error=False)
    assert (len(tried), result.success) == (attempts, is_made)
    if not is_made:
        failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
        assert str(errors[-1]) in f"{failure.user_failure_data} {failure.error_display_string}"


def test_an_empty_launchpad_takes_the_backbone_of_dataset_yaml():
    named = BackboneConfig(name="convnext", weights="lab/eye", revision="0" * 40)
    config = TrainConfig().settings(named)
    assert (config.backbone, config.weights, config.revision) == ("convnext", "lab/eye", "0" * 40)
    own = TrainConfig(backbone="resnet18").settings(named)
    assert (own.backbone, own.weights, own.revision) == ("resnet18", "", "")
    assert TrainConfig(weights="here").settings(named).backbone == "auto"


def train(settings, instance, config):
    """The training alone, on the dataset that was frozen last."""
    job = build_definitions(default_resources(settings)).resolve_job_def("train_now")
    return job.execute_in_process(instance=instance, raise_on_error=False,
                                  run_config={"ops": {"checkpoints__lesion_classifier": {"config": config}}},
                                  asset_selection=[dg.AssetKey(["checkpoints", "lesion_classifier"])])


def messages(instance):
    """What all runs have logged."""
    return [entry.user_message for record in instance.get_run_records()
            for entry in instance.all_logs(record.dagster_run.run_id)]


@pytest.mark.slow
def test_a_terminated_run_says_how_to_go_on_and_the_next_one_does(copied):
    settings = copied.settings
    config = {"epochs": 3, "image_size_px": 32, "width": 0.125, "save_seconds": 0.0, "batch_size": 8}

    def terminate():
        while not list(settings.home.training.glob("*/resume.ckpt")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    with dg.DagsterInstance.ephemeral() as instance:
        terminator = threading.Thread(target=terminate)
        terminator.start()
        with contextlib.suppress(DagsterExecutionInterruptedError):  # as Dagster sees fit
            assert not train(settings, instance, config).success
        terminator.join()
        assert list(settings.home.training.glob("*/resume.ckpt"))
        assert train(settings, instance, config).success
        told = messages(instance)
    assert any("the same training started again goes on from there" in line for line in told)
    assert any("going on after step" in line for line in told)
    assert not list(settings.home.training.glob("*/resume.ckpt"))
    reference = TypeAdapter(CheckpointReference).validate_python(
        copied.stores.references.read(["checkpoints", "lesion_classifier"]))
    record = load_checkpoint(copied.stores.models.read(reference.key, reference.sha256)).record
    assert len(record["history"]) == 3
    assert record["dataset_digest"] == reference.dataset.digest
    assert {"code_version", "backbone_digest", "metrics", "config", "kept_epoch", "chosen_by"} <= set(record)


@pytest.mark.slow
def test_a_frozen_backbone_sees_each_image_once(copied, tmp_path):
    build_backbone(TrainingConfig(width=0.125, image_size_px=32).resolved(8)).save_pretrained(tmp_path / "hub")
    config = {"weights": str(tmp_path / "hub"), "frozen": True, "image_size_px": 32, "epochs": 2}
    with dg.DagsterInstance.ephemeral() as instance:
        assert train(copied.settings, instance, config).success
        first = [line for line in messages(instance) if "were stored" in line]
        assert train(copied.settings, instance, config | {"seed": 1}).success
        again = [line for line in messages(instance) if "were stored" in line and line not in first]
    images = sum(1 for row in copied.stores.datasets.read(copied.story["dataset_digest"]) if row.split in ("train", "val"))
    assert first[0].endswith(": 0 were stored")
    assert again[0].endswith(f": {images} were stored")


@pytest.mark.slow
@pytest.mark.parametrize(("config", "words"), [
    ({"weights": "lab/eye", "revision": "0" * 40}, "hf download"),
    ({"learning_rate": 1e30, "image_size_px": 32}, "loss is nan")])
def test_what_cannot_work_fails_the_run_at_once_with_its_remedy(copied, config, words):
    with dg.DagsterInstance.ephemeral() as instance:
        assert not train(copied.settings, instance, config).success
        events = [entry.dagster_event for run in instance.get_run_records()
                  for entry in instance.all_logs(run.dagster_run.run_id) if entry.is_dagster_event]
    failures = [event for event in events if event.is_step_failure]
    assert len(failures) == 1
    assert words in failures[0].step_failure_data.user_failure_data.description

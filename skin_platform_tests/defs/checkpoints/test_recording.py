"""MLflow hears of every training: at once where it answers, afterwards where it does not, and no training fails for it."""

import json
import sys

import dagster as dg
import httpx
import pytest
from mlflow import MlflowClient
from pydantic import TypeAdapter

from skin_platform.core.references import CheckpointReference
from skin_platform.definitions import build_definitions
from skin_platform.defs.checkpoints.recording import Recorder, record_scores, silence, tell_waiting
from skin_platform.defs.checkpoints.unrecorded import unrecorded_sensor
from skin_platform.defs.resources import StoresResource, Tracking, default_resources
from skin_platform.defs.tracking_database import experiment_in
from skin_platform.defs.walk import instance_in, walk_job
from skin_platform.ml.checkpoints import load_checkpoint
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.deployments import background, free_port, wait_for

SECRET = "not-for-a-log"


def _trained(stores):
    """The checkpoint of a walk, its epochs and its scores."""
    reference = TypeAdapter(CheckpointReference).validate_python(stores.references.read(["checkpoints", "lesion_classifier"]))
    loaded = load_checkpoint(stores.models.read(reference.key, reference.sha256))
    scores = stores.references.read(["checkpoints", "evaluation"])
    return reference, loaded.record, json.loads(stores.models.read(scores["report_key"], scores["report_sha256"]))


def test_what_mlflow_did_not_hear_is_told_once_it_answers(copied):
    dead = Stores(load_settings(skin_home=copied.home, mlflow_tracking_uri=f"http://me:{SECRET}@127.0.0.1:{free_port()}"))
    reference, record, stored = _trained(dead)
    warnings = []
    recorder = Recorder(Tracking(None, "refused"), dead, "a-dagster-run", warnings.append)
    for row in record["history"]:
        recorder.epoch(row)
    assert recorder.finish(reference, record["config"], record["history"]) == ""
    record_scores(dead, recorder.run_key, stored, warnings.append)
    assert dead.unrecorded.waiting("fit") == dead.unrecorded.waiting("evaluation") == ["a-dagster-run"]
    assert any("skin models record" in warning for warning in warnings)
    assert SECRET not in "".join(warnings) + silence(dead)

    alive = copied.stores
    run_id = dict(tell_waiting(alive))["a-dagster-run"]
    client = MlflowClient(tracking_uri=alive.settings.mlflow_uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dataset_digest"] == reference.dataset.digest
    assert run.data.tags["dagster_run_id"] == reference.dagster_run_id
    assert run.inputs.dataset_inputs[0].dataset.digest == reference.dataset.digest[:36]
    assert [m.step for m in client.get_metric_history(run_id, "val_loss")] == [row["epoch"] for row in record["history"]]
    assert run.data.metrics["evaluation_accuracy"] == stored["accuracy"]
    assert {a.path for a in client.list_artifacts(run_id)} >= {
        "class_index.json", "curves.png", "confusion_matrix.png", "evaluation.json"}
    assert len(client.search_logged_models([run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'")) == 1
    assert tell_waiting(alive) == []


def test_the_sensor_asks_for_one_run_once_mlflow_answers_and_the_run_tells_it(copied, monkeypatch):
    down = f"http://127.0.0.1:{free_port()}"
    dead = Stores(load_settings(skin_home=copied.home, mlflow_tracking_uri=down))
    reference, record, _ = _trained(dead)
    Recorder(Tracking(None, "refused"), dead, "a-dagster-run", [].append).finish(reference, record["config"], record["history"])
    stores = StoresResource(home=str(copied.home))
    with instance_in(copied.settings.home.dagster) as instance:
        def noticed():
            return unrecorded_sensor(dg.build_sensor_context(instance=instance), stores=stores)

        monkeypatch.setenv("MLFLOW_TRACKING_URI", down)
        assert "does not answer" in noticed().skip_message
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert len(noticed().run_requests) == 1
        walk_job(build_definitions(default_resources(copied.settings)), instance, "record_in_mlflow", lambda told: None)
        assert noticed().skip_message == "nothing waits for MLflow"
    assert copied.stores.unrecorded.tracking_run("a-dagster-run")


@pytest.mark.slow
def test_a_server_that_dies_during_the_training_loses_no_epoch(copied, tmp_path):
    port = free_port()
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    stores = Stores(load_settings(skin_home=copied.home, mlflow_tracking_uri=f"http://127.0.0.1:{port}"))
    reference, record, _ = _trained(stores)
    history = [record["history"][0] | {"epoch": epoch} for epoch in (1, 2, 3)]
    warnings = []
    server = (sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--host", "127.0.0.1", "--port", port,
              "--artifacts-destination", tmp_path / "artifacts", "--workers", 1)
    with background(*server, log=tmp_path / "server.log"):
        wait_for(lambda: _answers(port), 90, "MLflow's server")
        import mlflow

        mlflow.set_tracking_uri(stores.settings.mlflow_uri)
        mlflow.set_experiment(experiment_id=experiment_in(stores.settings.mlflow_uri))
        mlflow.start_run()
        recorder = Recorder(Tracking(mlflow), stores, "a-dagster-run", warnings.append)
        recorder.epoch(history[0])
    recorder.epoch(history[1])
    recorder.epoch(history[2])
    assert recorder.finish(reference, record["config"], history) == ""
    assert len(warnings) == 2, "one warning when it fell silent, one at the end"
    with background(*server, log=tmp_path / "server.log"):
        wait_for(lambda: _answers(port), 90, "MLflow's server")
        assert dict(tell_waiting(stores)) == {recorder.run_key: recorder.run_id}
        mlflow.end_run()
        client = MlflowClient(tracking_uri=stores.settings.mlflow_uri)
        assert [m.step for m in client.get_metric_history(recorder.run_id, "val_loss")] == [1, 2, 3]
        assert client.get_run(recorder.run_id).info.status == "FINISHED"


def _answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False

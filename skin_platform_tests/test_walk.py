"""The walk: a delivery goes from the folder to an HTTP answer, and everything on the way can be seen and traced."""

import hashlib
import io
import json
import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from mlflow import MlflowClient

from skin_platform.core.datasets import DatasetRow, dataset_digest
from skin_platform.ml.checkpoints import load_checkpoint
from skin_platform.ml.predictor import Predictor
from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine
from skin_platform_tests.deployments import LABELS, Deployment, skin, small_delivery, spoil

pytestmark = pytest.mark.slow
ASSETS = ["raw/images", "objects/images", "metadata/lesions_data", "datasets/version", "datasets/profile",
          "checkpoints/lesion_classifier", "checkpoints/evaluation", "registry/model_version", "registry/model_card",
          "registry/verdict", "bundles/lesion_classifier", "registry/champion", "bundles/export"]


@pytest.fixture(scope="module")
def materialized(walked: Deployment) -> dict[str, dict[str, dg.MetadataValue]]:
    """The metadata of the newest materialization of each asset, as the UI reads it from the instance."""
    with dg.DagsterInstance.from_config(str(walked.home / "dagster")) as instance:
        found = {}
        for address in ASSETS:
            event = instance.get_latest_materialization_event(dg.AssetKey(address.split("/")))
            assert event is not None, f"{address} was not materialized"
            found[address] = dict(event.asset_materialization.metadata)
        return found


def test_the_story_tells_what_the_contract_names(walked):
    story = walked.story
    assert story["labels"] == list(LABELS)
    assert [name for name in story["stages"] if "/" in name] == ASSETS
    assert set(story["metrics"]) == {"split", "n", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval"}
    assert story["answer"]["label"] in LABELS
    assert story["trace"]["prediction_id"] == story["answer"]["prediction_id"]
    assert story["trace"]["dataset_images"] == story["images"]
    for name in ("dataset_digest", "checkpoint_sha256"):
        assert story[name] == story["trace"][name] == story["answer"][name]
    assert story["bundle"] == story["answer"]["bundle"]


def test_every_file_landed_or_is_in_quarantine(walked):
    files = [path for path in walked.delivery.rglob("*") if path.suffix == ".jpg"]
    distinct = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    table = walked.stores.catalogue.read()
    refused = {row["sha256"] for row in walked.story["quarantined"]}
    assert walked.story["quarantined"]
    assert set(table["sha256"].to_pylist()) | refused == distinct
    assert walked.story["images"] == len(table)


def test_objects_are_named_by_content_and_stored_once(walked):
    stores = walked.stores
    keys = [item.key for item in stores.objects.list_objects("skin-images")]
    assert len(keys) == len(set(keys)) == walked.story["images"]
    for key in keys:
        folder, split, label, name = key.split("/")
        assert (folder, split) == ("skin", "unassigned")
        assert label in LABELS
        assert hashlib.sha256(stores.objects.download_file("skin-images", key)).hexdigest() == name.removesuffix(".jpg")
        assert stores.objects.get_object_metadata("skin-images", key)["label"] == label


def test_the_ui_shows_pictures_tables_and_digests(materialized):
    for address, name in [("raw/images", "contact_sheet"), ("checkpoints/lesion_classifier", "curves"),
                          ("checkpoints/evaluation", "confusion_matrix")]:
        assert "data:image/png;base64," in materialized[address][name].value
    assert {"labels", "quarantine", "quarantined"} <= materialized["raw/images"].keys()
    table = materialized["metadata/lesions_data"]
    assert [c.name for c in table["dagster/column_schema"].value.columns][:6] == [
        "url_source", "s3_uri", "label", "split", "sha256", "bytes"]
    assert table["dagster/row_count"].value > 0


def test_digests_tie_each_asset_to_its_upstream(materialized, walked):
    raw, objects, table, dataset, profile, checkpoint, evaluation, version, _, verdict, bundle, champion, export = (
        materialized[name] for name in ASSETS)
    assert objects["landed_manifest_sha256"].value == raw["manifest_sha256"].value
    assert table["manifest_sha256"].value == objects["manifest_sha256"].value
    assert dataset["catalogue_digest"].value == table["trainable_digest"].value
    assert profile["dataset_digest"].value == dataset["dataset_digest"].value
    assert checkpoint["dataset_digest"].value == dataset["dataset_digest"].value == walked.story["dataset_digest"]
    assert evaluation["checkpoint_sha256"].value == checkpoint["checkpoint_sha256"].value
    assert bundle["checkpoint_sha256"].value == checkpoint["checkpoint_sha256"].value
    assert version["evidence_sha256"].value == evaluation["evidence_sha256"].value
    assert verdict["verdict_sha256"].value == version["verdict_sha256"].value
    assert len({step["version"].value for step in (version, verdict, champion)}) == 1
    assert bundle["bento"].value == f"lesion_classifier:{version['version'].value}" == walked.story["bundle"]
    assert export["champion"].value == champion["version"].value


def test_no_original_name_and_no_patient_id_is_in_events_or_objects(walked):
    names = {path.name for path in walked.delivery.rglob("*.jpg")}
    patients = {"P00001", "P00002", "P00003"}
    log = b"".join(path.read_bytes() for path in (walked.home / "dagster").rglob("*.db"))
    log += b"".join(path.read_bytes() for path in (walked.home / "mlflow").rglob("*") if path.is_file())
    for word in names | patients:
        assert word.encode() not in log
    kept = [path for path in (walked.home / "objects").rglob("*") if path.is_file() and "private" not in path.parts]
    assert kept
    for path in kept:
        assert path.name not in names
        data = path.read_bytes()
        assert not any(word.encode() in data for word in patients)


def test_the_dagster_run_and_the_mlflow_run_name_each_other(walked, materialized):
    run_id = materialized["checkpoints/lesion_classifier"]["mlflow_run_id"].value
    client = MlflowClient(tracking_uri=walked.settings.mlflow_uri)
    run = client.get_run(run_id)
    assert run.data.tags["dagster_run_id"] == walked.story["trace"]["dagster_run_id"]
    assert run.data.tags["dataset_digest"] == walked.story["dataset_digest"]
    assert run.info.status == "FINISHED"
    assert run.data.params["backbone"] == "resnet18"
    assert len(client.get_metric_history(run_id, "val_accuracy")) == 2
    assert run.data.metrics["evaluation_accuracy"] == pytest.approx(walked.story["metrics"]["accuracy"])
    assert {"class_index.json", "curves.png", "evaluation.json"} <= {item.path for item in client.list_artifacts(run_id)}
    assert (walked.home / "mlflow" / "artifacts").is_dir()
    [model] = client.search_logged_models(experiment_ids=[run.info.experiment_id], filter_string=f"source_run_id='{run_id}'")
    assert model.status == "READY"


def test_the_checkpoint_lies_where_the_contract_says(walked):
    stores, trace = walked.stores, walked.story["trace"]
    data = stores.models.read(f"skin/models/{trace['mlflow_run_id']}/model.ckpt", trace["checkpoint_sha256"])
    assert load_checkpoint(data).record["dagster_run_id"] == trace["dagster_run_id"]


def test_served_probabilities_are_the_checkpoints(walked):
    bundle = read_bundle(walked.home / "runs" / "skin5-current")
    stores, trace = walked.stores, walked.story["trace"]
    checkpoint = load_checkpoint(stores.models.read(f"skin/models/{trace['mlflow_run_id']}/model.ckpt",
                                                    trace["checkpoint_sha256"]))
    rows = stores.datasets.read(trace["dataset_digest"])
    images = [stores.cache.image(row.sha256, row.s3_uri) for row in rows]
    expected = Predictor(checkpoint).probabilities(images, bundle.calibration.temperature)
    served = Engine(bundle).probabilities(images)
    np.testing.assert_allclose(served, expected, atol=1e-4)
    asked = next(i for i, row in enumerate(rows) if row.sha256 == trace["image_sha256"])
    by_label = dict(zip(bundle.labels, expected[asked], strict=True))
    for item in walked.story["answer"]["top_k"]:
        assert item["probability"] == pytest.approx(by_label[item["label"]], abs=1e-4)


def test_the_export_holds_what_serving_needs(walked):
    folder = walked.home / "runs" / "skin5-current"
    assert json.loads((folder / "class_index.json").read_text(encoding="utf-8")) == dict(zip("012", LABELS, strict=True))
    signature = json.loads((folder / "signature.json").read_text())
    assert signature["inputs"][0]["shape"] == [-1, 3, 112, 112]
    assert signature["outputs"][0]["shape"] == [-1, 3]
    assert (folder / "model.onnx").stat().st_size > 1_000_000


def test_the_held_back_image_was_not_learnt_from(walked):
    rows = {row.sha256: row for row in walked.stores.datasets.read(walked.story["dataset_digest"])}
    assert rows[walked.story["trace"]["image_sha256"]].split == "val"


def test_trace_lists_the_training_images_and_they_hash_to_the_digest(walked):
    prediction = walked.story["answer"]["prediction_id"]
    told = json.loads(skin("trace", prediction, "--home", walked.home, "--json").stdout)
    rows = [DatasetRow(**row) for row in told["training"]]
    assert len(rows) == told["training_images"]
    manifest = skin("trace", prediction, "--home", walked.home, "--manifest").stdout
    assert hashlib.sha256(manifest.encode()).hexdigest() == walked.story["dataset_digest"] == told["dataset_digest"]
    assert {line.split("\t")[0] for line in manifest.splitlines() if line.endswith("\ttrain")} == {r.sha256 for r in rows}
    everything = walked.stores.datasets.read(told["dataset_digest"])
    assert dataset_digest(everything) == told["dataset_digest"]
    plain = skin("trace", prediction, "--home", walked.home).stdout
    assert all(row.sha256 in plain for row in rows)


def test_an_unknown_prediction_is_one_clear_error(walked):
    done = skin("trace", "no-such-id", "--home", walked.home, check=False)
    assert done.returncode == 1
    assert "no prediction no-such-id" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_walk_of_the_same_delivery_changes_nothing(copied):
    before = copied.stores.catalogue.state()
    plan = json.loads(skin("ingest", "--source", copied.delivery, "--home", copied.home, "--dry-run", "--json").stdout)
    assert plan["files"] == []
    elsewhere = shutil.copytree(copied.delivery, copied.home / "raw" / "once more")
    (elsewhere / "manifest.csv").unlink()
    told = skin("ingest", "--home", copied.home, "--json")
    counts = json.loads(told.stdout.splitlines()[-1])["counts"]
    assert (counts["new"], counts["conflict"]) == (0, 0)
    assert counts["already there"] > 30
    assert copied.stores.catalogue.state() == before


def test_a_dry_run_writes_nothing(walked, tmp_path):
    more = small_delivery(tmp_path / "more", seed=77, images=12)

    def state() -> dict[str, tuple[int, int]]:
        kept = (p for p in sorted(walked.home.rglob("*")) if "cache" not in p.relative_to(walked.home).parts)
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in kept if p.is_file()}

    before = state()
    done = skin("ingest", "--config", walked.home / "dataset.yaml", "--source", more, "--home", walked.home, "--dry-run",
                "--json")
    plan = json.loads(done.stdout.splitlines()[-1])
    assert {fate: count for fate, count in plan["counts"].items() if count} == {"new": 12, "tables": 1}
    assert state() == before


def test_ingest_takes_only_the_splits_that_are_named(copied, tmp_path):
    images = small_delivery(tmp_path / "images", seed=78, images=9)
    for position, path in enumerate(sorted(images.rglob("*.jpg"))):
        target = tmp_path / "splits" / ("train", "val", "test")[position % 3] / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    done = skin("ingest", "--home", copied.home, "--source", tmp_path / "splits", "--splits", "train", "val", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["counts"]["new"] == 6
    table = copied.stores.catalogue.read().to_pylist()
    assert sorted(row["split"] for row in table if row["split"]) == ["train"] * 3 + ["val"] * 3
    wrong = skin("ingest", "--home", copied.home, "--splits", "nowhere", "--dry-run", check=False)
    assert wrong.returncode == 1
    assert "no split nowhere" in wrong.stderr


def test_bad_inputs_get_their_reason_and_the_rest_goes_on(copied, tmp_path):
    delivery = small_delivery(tmp_path / "spoilt", seed=79, images=12)
    lone = delivery / LABELS[2] / "Überraschung 1 – größer.jpg"
    shutil.move(sorted((delivery / LABELS[2]).iterdir())[0], lone)
    (delivery / "manifest.csv").unlink()
    expected = spoil(delivery)
    good = sum(1 for path in delivery.rglob("*.jpg")) - sum(1 for name in expected if name.endswith(".jpg"))
    plan = json.loads(skin("ingest", "--home", copied.home, "--source", delivery, "--json").stdout.splitlines()[-1])
    assert {fate: count for fate, count in plan["counts"].items() if count} == {"new": good, "quarantined": len(expected)}
    listed = {row["file"]: row["reason"] for row in json.loads(skin("quarantine", "--home", copied.home, "--json").stdout)}
    for name, word in expected.items():
        assert word in listed[name]
    stored = copied.stores.catalogue.read()["sha256"].to_pylist()
    assert hashlib.sha256(lone.read_bytes()).hexdigest() in stored


def test_a_delivery_without_a_usable_image_is_one_clear_error_and_kept_in_quarantine(copied, tmp_path):
    folder = tmp_path / "useless" / LABELS[0]
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"")
    (folder / "b.jpg").write_bytes(b"text")
    done = skin("ingest", "--home", copied.home, "--source", tmp_path / "useless", check=False)
    assert done.returncode == 2
    assert "0 of 2 file(s) taken" in done.stdout
    assert "Traceback" not in done.stderr
    files = [row["file"] for row in json.loads(skin("quarantine", "--home", copied.home, "--json").stdout)]
    assert {f"{LABELS[0]}/a.jpg", f"{LABELS[0]}/b.jpg"} <= set(files)
    assert copied.stores.ledger.open_batches() == []


def test_rebuilding_the_table_from_the_manifests_gives_the_same_content(copied):
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    before = copied.stores.catalogue.state()
    Path(copied.settings.dataset.metadata_database).unlink()
    definitions = build_definitions(default_resources(copied.settings))
    with dg.DagsterInstance.from_config(str(copied.home / "dagster")) as instance:
        assert definitions.resolve_job_def("rebuild_metadata").execute_in_process(instance=instance).success
    assert copied.stores.catalogue.state() == before


def test_the_database_holds_the_table_under_its_address(walked):
    import duckdb

    with duckdb.connect(str(walked.home / "skin.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM metadata.lesions_data").fetchone() == (walked.story["images"],)


def test_a_prediction_is_in_the_online_store(walked):
    with sqlite3.connect(walked.home / "online.db") as db:
        row = db.execute("SELECT bundle, dataset_digest FROM predictions WHERE prediction_id = ?",
                         [walked.story["answer"]["prediction_id"]]).fetchone()
    assert row == (walked.story["bundle"], walked.story["dataset_digest"])


def test_the_demo_shows_its_progress_and_a_summary(walked):
    for address in ASSETS:
        assert f"✓ {address}" in walked.shown
    assert "Quarantine" in walked.shown
    assert "Where the answer comes from" in walked.shown
    assert "Warning" not in walked.shown


@pytest.mark.parametrize(("folder", "message"), [
    ("nowhere", "is no folder"), ("empty", "no labels in"), ("one label", "two labels"),
])
def test_a_delivery_that_cannot_be_walked_is_one_clear_error(tmp_path, folder, message):
    source = tmp_path / folder
    if folder != "nowhere":
        source.mkdir()
    if folder == "one label":
        (source / "only").mkdir()
        from PIL import Image

        buffer = io.BytesIO()
        for shade in range(4):
            buffer.seek(0)
            Image.new("RGB", (40, 40), (shade, 0, 0)).save(buffer, "PNG")
            (source / "only" / f"{shade}.png").write_bytes(buffer.getvalue())
    done = skin("demo", "--data", source, "--home", tmp_path / "home", check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr

"""Promises of the model versions: each named once, whole, verified, and never deleted while it serves."""

import hashlib
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import Moves
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.versions import ModelFacts, ModelVersions
from skin_platform_tests.deployments import skin
from skin_platform_tests.storage.halting import killed_at

CHECKPOINT = b"weights" * 1000
HISTORY = [{"epoch": 1, "train_loss": 0.9, "val_accuracy": 0.4}, {"epoch": 2, "train_loss": 0.5, "val_accuracy": 0.7}]
FACTS = ModelFacts(
    architecture="resnet18", num_classes=2, best_epoch=2, train_accuracy=0.8, val_accuracy=0.7, train_loss=0.5, val_loss=0.6,
    total_epochs=2, optimizer="AdamW",
    score={"split": "test", "n": 20, "accuracy": 0.5, "macro_f1": 0.4,
           "accuracy_interval": {"low": 0.3, "high": 0.7, "level": 0.95}},
    dataset_digest="d" * 64, code_version="1+abc", dagster_run_id="run-1",
    labels=("rot", "blau é"), preprocessing={"size_px": 112}, calibration={"temperature": 1.2})
NOON = datetime(2026, 5, 1, 12, 0, 0, 700_000, UTC)
_numbers = itertools.count()


@pytest.fixture
def objects(store):
    return store


@pytest.fixture
def bucket(objects):
    name = f"models-{next(_numbers)}"
    objects.create_bucket(name)
    return name


@pytest.fixture
def versions(objects, bucket):
    return ModelVersions(objects, bucket)


def at(moment):
    return lambda: moment


def test_a_version_is_laid_out_and_described_as_people_know_it(versions, objects, bucket):
    assert versions.get_latest_version() is None
    assert versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON)) == "v20260501_120000"
    keys = [item.key for item in objects.list_objects(bucket, "skin_classifier/v20260501_120000")]
    assert [key.rpartition("/")[2] for key in keys] == ["manifest.json", "model.ckpt", "training_history.json"]
    manifest = json.loads(objects.download_file(bucket, "skin_classifier/v20260501_120000/manifest.json"))
    wanted = {"architecture", "num_classes", "best_epoch", "train_accuracy", "val_accuracy", "train_loss", "val_loss",
              "total_epochs", "optimizer", "checksum", "dataset_digest", "code_version", "dagster_run_id", "labels",
              "preprocessing", "calibration"}
    assert wanted <= manifest.keys()
    assert manifest["checksum"] == hashlib.sha256(CHECKPOINT).hexdigest()
    assert manifest["md5"] == hashlib.md5(CHECKPOINT).hexdigest()
    assert manifest["labels"] == ["rot", "blau é"]
    assert versions.download_model("v20260501_120000") == CHECKPOINT
    assert versions.read_history("v20260501_120000") == HISTORY


def test_versions_are_named_in_utc_whatever_the_clock_shows(versions):
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    assert versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(elsewhere)) == "v20260501_120000"


def test_many_uploads_in_one_second_get_a_name_each(versions):
    def upload(number):
        return versions.upload_model(f"weights {number}".encode(), HISTORY, FACTS, at(NOON))

    with ThreadPoolExecutor(6) as threads:
        names = list(threads.map(upload, range(6)))
    assert len(set(names)) == 6
    assert versions.list_model_versions() == sorted(names)
    assert sorted(versions.download_model(name) for name in names) == [f"weights {number}".encode() for number in range(6)]
    assert max(names) < "v20260501_120100"


def test_the_same_model_again_is_the_same_version(versions):
    first = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    assert versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON + timedelta(hours=1))) == first
    other = versions.upload_model(CHECKPOINT + b"x", HISTORY, FACTS, at(NOON + timedelta(hours=1)))
    assert versions.list_model_versions() == [first, other]
    assert versions.get_latest_version() == other


def test_half_a_version_is_none(versions, objects, bucket):
    whole = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    objects.upload_file(bucket, "skin_classifier/v20260601_000000/model.ckpt", CHECKPOINT)
    objects.upload_file(bucket, "skin_classifier/v20260601_000000/training_history.json", b"[]")
    assert versions.list_model_versions() == [whole]
    with pytest.raises(KeyError, match="no model version v20260601_000000"):
        versions.download_model("v20260601_000000")


def test_a_damaged_version_is_refused(versions, objects, bucket):
    name = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    objects.upload_file(bucket, f"skin_classifier/{name}/model.ckpt", CHECKPOINT[:-1] + b"X")
    with pytest.raises(StorageError, match=rf"{name}/model\.ckpt is damaged"):
        versions.download_model(name)
    objects.upload_file(bucket, f"skin_classifier/{name}/training_history.json", b"[]")
    with pytest.raises(StorageError, match=r"training_history\.json is damaged"):
        versions.read_history(name)


def _better(data):
    return data.replace(b'"accuracy": 0.5', b'"accuracy": 0.9')


def _unsealed(data):
    return json.dumps({name: of for name, of in json.loads(data).items() if name != "sha256"}).encode()


@pytest.mark.parametrize(("damage", "told"), [
    (lambda data: b"", "it is empty"), (lambda data: data[:-9], "it cannot be read"),
    (lambda data: b"\xff\xfe", "cannot be read"), (lambda data: b"[1]", "holds no SHA-256"),
    (_unsealed, "holds no SHA-256"), (_better, "not as it was written")])
def test_a_damaged_manifest_is_named_hides_no_other_version_and_can_be_deleted(versions, objects, bucket, damage, told):
    whole = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    name = versions.upload_model(CHECKPOINT + b"x", HISTORY, FACTS, at(NOON))
    key = f"skin_classifier/{name}/manifest.json"
    before = objects.download_file(bucket, key)
    objects.upload_file(bucket, key, damage(before))
    for asked in (versions.read_manifest, versions.download_model, versions.read_history):
        with pytest.raises(StorageError, match=rf"{key} is damaged: .*{told}.*from a backup.*`skin models delete {name}`"):
            asked(name)
    assert [(item.version, told in item.damage) for item in versions.described()] == [(name, True), (whole, False)]
    anew = versions.upload_model(CHECKPOINT + b"x", HISTORY, FACTS, at(NOON))
    assert anew not in (whole, name)
    versions.delete_model_version(name)
    assert versions.list_model_versions() == [whole, anew]


def test_a_manifest_that_came_damaged_once_is_fetched_once_more(tmp_path):
    class Stuttering(ObjectStore):
        asked = 0

        def download_file(self, bucket, key):
            self.asked += 1
            return super().download_file(bucket, key)[:-1 if self.asked == 1 else None]

    store = ObjectStore(tmp_path)
    store.create_bucket("models")
    name = ModelVersions(store, "models").upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    stuttering = Stuttering(tmp_path)
    assert ModelVersions(stuttering, "models").read_manifest(name)["version"] == name
    assert stuttering.asked == 2


def test_the_manifest_of_another_version_is_none_of_this_one(versions, objects, bucket):
    first, second = (versions.upload_model(CHECKPOINT + data, HISTORY, FACTS, at(NOON)) for data in (b"", b"x"))
    objects.upload_file(bucket, f"skin_classifier/{second}/manifest.json",
                        objects.download_file(bucket, f"skin_classifier/{first}/manifest.json"))
    with pytest.raises(StorageError, match="not as it was written"):
        versions.read_manifest(second)


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_version_that_serves_is_not_deleted(versions, objects, bucket, alias):
    first = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    second = versions.upload_model(CHECKPOINT + b"x", HISTORY, FACTS, at(NOON))
    versions.moves.move(alias, first, expected=0, kind="promoted", by="ann", why="the first")
    with pytest.raises(StorageError, match=f"{first} is the {alias}"):
        versions.delete_model_version(first)
    assert versions.download_model(first) == CHECKPOINT
    assert [(item.version, item.aliases) for item in versions.described()] == [(second, ()), (first, (alias,))]
    versions.delete_model_version(second)
    assert versions.list_model_versions() == [first]


def test_the_name_of_a_deleted_version_is_not_given_again(versions, objects, bucket):
    name = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    versions.delete_model_version(name)
    assert list(objects.list_objects(bucket, f"skin_classifier/{name}")) == []
    with pytest.raises(KeyError, match=f"no model version {name}"):
        versions.delete_model_version(name)
    assert versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON)) == "v20260501_120001"


def test_a_promoted_challenger_is_the_champion_alone(versions):
    first = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    second = versions.upload_model(CHECKPOINT + b"x", HISTORY, FACTS, at(NOON))
    move = versions.moves.move("challenger", first, expected=0, kind="registered", by="a run", why="")
    assert versions.aliases() == {"challenger": first}
    versions.moves.move("champion", first, expected=0, kind="promoted", by="ann", why="better")
    assert versions.aliases() == {"champion": first}
    versions.moves.move("challenger", second, expected=move.number, kind="registered", by="a run", why="")
    assert versions.aliases() == {"champion": first, "challenger": second}


def test_a_version_that_something_uses_is_not_deleted(versions):
    name = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    with pytest.raises(StorageError, match=f"{name} is in use by runs/skin5-current"):
        versions.delete_model_version(name, {name: "runs/skin5-current"})
    assert versions.download_model(name) == CHECKPOINT
    versions.delete_model_version(name, {"v20200101_000000": "runs/skin5-current"})


def test_a_deleted_version_cannot_be_promoted_nor_rolled_back_to(versions):
    first, second = (versions.upload_model(CHECKPOINT + data, HISTORY, FACTS, at(NOON)) for data in (b"", b"x"))
    for number, name in enumerate((first, second)):
        versions.moves.move("champion", name, expected=number, kind="promoted", by="ann", why="better")
    versions.delete_model_version(first)
    with pytest.raises(KeyError, match=f"no model version {first}"):
        versions.moves.move("champion", first, expected=2, kind="rolled back", by="ann", why="worse")
    assert [move.version for move in versions.moves.history("champion")] == [first, second]
    assert versions.aliases() == {"champion": second}


def test_files_of_a_version_are_written_again_and_verified(versions, objects, bucket):
    name = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    with pytest.raises(KeyError, match=rf"{name} has no verdict\.json: materialize"):
        versions.read_file(name, "verdict.json")
    former = versions.write_file(name, "verdict.json", b"no")
    assert former == hashlib.sha256(b"no").hexdigest()
    assert versions.read_file(name, "verdict.json", former) == b"no"
    latter = versions.write_file(name, "verdict.json", b"yes")
    assert versions.read_file(name, "verdict.json") == versions.read_file(name, "verdict.json", latter) == b"yes"
    with pytest.raises(StorageError, match=rf"verdict\.json is damaged, or is not the one that.*expected was {former}"):
        versions.read_file(name, "verdict.json", former)
    objects.upload_file(bucket, f"skin_classifier/{name}/verdict.json", b"Yes")
    with pytest.raises(StorageError, match=r"verdict\.json is damaged"):
        versions.read_file(name, "verdict.json")
    for wrong in ("model.ckpt", "manifest.json", "", "../x", "written/x"):
        with pytest.raises(ValueError, match="cannot be a file of a version"):
            versions.write_file(name, wrong, b"x")
    with pytest.raises(KeyError, match="no model version v20200101_000000"):
        versions.write_file("v20200101_000000", "verdict.json", b"x")
    assert versions.list_model_versions() == [name]
    versions.delete_model_version(name)
    assert list(objects.list_objects(bucket, f"skin_classifier/{name}")) == []


@pytest.mark.parametrize(("change", "is_there"), [(1, True), (2, True), (4, True), (5, False), (7, False), (9, False)])
def test_a_deletion_killed_anywhere_leaves_a_whole_version_or_none_and_is_ended_by_the_next(tmp_path, change, is_there):
    store = ObjectStore(tmp_path)
    store.create_bucket("models")
    versions = ModelVersions(store, "models")
    name = versions.upload_model(CHECKPOINT, HISTORY, FACTS, at(NOON))
    versions.write_file(name, "verdict.json", b"no")
    assert killed_at(store, change, "models", "delete", name)
    assert versions.list_model_versions() == ([name] if is_there else [])
    if is_there:
        assert versions.download_model(name) == CHECKPOINT
        assert versions.read_history(name) == HISTORY
        assert versions.read_file(name, "verdict.json") == b"no"
    versions.moves = Moves(store, "models", lease_seconds=0)
    versions.delete_model_version(name)
    assert list(store.list_objects("models", f"skin_classifier/{name}")) == []
    with pytest.raises(KeyError, match=f"no model version {name}"):
        versions.delete_model_version(name)


@pytest.fixture
def home(tmp_path):
    """A home with two versions, the older one champion."""
    skin("home", "--home", tmp_path / "home")
    objects = ObjectStore(tmp_path / "home" / "objects")
    objects.create_bucket("skin-models")
    versions = ModelVersions(objects, "skin-models")
    for number in range(2):
        name = versions.upload_model(CHECKPOINT + bytes([number]), HISTORY, FACTS, at(NOON))
        if not number:
            versions.moves.move("champion", name, expected=0, kind="promoted", by="ann", why="the first")
    return tmp_path / "home"


@pytest.mark.slow
def test_the_command_line_lists_downloads_and_deletes(home, tmp_path):
    listed = json.loads(skin("models", "list", "--home", home, "--json").stdout)
    assert [item["version"] for item in listed] == ["v20260501_120001", "v20260501_120000"]
    assert listed[1]["aliases"] == ["champion"]
    assert "champion" in skin("models", "list", "--home", home).stdout
    skin("models", "download", "latest", "--out", tmp_path / "out", "--home", home)
    assert (tmp_path / "out" / "model.ckpt").read_bytes() == CHECKPOINT + b"\1"
    assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["version"] == "v20260501_120001"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", "model.ckpt", "training_history.json"}
    refused = skin("models", "delete", "v20260501_120000", "--yes", "--home", home, check=False)
    assert refused.returncode == 1
    assert "is the champion" in refused.stderr
    assert skin("models", "delete", "latest", "--home", home, check=False).returncode == 1  # nobody said yes
    skin("models", "delete", "latest", "--yes", "--home", home)
    unknown = skin("models", "download", "v20260501_120001", "--home", home, check=False)
    assert unknown.returncode == 1
    assert "no model version v20260501_120001" in unknown.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.slow
def test_an_evaluated_checkpoint_is_a_version_with_its_real_figures(walked):
    stores = walked.stores
    [version] = stores.versions.described()
    told, trace = version.manifest, walked.story["trace"]
    assert told["checksum"] == trace["checkpoint_sha256"]
    assert told["dataset_digest"] == trace["dataset_digest"]
    assert told["code_version"] == trace["code_version"]
    assert told["dagster_run_id"] == trace["dagster_run_id"]
    assert told["num_classes"] == len(told["labels"]) == 3
    history = stores.versions.read_history(version.version)
    assert told["total_epochs"] == told["best_epoch"] == len(history) == 2
    assert told["train_loss"] == history[-1]["train_loss"]
    scored = json.loads(stores.objects.download_file(stores.settings.s3_bucket_models,
                                                     f"skin/models/{trace['mlflow_run_id']}/evaluation.json"))
    assert told["val_accuracy"] == scored["validation"]["accuracy"]
    assert (told["score"]["split"], told["score"]["accuracy"]) == ("test", scored["accuracy"])
    assert told["calibration"]["temperature"] == scored["calibration"]["temperature"]
    assert hashlib.sha256(stores.versions.download_model(version.version)).hexdigest() == trace["checkpoint_sha256"]

"""Promises of `skin trace`: from an answer to the objects, each link verified, and from an image to the answers."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from skin_platform.cli import app
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.defs.bundling import origin_of
from skin_platform.defs.exported_model import golden_images, is_exported_from, provenance_of_version, withdrawn
from skin_platform.image_lineage import trace_image
from skin_platform.lineage import LineageError, missing_objects, trace_prediction
from skin_platform.serving.bundle import BENTO_NAME, Bundle, GoldenImage
from skin_platform.serving.bundle_files import read_bundle, write_bundle
from skin_platform.settings import load_settings
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.faults import StorageError
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import CALIBRATION, NAMES, NOON, new_home, register
from skin_platform_tests.storage.deliveries import manifest_row
from skin_platform_tests.storage.recorded import prediction


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a version, its bundle, a catalogue, and a prediction on a validation image in the database."""
    stores = new_home(tmp_path_factory.mktemp("lineage") / "home")
    version = register(stores, model=b"weights")
    origin = origin_of(version, stores)
    rows = stores.datasets.read(origin.checkpoint.dataset.digest)
    asked = next(row for row in rows if row.split == "val")
    golden = GoldenImage(asked.sha256, stores.cache.image(asked.sha256, asked.s3_uri), (0.5, 0.5))
    folder = stores.settings.home.bentoml / "bentos" / BENTO_NAME / version / "src" / "bundle"
    provenance = provenance_of_version(version, origin, stores)
    write_bundle(Bundle(b"onnx", NAMES, Preprocessing(32), CALIBRATION, provenance, (golden,)), folder)
    deliver(stores, 1, rows)
    store = OnlineStore(stores.settings.online_url)
    store.upgrade()
    store.add("prediction", [answer_on(asked.sha256, version, origin, prediction_id="asked"),
                             answer_on("5" * 64, version, origin, prediction_id="strange", checkpoint_sha256="0" * 64),
                             prediction(9, prediction_id="refused", outcome="refused", code="corrupt", label=None,
                                        model_version=None)])
    store.dispose()
    return stores.settings.home.root, asked


@pytest.fixture
def home(made, tmp_path):
    """The same, to be changed by a test: the stores and the image that was asked about."""
    shutil.copytree(made[0], tmp_path / "home")
    return Stores(load_settings(skin_home=tmp_path / "home")), made[1]


def deliver(stores, day, rows, **given):
    """Catalogue ``rows`` as delivered on a day in May."""
    stamp = f"2026-05-{day:02}"
    table = pa.Table.from_pylist([manifest_row(number, sha256=row.sha256, label=row.label, s3_uri=row.s3_uri,
                                               batch_id=f"{stamp}-x", ingested_at=f"{stamp}T00:00:00.000000+00:00", **given)
                                  for number, row in enumerate(rows)], schema=MANIFEST_SCHEMA)
    stores.lesions.replace_batch(f"{stamp}-x", table)
    stores.catalogue.publish(stores.lesions, NOON)


def answer_on(image, version, origin, **given):
    """The row of an answer of a version."""
    return prediction(1, **{"image_sha256": image, "bundle": f"{BENTO_NAME}:{version}", "model_version": version,
                            "checkpoint_sha256": origin.checkpoint.sha256, "label": "zart",
                            "dataset_digest": origin.checkpoint.dataset.digest} | given)


def bento_of(stores):
    [folder] = (stores.settings.home.bentoml / "bentos" / BENTO_NAME).iterdir()
    return folder


def test_an_answer_is_traced_to_every_training_image_with_its_bento_and_without(home):
    stores, asked = home
    found, images = trace_prediction("asked", stores.settings)
    assert (found.image_sha256, found.dataset_images, found.training_images) == (asked.sha256, 12, 4)
    assert {link.link: link.is_verified for link in found.links} == {
        "prediction → bundle": True, "bundle → version": True, "version → dataset": True, "version → checkpoint": True,
        "dataset → images": True, "version → evaluation": None}
    assert missing_objects(images.training, stores) == []
    shutil.rmtree(bento_of(stores))
    without, _ = trace_prediction("asked", stores.settings)
    assert without.as_dict() | {"links": ()} == found.as_dict() | {"links": ()}
    assert {link.link: link.is_verified for link in without.links}["prediction → bundle"] is None


def test_an_answer_on_its_way_to_the_database_is_traced(home):
    stores, asked = home
    spool = Spool(stores.settings.home.spool, 1_000_000)
    version = stores.versions.get_latest_version()
    spool.add("prediction", answer_on(asked.sha256, version, origin_of(version, stores), prediction_id="fresh"))
    spool.close()
    assert trace_prediction("fresh", stores.settings)[0].predicted_at.startswith("2026-05-01T12:30")


def test_a_link_that_does_not_hold_is_named(home):
    stores, _ = home
    with pytest.raises(LineageError, match="bundle → version of prediction strange does not hold"):
        trace_prediction("strange", stores.settings)
    [checkpoint] = stores.settings.home.objects.glob("skin-models/skin/models/*/model.ckpt")
    checkpoint.write_bytes(b"another")
    with pytest.raises(StorageError, match=r"model\.ckpt"):
        trace_prediction("asked", stores.settings)


def test_what_leads_nowhere_says_why(home):
    stores, _ = home
    with pytest.raises(LineageError, match="no prediction nobody in sqlite"):
        trace_prediction("nobody", stores.settings)
    with pytest.raises(LineageError, match=r"was refused \(corrupt\)"):
        trace_prediction("refused", stores.settings)
    shutil.rmtree(bento_of(stores))
    stores.versions.delete_model_version(stores.versions.get_latest_version())
    with pytest.raises(LineageError, match=r"neither the bundle .* is here nor can its version tell"):
        trace_prediction("asked", stores.settings)


def test_an_image_leads_to_its_delivery_dataset_model_bundle_and_answers(home):
    stores, asked = home
    found = trace_image(asked.sha256.upper(), stores.settings)
    assert (found.sha256, found.object) == (asked.sha256, asked.s3_uri)
    assert [(of["batch_id"], of["label"]) for of in found.deliveries] == [("2026-05-01-x", asked.label)]
    assert [(of["split"], of["label"], of["locked"]) for of in found.datasets] == [("val", asked.label, False)]
    version = stores.versions.get_latest_version()
    assert [(of["version"], of["role"]) for of in found.models] == [(version, "scored on")]
    assert found.bundles == (f"{BENTO_NAME}:{version}",)
    assert [of["prediction_id"] for of in found.predictions] == ["asked"]
    learnt = next(row for row in stores.datasets.read(found.datasets[0]["digest"]) if row.split == "train")
    assert trace_image(learnt.sha256, stores.settings).models[0]["role"] == "learnt from"


def test_an_image_that_was_only_asked_about_or_whose_object_is_gone_is_told(home):
    stores, asked = home
    stranger = trace_image("5" * 64, stores.settings)
    assert (stranger.object, stranger.deliveries, stranger.datasets) == ("", (), ())
    assert [of["prediction_id"] for of in stranger.predictions] == ["strange"]
    next(stores.settings.home.objects.rglob(f"{asked.sha256}.png")).unlink()
    assert trace_image(asked.sha256, stores.settings).object == ""
    assert missing_objects((asked,), stores) == [asked.sha256]
    with pytest.raises(LineageError, match="no image abc is known here"):
        trace_image("abc", stores.settings)


def test_the_command_tells_both_ways(home):
    stores, asked = home
    run, where = CliRunner().invoke, ["--home", str(stores.settings.home.root)]
    told = json.loads(run(app, ["trace", "asked", "--images", "--json", *where]).stdout)
    assert len(told["training"]) == 4
    assert told["missing"] == []
    shown = run(app, ["trace", "asked", "--images", *where]).stdout
    assert "4 of 4 objects are there" in shown
    assert all(row["s3_uri"] in shown for row in told["training"])
    other_way = json.loads(run(app, ["trace", "--image", asked.sha256, "--json", *where]).stdout)
    assert other_way["models"][0]["role"] == "scored on"
    assert "asked" in run(app, ["trace", "--image", asked.sha256, *where]).stdout
    assert run(app, ["trace", *where]).exit_code == 2
    assert run(app, ["trace", "asked", "--image", asked.sha256, *where]).exit_code == 2


def test_a_bundle_that_carries_a_withdrawn_image_is_not_the_one_to_serve(home):
    stores, asked = home
    version = stores.versions.get_latest_version()
    bundle, origin = read_bundle(bento_of(stores) / "src" / "bundle"), origin_of(version, stores)
    assert is_exported_from(bundle, origin, stores)
    deliver(stores, 2, [asked], consent="withdrawn")
    assert withdrawn(stores) == {asked.sha256}
    assert not is_exported_from(bundle, origin, stores)
    held = [row for row in stores.datasets.read(origin.checkpoint.dataset.digest) if row.split == "val"]
    assert {sha256 for sha256, _ in golden_images(held, stores)} == {row.sha256 for row in held} - {asked.sha256}


def test_no_folder_is_taken_for_a_home(tmp_path):
    for trace in (trace_prediction, trace_image):
        with pytest.raises(LineageError, match="nowhere does not exist"):
            trace("abc", load_settings(skin_home=Path(tmp_path / "nowhere")))

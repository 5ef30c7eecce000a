"""Promises of the quarantine: what is refused is listed with its name, can be judged again or dropped, and is never lost."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from skin_platform.cli import app
from skin_platform.dataset_template import render_dataset_config
from skin_platform.ingesting import ingest_now
from skin_platform.settings import load_settings
from skin_platform.storage.ingest import judge_delivery
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.quarantine import Quarantine
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import RULES, KeptInMemory, claimed, drop


def configure(settings, *labels):
    settings.home.dataset_config.write_text(render_dataset_config(list(labels), "clinic"), encoding="utf-8")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A home that a delivery with four bad files was ingested into."""
    for name in ("SKIN_HOME", "DAGSTER_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))  # the commands set them; the next test has its own
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    configure(settings, "nevus")
    drop(settings.home.landing, {"nevus/good.jpg": jpeg(1), "nevus/cut.jpg": jpeg(2)[:-300], "Mustermann/x.jpg": jpeg(3),
                                 "nevus/gone.jpg": b"", "manifest.csv": b"file,label\nnevus/later.jpg,nevus\n"})
    ingest_now(settings, None, [], lambda told: None)
    return settings


def skin(settings, *arguments):
    """A command of the command line, in this process."""
    done = CliRunner().invoke(app, ["quarantine", *arguments, "--home", str(settings.home.root)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def listed(settings, *arguments):
    return {row["file"]: row for row in json.loads(skin(settings, *arguments, "--json").splitlines()[-1])}


@pytest.mark.slow
def test_refused_files_are_listed_judged_again_and_dropped(settings):
    open_ones = listed(settings)
    assert open_ones.keys() == {"nevus/cut.jpg", "Mustermann/x.jpg", "nevus/gone.jpg", "nevus/later.jpg"}
    assert open_ones["Mustermann/x.jpg"]["reason"] == "the label 'Mustermann' is not in the configuration (nevus)"
    batch = open_ones["nevus/cut.jpg"]["batch_id"]
    assert listed(settings, "list", "--batch", batch) == open_ones
    assert "nevus/cut.jpg" in skin(settings)

    configure(settings, "nevus", "Mustermann")
    (settings.home.landing / "nevus/gone.jpg").unlink()
    done = listed(settings, "retry", "--all", "--who", "Anna")
    assert {name: row["outcome"] for name, row in done.items()} == {
        "Mustermann/x.jpg": "taken", "nevus/cut.jpg": "refused", "nevus/gone.jpg": "gone", "nevus/later.jpg": "gone"}
    assert "gone from where it landed" in done["nevus/gone.jpg"]["why"]
    again = listed(settings)
    assert again.keys() == open_ones.keys() - {"Mustermann/x.jpg"}
    assert again["nevus/cut.jpg"]["batch_id"] == done["nevus/cut.jpg"]["new_batch_id"] != batch

    stores = Stores(load_settings(skin_home=settings.home.root))
    assert stores.ledger.open_batches() == []
    assert sorted(stores.catalogue.read()["label"].to_pylist()) == ["Mustermann", "nevus"]
    assert stores.claim(settle_seconds=0) == []

    told = skin(settings, "drop", again["nevus/cut.jpg"]["file_id"][:10], again["nevus/gone.jpg"]["file_id"], "--who", "Anna",
                "--why", "beyond repair")
    assert "2 file(s) dropped" in told
    assert listed(settings).keys() == {"nevus/later.jpg"}
    assert (settings.home.landing / "nevus/cut.jpg").exists()
    fates = {(row["file"], row["batch_id"]): row.get("fate") for row in json.loads(skin(settings, "list", "--all", "--json"))}
    dropped = fates["nevus/cut.jpg", done["nevus/cut.jpg"]["new_batch_id"]]
    assert (dropped["fate"], dropped["who"], dropped["why"]) == ("dropped", "Anna", "beyond repair")
    assert datetime.fromisoformat(dropped["at"]) <= datetime.now(UTC)
    assert (fates["Mustermann/x.jpg", batch]["fate"], fates["Mustermann/x.jpg", batch]["who"]) == ("retried", "Anna")

    for arguments, reason in ((("drop", "zzz", "--why", "x"), "not in quarantine"), (("retry",), "name what to judge again"),
                              (("retry", "--batch", "2026-05-01-x"), "nothing of batch"),
                              (("drop", listed(settings)["nevus/later.jpg"]["file_id"], "--why", " "), "say why")):
        with pytest.raises(ValueError, match=reason):
            skin(settings, *arguments)


@pytest.mark.slow
def test_a_file_that_is_mended_in_place_comes_again_by_itself_and_no_name_leaves_the_private_record(settings):
    (settings.home.landing / "nevus/cut.jpg").write_bytes(jpeg(2))
    (settings.home.landing / "nevus/later.jpg").write_bytes(jpeg(7))
    ingest_now(settings, None, [], lambda told: None)
    assert listed(settings).keys() == {"Mustermann/x.jpg", "nevus/gone.jpg"}
    fates = listed(settings, "list", "--all")
    assert fates["nevus/cut.jpg"]["fate"]["fate"] == "came again"
    stores = Stores(settings)
    assert len(stores.catalogue.read()) == 3
    holding = [item.key for bucket in ("skin-data", stores.images_bucket) for item in stores.objects.list_objects(bucket)
               if b"Mustermann" in stores.objects.download_file(bucket, item.key) or "Mustermann" in item.key]
    assert holding
    assert all(key.startswith("private/") for key in holding)
    assert [path for path in settings.home.dagster.rglob("*.db") if b"Mustermann" in path.read_bytes()] == []


@pytest.mark.slow
def test_a_table_that_can_be_read_by_now_is_judged_again_with_its_files(settings):
    drop(settings.home.landing, {"new/a.jpg": jpeg(8), "new/metadata.csv": b"bild,diagnose\na.jpg,nevus\n"})
    assert ingest_now(settings, None, [], lambda told: None).took_nothing
    assert "no column 'file' among bild, diagnose" in listed(settings)["new/metadata.csv"]["reason"]
    text = settings.home.dataset_config.read_text().replace("file: [file,", "file: [bild, file,").replace(
        "label: [label,", "label: [diagnose, label,")
    settings.home.dataset_config.write_text(text, encoding="utf-8")
    done = listed(settings, "retry", listed(settings)["new/metadata.csv"]["file_id"])
    assert {name: row["outcome"] for name, row in done.items()} == {"new/metadata.csv": "taken"}
    assert "new/a.jpg" not in listed(settings)


def test_a_replay_that_refuses_nothing_leaves_no_record(tmp_path):
    objects = ObjectStore(tmp_path / "objects")
    objects.create_bucket("data")
    (tmp_path / "in").mkdir()
    drop(tmp_path / "in", {"nevus/a.jpg": b"", "nevus/b.jpg": jpeg(1)})
    ledger, quarantine = LandingLedger(None), Quarantine(objects, "data")
    [delivery] = claimed(tmp_path / "in", ledger, kept=KeptInMemory())
    quarantine.write(delivery, judge_delivery(delivery, RULES, {}))
    quarantine.add(delivery, [("id", "nevus/b.jpg", "gone before it could be stored")])
    assert [entry.file for entry in quarantine.entries(ledger)] == ["nevus/a.jpg", "nevus/b.jpg"]
    quarantine.write(delivery, [])
    assert list(quarantine.entries(ledger)) == []
    ledger.dispose()

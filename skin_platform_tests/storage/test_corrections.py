"""Promises of decisions for a label that nobody delivered: they take hold, survive a rebuild and can be taken back."""

import pyarrow as pa
import pytest

from skin_platform.core.conflicts import resolve
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import content_digest
from skin_platform.storage.lesions import LesionsTable
from skin_platform_tests.storage.deliveries import manifest_row

SHA = f"{1:016x}".ljust(64, "0")


@pytest.fixture
def lesions(tmp_path):
    """A table with two images of one patient, both delivered as nevus."""
    table = LesionsTable(tmp_path / "skin.duckdb")
    table.replace_batch("2026-05-01-x", manifest(1, manifest_row(1, patient_id="P1"), manifest_row(2, patient_id="P1")))
    return table


def manifest(day, *rows):
    own = [row | {"batch_id": f"2026-05-0{day}-x", "ingested_at": f"2026-05-0{day}T00:00:00+00:00"} for row in rows]
    return pa.Table.from_pylist(own, schema=MANIFEST_SCHEMA)


def decision(label, why="biopsy"):
    return resolve(SHA, label, {"nevus"}, "Dr. Weiß", why, "2026-06-01", {"nevus", "zart"})


def exclusions(lesions):
    return {row["label"]: row["exclusion"] for row in lesions.read().to_pylist() if row["sha256"] == SHA}


def test_an_image_is_trained_on_under_the_label_that_a_person_gave_it(lesions):
    before = {row["sha256"]: row for row in lesions.read().to_pylist()}
    lesions.resolve([decision("zart")])
    rows = lesions.read().to_pylist()
    assert exclusions(lesions) == {"nevus": "overruled", "zart": None}
    [corrected] = [row for row in rows if row["label"] == "zart"]
    assert corrected == before[SHA] | {"label": "zart"}
    assert {row["group_id"] for row in rows} == {before[SHA]["group_id"]}


def test_a_correction_survives_replay_and_rebuild_and_can_be_taken_back(lesions):
    untouched = content_digest(lesions.read())
    lesions.resolve([decision("zart")])
    corrected = content_digest(lesions.read())
    batch = manifest(1, manifest_row(1, patient_id="P1"), manifest_row(2, patient_id="P1"))
    lesions.replace_batch("2026-05-01-x", batch)
    assert content_digest(lesions.read()) == corrected
    lesions.rebuild([batch], [decision("zart")])
    assert content_digest(lesions.read()) == corrected
    lesions.resolve([decision("nevus", "looked again")])
    assert content_digest(lesions.read()) == untouched


def test_a_later_delivery_under_the_decided_label_agrees_and_under_a_third_asks_again(lesions):
    lesions.resolve([decision("zart")])
    lesions.replace_batch("2026-05-02-x", manifest(2, manifest_row(1, label="zart")))
    assert exclusions(lesions) == {"nevus": "overruled", "zart": None}
    lesions.replace_batch("2026-05-03-x", manifest(3, manifest_row(1, label="rot")))
    assert set(exclusions(lesions).values()) == {"conflict"}


def test_a_label_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="'zrat' is no label here"):
        decision("zrat")
    with pytest.raises(ValueError, match="needs a reason"):
        decision("zart", " ")

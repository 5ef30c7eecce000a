"""Promises of what the catalogue offers to a dataset, and of what a profile says of it."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from skin_platform.core.datasets import DatasetRow
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.manifests import ASSIGNED
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.profiles import BINS, NOT_GIVEN, Profiler
from skin_platform_tests.storage.deliveries import manifest_row
from skin_platform_tests.storage.frozen import table_of

BATCH = "2026-05-01-x"
SIZE = {"width_px": 600, "height_px": 450}


def landed(*rows):
    """A batch manifest of these rows."""
    return pa.Table.from_pylist([row | {"batch_id": BATCH} for row in rows], schema=MANIFEST_SCHEMA)


@pytest.fixture
def lesions(tmp_path):
    return LesionsTable(tmp_path / "skin.duckdb")


@pytest.fixture
def catalogue(tmp_path):
    """The catalogue of a deployment that knows one label."""
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("data")
    return Catalogue(store, "data", tmp_path / "cache", ["nevus"])


def test_an_image_that_was_assigned_is_offered_as_not_usable_while_it_is_in_doubt(catalogue, lesions):
    doubtful = (manifest_row(1, file_id="a"), manifest_row(1, file_id="b", label="other"))
    lesions.replace_batch(BATCH, landed(*doubtful, manifest_row(2, split="val"), manifest_row(3, label="other")))
    state = catalogue.publish(lesions, datetime(2026, 5, 1, tzinfo=UTC))
    first, second = manifest_row(1)["sha256"], manifest_row(2)["sha256"]
    unasked, digest = catalogue.trainable(ASSIGNED.empty_table())
    assert unasked["sha256"].to_pylist() == [second]
    assert digest == state.trainable_digest
    assigned = pa.table([[first, second, "f" * 64], ["test", "train", "val"]], schema=ASSIGNED)
    offered, same = catalogue.trainable(assigned)
    told = {row["sha256"]: (row["is_usable"], row["previous"], row["split"]) for row in offered.to_pylist()}
    assert told == {first: (False, "test", None), second: (True, "train", "val")}
    assert same == digest
    assert catalogue.left_out() == {"conflict": 1, "label is not configured": 1}


def test_a_profile_counts_each_image_once_by_value_and_split(catalogue, lesions):
    rows = [manifest_row(at, age=age, sex=sex, **SIZE)
            for at, (age, sex) in enumerate([("33", "f"), ("79.5", "f"), ("80", None), ("unsure", None), (None, "m")])]
    lesions.replace_batch(BATCH, landed(*rows))
    catalogue.publish(lesions, datetime(2026, 5, 1, tzinfo=UTC))
    manifest = table_of([DatasetRow(row["sha256"], "nevus", f"g{at // 2}", "train" if at < 4 else "val")
                         for at, row in enumerate(rows)])
    asked = Profiler(catalogue, manifest)
    found = {(row["column"], row["value"], row["split"]): row["images"] for row in asked.subgroups(["age", "sex", "site"])}
    assert found == {("age", "20 to 39", "train"): 1, ("age", "60 to 79", "train"): 1, ("age", "80 and over", "train"): 1,
                     ("age", NOT_GIVEN, "train"): 1, ("age", NOT_GIVEN, "val"): 1, ("sex", "f", "train"): 2,
                     ("sex", NOT_GIVEN, "train"): 2, ("sex", "m", "val"): 1}
    histograms = {found.measure: found for found in asked.histograms("split")}
    assert {split: sum(bins) for split, bins in histograms["shorter_side"].series.items()} == {"train": 4, "val": 1}
    assert all(len(bins) == BINS for found in histograms.values() for bins in found.series.values())
    assert asked.groups()["several_images"] == 2
    with pytest.raises(ValueError, match="catalogue is empty"):
        Profiler(Catalogue(catalogue._objects, "nowhere", catalogue._parts._folder), manifest)

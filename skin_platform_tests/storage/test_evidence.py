"""Promises of evidence files: what comes back is what was written, and the attributes are those that were delivered."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from skin_platform.core.evidence import Evidence
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.evidence import attributes_of, dump_evidence, load_evidence
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.parquet import dump_table, load_table
from skin_platform_tests.storage.deliveries import manifest_row

LABELS = ("rot, hell", "blau é", "皮膚")
ATTRIBUTES = ("sex", "age_band", "skin_type", "site", "source")


def evidence(n=50, labels=LABELS):
    random = np.random.default_rng(7)
    classes = len(labels)
    answers = random.dirichlet(np.ones(classes), (2, n))
    return Evidence(
        tuple(f"{i:064x}" for i in range(n)), tuple(f"g{i % 9}" for i in range(n)), labels, random.integers(0, classes, n),
        answers[0], answers[1], random.random((n, classes)) < 0.5,
        {name: tuple(("", "w", "m é")[(i + at) % 3] for i in range(n)) for at, name in enumerate(ATTRIBUTES)})


def assert_equal(found, wanted):
    for name in ("sha256", "groups", "labels", "attributes"):
        assert getattr(found, name) == getattr(wanted, name)
    for name in ("truth", "probabilities", "raw", "sets"):
        assert getattr(found, name).dtype == getattr(wanted, name).dtype
        assert np.array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize(("n", "labels"), [(50, LABELS), (1, ("a", "b")), (3, ("only",))])
def test_evidence_comes_back_to_the_last_bit(n, labels):
    wanted = evidence(n, labels)
    data = dump_evidence(wanted, ["test"] * n)
    assert_equal(load_evidence(data), wanted)
    assert_equal(load_evidence(data, "test"), wanted)
    assert dump_evidence(wanted, ["test"] * n) == data


def test_one_split_can_be_asked_for():
    wanted = evidence()
    splits = ["test" if i % 3 else "val é" for i in range(50)]
    data = dump_evidence(wanted, splits)
    assert_equal(load_evidence(data, "test"), wanted.only(np.array([split == "test" for split in splits])))
    with pytest.raises(ValueError, match="no image of the split 'train'"):
        load_evidence(data, "train")


def test_a_file_of_evidence_can_be_read_without_the_platform():
    wanted = evidence()
    table = load_table(dump_evidence(wanted, ["test"] * 50))
    assert table.column_names == ["sha256", "group_id", "label", "split", "predicted", "probabilities", "raw", "in_set",
                                  *ATTRIBUTES]
    first = table.slice(0, 1).to_pylist()[0]
    assert first["label"] == LABELS[wanted.truth[0]]
    assert first["predicted"] == LABELS[int(np.argmax(first["probabilities"]))]
    assert first["in_set"] == wanted.sets[0].tolist()


def test_splits_and_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"50 images need as many splits.*got 49 splits"):
        dump_evidence(evidence(), ["test"] * 49)
    taken = Evidence(("a",), ("g",), ("x",), np.zeros(1, dtype=np.int64), np.ones((1, 1)), np.ones((1, 1)),
                     np.ones((1, 1), dtype=bool), {"label": ("x",)})
    with pytest.raises(ValueError, match="attributes of other names than the columns: got 1 splits, and label"):
        dump_evidence(taken, ["test"])


def _without(*columns):
    return lambda table: table.drop_columns(list(columns))


def _of_no_rows(table):
    return table.slice(0, 0)


def _of_unknown_label(table):
    return table.set_column(2, "label", pa.array(["unknown"] * len(table)))


def _of_lost_labels(table):
    return table.replace_schema_metadata({})


def _of_other_width(table):
    return table.replace_schema_metadata({"labels": '["rot, hell", "blau é", "皮膚", "neu"]'})


def _of_gaps(table):
    rows = table.to_pylist()
    rows[3]["probabilities"] = None
    return pa.Table.from_pylist(rows, schema=table.schema)


@pytest.mark.parametrize("change", [_without("raw"), _without("sha256"), _of_no_rows, _of_unknown_label, _of_lost_labels,
                                    _of_other_width, _of_gaps])
def test_a_file_that_is_no_evidence_is_refused(change):
    table = load_table(dump_evidence(evidence(), ["test"] * 50))
    with pytest.raises(ValueError, match=r"no evidence file: .*Evaluate the model again|no sound evidence: it has no rows"):
        load_evidence(dump_table(change(table)))


def test_bytes_that_are_no_table_are_refused():
    data = dump_evidence(evidence(), ["test"] * 50)
    for damaged in (b"", b"PAR1", data[:-20], data[:100]):
        with pytest.raises(ValueError, match="this is no evidence file"):
            load_evidence(damaged)


@pytest.fixture
def catalogue(tmp_path):
    objects = ObjectStore(tmp_path / "objects")
    objects.create_bucket("data")
    return Catalogue(objects, "data", tmp_path / "cache")


def published(catalogue, tmp_path, rows):
    """The catalogue after these batches of rows."""
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    for batch_id, given in rows.items():
        lesions.replace_batch(batch_id, pa.Table.from_pylist([row | {"batch_id": batch_id} for row in given],
                                                             schema=MANIFEST_SCHEMA))
    catalogue.publish(lesions, datetime(2026, 5, 1, tzinfo=UTC))


def asked(*numbers, label="nevus"):
    return pa.table({"sha256": [manifest_row(number)["sha256"] for number in numbers], "label": [label] * len(numbers)})


def test_attributes_are_those_that_were_delivered_in_the_order_of_the_rows(catalogue, tmp_path):
    rows = asked(3, 9, 1, 2)
    assert attributes_of(catalogue, rows, (30, 50)) == dict.fromkeys(ATTRIBUTES, ("",) * 4)
    published(catalogue, tmp_path, {
        "2026-05-01-roma": [manifest_row(1, sex="f", age="29.5", site="bras é", skin_type="2.0"), manifest_row(2)],
        "2026-05-02-roma-2": [manifest_row(3, sex="M", age="unknown"), manifest_row(1, age="80")]})
    assert attributes_of(catalogue, rows, (30, 50)) == {
        "sex": ("M", "", "f", ""), "age_band": ("", "", "under 30", ""), "skin_type": ("", "", "II", ""),
        "site": ("", "", "bras é", ""), "source": ("roma", "", "roma", "roma")}
    assert set(attributes_of(catalogue, asked(1, label="other"), (30,)).values()) == {("",)}


def test_a_source_is_what_stands_between_day_and_number(catalogue, tmp_path):
    sources = {"roma": "roma", "roma-2": "roma", "roma-12": "roma", "st-anna-2": "st-anna", "st-anna": "st-anna", "7": "7",
               "ward-1": "ward-1", "7-3": "7", "a1b2": "a1b2"}
    published(catalogue, tmp_path, {f"2026-05-01-{name}": [manifest_row(number)] for number, name in enumerate(sources, 1)})
    found = attributes_of(catalogue, asked(*range(1, len(sources) + 1)), (30,))["source"]
    assert dict(zip(sources, found, strict=True)) == sources


def test_thousands_of_rows_are_asked_for_at_once_and_keep_their_order(catalogue, tmp_path):
    published(catalogue, tmp_path, {"2026-05-01-roma": [manifest_row(number, site=f"s{number}") for number in range(1, 3001)]})
    numbers = np.random.default_rng(3).permutation(np.arange(1, 3001)).tolist()
    assert attributes_of(catalogue, asked(*numbers), (30,))["site"] == tuple(f"s{number}" for number in numbers)

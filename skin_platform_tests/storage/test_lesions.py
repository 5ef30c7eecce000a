"""Promises of the lesions table: it follows from the manifests alone, in whatever order they come, however often."""

import itertools
import random
import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest

from skin_platform.core.conflicts import Resolution
from skin_platform.core.lesions import LESIONS_DATA
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import content_digest, trainable_digest
from skin_platform.storage.lesions import LesionsTable
from skin_platform_tests.storage.deliveries import manifest_row


@pytest.fixture
def lesions(tmp_path):
    """An empty table; its folder is made when it is first written."""
    return LesionsTable(tmp_path / "state" / "skin.duckdb")


def _manifest(day, *rows):
    """The manifest of the one batch of a day in May."""
    stamp = f"2026-05-{day:02}"
    own = [row | {"batch_id": f"{stamp}-x", "ingested_at": f"{stamp}T00:00:00.000000+00:00"} for row in rows]
    return pa.Table.from_pylist(own, schema=MANIFEST_SCHEMA)


def _put(lesions, manifest, day=None):
    """Replace a batch by its manifest, as the asset does."""
    lesions.replace_batch(f"2026-05-{day:02}-x" if day else manifest["batch_id"][0].as_py(), manifest)


def _rows(lesions):
    return {(row["sha256"], row["label"]): row for row in lesions.read().to_pylist()}


def _sha(number):
    return f"{number:016x}".ljust(64, "0")


HISTORY = [
    _manifest(1, manifest_row(1, patient_id="P1"), manifest_row(2), manifest_row(3, lesion_id="L1"),
              manifest_row(9, reason="the file is empty")),
    _manifest(2, manifest_row(2, patient_id="P1", age="40"), manifest_row(4, lesion_id="L1", split="val")),
    _manifest(3, manifest_row(4, patient_id="P1"), manifest_row(5, label="Mélanome à voir"), manifest_row(1, age="7")),
    _manifest(4, manifest_row(5), manifest_row(6, patient_id="P2"), manifest_row(9)),
]


def test_a_table_has_the_columns_that_are_declared(lesions):
    assert lesions.read().schema.names == [column.name for column in LESIONS_DATA]
    assert len(lesions.read()) == 0


def test_every_good_row_of_a_manifest_is_a_row(lesions):
    _put(lesions, HISTORY[0])
    rows = _rows(lesions)
    assert [sha256 for sha256, _ in rows] == [_sha(1), _sha(2), _sha(3)]
    assert rows[_sha(1), "nevus"]["batch_id"] == "2026-05-01-x"
    assert rows[_sha(1), "nevus"]["erased_at"] is None


def test_replaying_a_batch_changes_nothing(lesions):
    for manifest in HISTORY:
        _put(lesions, manifest)
    before = content_digest(lesions.read())
    for manifest in HISTORY:
        _put(lesions, manifest)
        assert content_digest(lesions.read()) == before


@pytest.mark.parametrize("order", random.Random(0).sample(list(itertools.permutations(range(4))), 6))
def test_the_table_is_the_same_in_whatever_order_batches_come_and_however_it_is_made(tmp_path, order):
    one, other = LesionsTable(tmp_path / "one.duckdb"), LesionsTable(tmp_path / "other.duckdb")
    for at in order:
        _put(one, HISTORY[at])
    _put(other, _manifest(7, manifest_row(77)))
    other.rebuild(iter(HISTORY))
    assert content_digest(one.read()) == content_digest(other.read())
    assert trainable_digest(one.read()) == trainable_digest(other.read())


def test_the_same_bytes_twice_are_one_row_of_the_first_delivery(lesions):
    _put(lesions, _manifest(2, manifest_row(1, split="val", s3_uri="s3://images/later")))
    _put(lesions, _manifest(1, manifest_row(1, file_id="a"), manifest_row(1, file_id="b", split="train")))
    [row] = lesions.read().to_pylist()
    assert (row["batch_id"], row["split"]) == ("2026-05-01-x", None)
    assert row["s3_uri"].endswith(f"{_sha(1)}.jpg")


def test_a_later_delivery_fills_in_what_was_missing_and_overrules_nothing(lesions):
    _put(lesions, _manifest(1, manifest_row(1, age="40")))
    _put(lesions, _manifest(2, manifest_row(1, patient_id="P1", age="99", sex="f", split="val")))
    _put(lesions, _manifest(3, manifest_row(1, patient_id="P2")))
    [row] = lesions.read().to_pylist()
    assert (row["patient_id"], row["age"], row["sex"]) == ("P1", "40", "f")
    assert (row["split"], row["batch_id"]) == (None, "2026-05-01-x")


def test_a_batch_that_is_judged_anew_without_an_image_takes_its_row_along(lesions):
    _put(lesions, _manifest(1, manifest_row(1), manifest_row(2)))
    _put(lesions, _manifest(2, manifest_row(2, age="5")))
    _put(lesions, _manifest(1, manifest_row(1), manifest_row(2, reason="gone before it could be stored")))
    rows = _rows(lesions)
    assert rows[_sha(2), "nevus"]["batch_id"] == "2026-05-02-x"
    _put(lesions, _manifest(2, manifest_row(2, reason="no more")))
    assert list(_rows(lesions)) == [(_sha(1), "nevus")]


def test_a_manifest_of_nothing_changes_nothing(lesions):
    _put(lesions, HISTORY[0])
    before = content_digest(lesions.read())
    _put(lesions, _manifest(5), 5)
    assert content_digest(lesions.read()) == before


def test_the_same_bytes_under_two_labels_are_a_conflict_that_nobody_learns_from(lesions):
    for manifest in HISTORY:
        _put(lesions, manifest)
    rows = _rows(lesions)
    assert len(rows) == 8
    assert {key for key, row in rows.items() if row["exclusion"]} == {(_sha(5), "nevus"), (_sha(5), "Mélanome à voir")}
    assert {row["exclusion"] for (sha256, _), row in rows.items() if sha256 == _sha(5)} == {"conflict"}
    assert {row["group_id"] for (sha256, _), row in rows.items() if sha256 == _sha(5)} == {_sha(5)[:16]}


def _decision(label, labels=("Mélanome à voir", "nevus")):
    return Resolution(_sha(5), label, labels, "Dr. Weiß", "biopsy", "2026-06-01T00:00:00+00:00")


def test_a_decision_lets_one_label_count_until_another_label_comes(lesions):
    for manifest in HISTORY:
        _put(lesions, manifest)
    for label, other in (("nevus", "Mélanome à voir"), ("Mélanome à voir", "nevus")):  # a later decision replaces the former
        lesions.resolve([_decision(label)])
        rows = _rows(lesions)
        assert (rows[_sha(5), label]["exclusion"], rows[_sha(5), other]["exclusion"]) == (None, "overruled")
    decided = content_digest(lesions.read())
    lesions.rebuild(iter(HISTORY), [_decision("Mélanome à voir")])
    assert content_digest(lesions.read()) == decided
    _put(lesions, _manifest(9, manifest_row(5, label="keratosis")))
    assert [row["exclusion"] for (sha256, _), row in _rows(lesions).items() if sha256 == _sha(5)] == ["conflict"] * 3


def test_a_conflict_whose_other_label_is_withdrawn_is_none(lesions):
    for manifest in HISTORY:
        _put(lesions, manifest)
    _put(lesions, _manifest(4), 4)
    assert [row["exclusion"] for (sha256, _), row in _rows(lesions).items() if sha256 == _sha(5)] == [None]


def test_a_batch_judged_anew_as_empty_takes_its_rows_along(lesions):
    _put(lesions, HISTORY[0])
    _put(lesions, _manifest(1), 1)
    assert len(lesions.read()) == 0


def test_a_patient_joins_groups_across_batches_and_leaves_none_behind(lesions):
    for manifest in HISTORY:
        _put(lesions, manifest)
    groups = {sha256: row["group_id"] for (sha256, _), row in _rows(lesions).items()}
    # 1 and 2 share a patient, 3 and 4 a lesion, and the third batch says that 4 shows the same patient
    assert {groups[_sha(n)] for n in (1, 2, 3, 4)} == {_sha(1)[:16]}
    assert groups[_sha(6)] == _sha(6)[:16]
    _put(lesions, _manifest(3), 3)
    lesions.rebuild(iter(HISTORY[:2]))
    groups = {sha256: row["group_id"] for (sha256, _), row in _rows(lesions).items()}
    assert groups[_sha(1)] == groups[_sha(2)] != groups[_sha(3)] == groups[_sha(4)]


def test_the_digest_knows_every_value(lesions):
    _put(lesions, HISTORY[0])
    before = content_digest(lesions.read())
    shuffled = lesions.read().take([2, 0, 1])
    assert content_digest(shuffled) == before
    _put(lesions, _manifest(2, manifest_row(2, site="back")))
    assert content_digest(lesions.read()) != before


def test_a_batch_that_fails_halfway_leaves_the_table_as_it_was(lesions):
    _put(lesions, HISTORY[0])
    before = content_digest(lesions.read())

    def manifests():
        yield HISTORY[1]
        raise KeyError("the next manifest is not there")

    with pytest.raises(KeyError):
        lesions.rebuild(manifests())
    assert content_digest(lesions.read()) == before


def test_a_file_of_another_layout_is_refused_with_the_remedy_which_makes_it_anew(tmp_path):
    path = tmp_path / "skin.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE SCHEMA metadata; CREATE TABLE metadata.bands (band BIGINT, image_key UBIGINT); "
                   "CREATE TABLE metadata.batches (batch_id VARCHAR); INSERT INTO metadata.batches VALUES ('2026-05-01-x')")
    lesions = LesionsTable(path)
    with pytest.raises(RuntimeError, match="layout differs: run `skin rebuild`"):
        _put(lesions, HISTORY[0])
    lesions.rebuild(iter(HISTORY))
    _put(lesions, HISTORY[0])
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE metadata.layout SET layout = 'of a later version'")
    with pytest.raises(RuntimeError, match="job rebuild_metadata"):
        lesions.read()
    lesions.rebuild(iter(HISTORY))
    assert len(lesions.read()) == 8


def test_a_table_that_another_process_holds_says_so_and_what_to_read_instead(tmp_path):
    path = tmp_path / "skin.duckdb"
    program = f"import duckdb, sys; db = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(RuntimeError, match=r"another process may be writing to it.*skin catalogue"):
            _put(LesionsTable(path, wait_seconds=0.3), HISTORY[0])
        threading.Timer(0.5, holder.stdin.close).start()
        _put(LesionsTable(path), HISTORY[0])  # waits for the other to be done
    assert len(LesionsTable(path).read()) == 3

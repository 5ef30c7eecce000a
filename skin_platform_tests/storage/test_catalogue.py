"""Promises of the published catalogue: readers see whole revisions, and a batch costs a part of its own size."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import Catalogue, content_digest
from skin_platform.storage.faults import StorageError
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.manifests import ASSIGNED
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.published import MAX_PARTS, STATE_KEY
from skin_platform_tests.storage.deliveries import manifest_row
from skin_platform_tests.storage.test_lesions import HISTORY

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def objects(tmp_path):
    """A local object store with a bucket named data."""
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("data")
    return store


@pytest.fixture
def lesions(tmp_path):
    """An empty table."""
    return LesionsTable(tmp_path / "skin.duckdb")


@pytest.fixture
def catalogue(tmp_path, objects):
    """The catalogue as one machine reads it."""
    return Catalogue(objects, "data", tmp_path / "cache", ["nevus"])


def batch(number, size, **attributes):
    """A batch of ``size`` images that no other batch has."""
    batch_id = f"2026-05-01-x-{number}"
    rows = [manifest_row(number * 10_000 + at, **attributes) | {"batch_id": batch_id} for at in range(1, size + 1)]
    return batch_id, pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def parts(objects):
    return json.loads(objects.download_file("data", STATE_KEY))["parts"]


def test_before_anything_is_published_there_is_nothing(catalogue):
    assert (catalogue.state(), catalogue.read(), catalogue.addresses({"a"})) == (None, None, {})
    assert (catalogue.conflicts(), catalogue.trainable(ASSIGNED.empty_table())) == ([], None)


def test_the_published_catalogue_is_the_table_with_a_statement_of_what_it_holds(catalogue, lesions):
    lesions.rebuild(iter(HISTORY))
    state = catalogue.publish(lesions, NOW)
    assert catalogue.state() == state
    assert (state.rows, state.trainable) == (8, 6)
    assert content_digest(catalogue.read()) == state.content_digest == content_digest(lesions.read())
    rows, digest = catalogue.trainable(ASSIGNED.empty_table())
    assert (len(rows), digest) == (6, state.trainable_digest)
    assert catalogue.conflicts() == [manifest_row(5)["sha256"]]
    first = manifest_row(1)
    assert catalogue.addresses({first["sha256"], "f" * 64}) == {first["sha256"]: first["s3_uri"]}
    assert catalogue.publish(lesions, NOW) == state


def test_what_may_be_learnt_from_follows_the_configuration_without_another_publishing(catalogue, lesions, objects, tmp_path):
    lesions.replace_batch("2026-05-01-x", pa.Table.from_pylist(
        [manifest_row(1), manifest_row(2, label="keratosis")], schema=MANIFEST_SCHEMA))
    one = catalogue.publish(lesions, NOW)
    other = Catalogue(objects, "data", tmp_path / "elsewhere", []).state()
    assert (one.trainable, other.trainable) == (1, 2)
    assert one.trainable_digest != other.trainable_digest


def test_a_batch_is_published_as_a_part_of_its_own_size(catalogue, lesions, objects):
    lesions.replace_batch(*batch(1, 400))
    catalogue.publish(lesions, NOW)
    for number in (2, 3):
        lesions.replace_batch(*batch(number, 20))
        catalogue.publish(lesions, NOW)
    assert [part["rows"] for part in parts(objects)] == [400, 20, 20]
    assert content_digest(catalogue.read()) == catalogue.state().content_digest == content_digest(lesions.read())


def test_many_parts_are_put_together_and_nothing_changes_for_readers(catalogue, lesions, objects):
    lesions.replace_batch(*batch(1, 300))
    catalogue.publish(lesions, NOW)
    for number in range(2, 2 + MAX_PARTS + 5):
        lesions.replace_batch(*batch(number, 4, patient_id=f"P{number % 3}"))  # groups join across batches
        state = catalogue.publish(lesions, NOW)
        assert len(parts(objects)) <= MAX_PARTS
        assert content_digest(catalogue.read()) == state.content_digest == content_digest(lesions.read())
    lesions.replace_batch(*batch(90, 400))
    catalogue.publish(lesions, NOW)
    assert len(parts(objects)) == 1
    assert content_digest(catalogue.read()) == content_digest(lesions.read())


def test_what_is_removed_or_changed_is_so_for_readers_too(catalogue, lesions):
    for manifest in HISTORY:
        lesions.replace_batch(manifest["batch_id"][0].as_py(), manifest)
        catalogue.publish(lesions, NOW)
    lesions.replace_batch("2026-05-01-x", MANIFEST_SCHEMA.empty_table())
    state = catalogue.publish(lesions, NOW)
    assert content_digest(catalogue.read()) == state.content_digest == content_digest(lesions.read())
    assert manifest_row(3)["sha256"] not in catalogue.read()["sha256"].to_pylist()


def test_a_run_killed_between_table_and_publishing_is_made_up_for_by_the_next(catalogue, lesions):
    lesions.replace_batch(*batch(1, 5))
    catalogue.publish(lesions, NOW)
    lesions.replace_batch(*batch(2, 5))  # and killed
    lesions.replace_batch(*batch(2, 5))
    state = catalogue.publish(lesions, NOW)
    assert state.rows == 10
    assert content_digest(catalogue.read()) == state.content_digest


def test_a_table_made_anew_is_published_whole(catalogue, lesions, objects, tmp_path):
    for manifest in HISTORY:
        lesions.replace_batch(manifest["batch_id"][0].as_py(), manifest)
        before = catalogue.publish(lesions, NOW)
    other = LesionsTable(tmp_path / "other.duckdb")
    other.rebuild(iter(HISTORY))
    assert catalogue.publish(other, NOW) == before
    assert len(parts(objects)) == 1


def test_a_replayed_batch_publishes_nothing(catalogue, lesions, objects):
    lesions.replace_batch(*batch(1, 5))
    catalogue.publish(lesions, NOW)
    before = objects.download_file("data", STATE_KEY)
    lesions.replace_batch(*batch(1, 5))
    catalogue.publish(lesions, NOW)
    assert objects.download_file("data", STATE_KEY) == before


def test_merged_parts_stay_for_an_hour_and_go_then(catalogue, lesions, objects):
    lesions.replace_batch(*batch(1, 2))
    catalogue.publish(lesions, NOW)
    first = parts(objects)[0]["key"]
    lesions.replace_batch(*batch(2, 9))
    catalogue.publish(lesions, NOW)
    assert objects.object_exists("data", first)
    catalogue.publish(lesions, NOW + timedelta(minutes=61))
    assert not objects.object_exists("data", first)
    assert len(catalogue.read()) == 11


def test_a_damaged_part_is_refused_and_not_kept(catalogue, lesions, objects, tmp_path):
    lesions.replace_batch(*batch(1, 5))
    catalogue.publish(lesions, NOW)
    objects.upload_file("data", parts(objects)[0]["key"], b"PAR1")
    elsewhere = Catalogue(objects, "data", tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is damaged"):
        elsewhere.read()
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_a_question_that_cannot_be_asked_is_a_value_error(catalogue, lesions):
    lesions.replace_batch(*batch(1, 5))
    catalogue.publish(lesions, NOW)
    with pytest.raises(ValueError, match="nobody"):
        catalogue.query("SELECT nobody FROM lesions_data")


READER = """
import sys
from pathlib import Path
from skin_platform.storage.catalogue import Catalogue, content_digest
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.published import MAX_PARTS, STATE_KEY
catalogue = Catalogue(ObjectStore(Path(sys.argv[1])), "data", Path(sys.argv[2]))
looks, seen = 0, set()
print("looking", flush=True)
while not Path(sys.argv[3]).exists():
    counts = catalogue.query("SELECT batch_id, count(*) AS n FROM lesions_data GROUP BY batch_id").to_pylist()
    wrong = [row for row in counts if row["n"] != 20]
    assert not wrong, wrong
    looks += 1
    seen.add(len(counts))
assert content_digest(catalogue.read()) == catalogue.state().content_digest
print(looks, len(seen))
"""


def test_a_reader_is_never_blocked_and_never_sees_half_a_batch_while_fifty_are_written(lesions, catalogue, objects, tmp_path):
    lesions.replace_batch(*batch(1, 20))
    catalogue.publish(lesions, NOW)
    command = [sys.executable, "-c", READER, tmp_path / "objects", tmp_path / "reader", tmp_path / "done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "looking\n"
        for number in range(2, 52):
            lesions.replace_batch(*batch(number, 20, patient_id=f"P{number % 7}"))
            catalogue.publish(lesions, NOW + timedelta(minutes=number))
        (tmp_path / "done").touch()
        told, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    looks, states = map(int, told.split())
    assert looks >= 20
    assert states >= 10


@pytest.mark.parametrize("sql", [
    "COPY (SELECT 1) TO '{0}/out.csv'", "COPY lesions_data TO '{1}' (USE_TMP_FILE false)",
    "SELECT 1; COPY (SELECT 1) TO '{0}/out.csv'",
    "EXPLAIN ANALYZE COPY lesions_data TO '{0}/out.csv'", "EXPORT DATABASE '{0}/out'", "ATTACH '{0}/out.db'", "INSTALL httpfs",
    "SET enable_external_access = true", "CREATE TABLE lesions_data2 AS FROM lesions_data",
    "SELECT * FROM read_text('{0}/secret.txt')",
    "SELECT * FROM '{0}/secret.csv'", "SELECT * FROM glob('{0}/*')",
    "SELECT * FROM read_text('http://127.0.0.1:9/x')", "SELEKT 1", ""])
def test_a_question_can_only_read_and_only_the_catalogue(catalogue, lesions, tmp_path, sql):
    lesions.replace_batch(*batch(1, 3))
    catalogue.publish(lesions, NOW)
    lesions.replace_batch(*batch(2, 1))
    catalogue.publish(lesions, NOW)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.csv").write_text("a,b\nsecret,1\n")

    def there():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = there()
    part = max((tmp_path / "cache").glob("*.parquet"), key=lambda path: path.stat().st_size)
    with pytest.raises(ValueError, match=r".") as error:
        catalogue.query(sql.format(tmp_path, part))
    assert "secret" not in str(error.value).replace("secret.", "")
    assert there() == before
    assert catalogue.query("DESCRIBE lesions_data").num_rows > 20
    assert catalogue.query("SELECT count(*) AS n FROM lesions_data")["n"].to_pylist() == [4]

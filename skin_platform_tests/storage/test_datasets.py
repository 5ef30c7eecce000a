"""Promises of frozen datasets: the same content is one version, nothing is half, nothing is changed unnoticed."""

import hashlib
import threading
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.datasets import DatasetRow, canonical_manifest, dataset_digest, images_digest
from skin_platform.core.splits import SplitPolicy
from skin_platform.storage.candidates import Split, split_candidates
from skin_platform.storage.dataset_versions import Circumstances
from skin_platform.storage.datasets import Datasets, OvertakenError, manifest_key
from skin_platform.storage.manifest_changes import compare, unruly_moves
from skin_platform.storage.manifests import ASSIGNED, MOVES, canonical_text, digest_of, rows_of, straddling
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.frozen import freeze_rows, table_of

ROWS = [DatasetRow(f"{number:064x}", label, f"g{number // 2}", split, f"s3://images/{number}")
        for number, (label, split) in enumerate([("Mélanome à voir", "train"), ("b", "train"), ("b", "val"), ("b", "val"),
                                                 ("b", "test")])]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)
ALIASES = {"train": "train", "val": "val", "test": "test", "holdout": "test"}
POLICY = SplitPolicy({"train": 0.7, "val": 0.15, "test": 0.15}, 0, "test")


class Killed(BaseException):
    """The process is gone."""


class Mortal(ObjectStore):
    """A store whose process is killed before the write that comes after so many."""

    writes_left = 1_000_000

    def upload_file(self, *arguments, **options):
        if self.writes_left == 0:
            raise Killed
        self.writes_left -= 1
        super().upload_file(*arguments, **options)


@pytest.fixture
def objects(tmp_path):
    """A local object store with a bucket named data."""
    store = Mortal(tmp_path / "objects")
    store.create_bucket("data")
    return store


@pytest.fixture
def datasets(objects):
    return Datasets(objects, "data")


def written(folder):
    """Every file there with the time of its last change."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}


def offered(rows, assigned=(), kept_out=()):
    """What the catalogue offers of ``rows``, some of which may not be used now, where ``assigned`` says what was before."""
    previous = dict(assigned)
    columns = {"sha256": [row.sha256 for row in rows], "label": [row.label for row in rows],
               "group_id": [row.group_id for row in rows], "split": [row.split or None for row in rows],
               "s3_uri": [row.s3_uri for row in rows], "previous": [previous.get(row.sha256) for row in rows]}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return table.append_column("is_usable", pa.array([row.sha256 not in kept_out for row in rows]))


def go_on(datasets, rows, kept_out=(), policy=POLICY):
    """The next version of a catalogue with these rows, as the asset makes it; returns the split."""
    newest = datasets.newest()
    assigned = datasets.assigned(newest)
    pairs = zip(assigned["sha256"].to_pylist(), assigned["split"].to_pylist(), strict=True)
    split = split_candidates(offered(rows, pairs, kept_out), assigned, policy, ALIASES)
    datasets.freeze(split, Circumstances(parent=newest.digest if newest else None), newest)
    return split


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, st.sampled_from(["train", "val"])), max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_columns_have_the_digest_of_the_rows(values):
    rows = [DatasetRow(*value, "s3://x") for value in values]
    assert bytes(canonical_text(table_of(rows))).decode() == canonical_manifest(rows)
    assert digest_of(table_of(rows)) == dataset_digest(rows)
    assert digest_of(table_of(rows).slice(1)) == dataset_digest(sorted(rows)[1:])
    assert rows_of(table_of(rows)) == sorted(rows)


def test_freezing_the_same_again_writes_nothing(datasets, objects, tmp_path):
    assert datasets.latest() is None
    digest = freeze_rows(datasets, ROWS, created_at="2026-05-01T10:00:00", seed=3, locked_split="test", notes=("a note",))
    assert digest == dataset_digest(ROWS) == datasets.latest()
    before = written(tmp_path)
    objects.writes_left = 0
    assert freeze_rows(datasets, ROWS[::-1], created_at="2026-05-02T10:00:00", run_id="another", seed=4) == digest
    assert written(tmp_path) == before
    assert hashlib.sha256(objects.download_file("data", manifest_key(digest))).hexdigest() == digest
    assert datasets.read(digest) == ROWS
    found = datasets.version(digest)
    assert (found.came.seed, found.came.notes, found.images, found.groups) == (3, ("a note",), 5, 3)
    assert found.images_by_split() == {"train": 2, "val": 2, "test": 1}
    assert found.locked_digest == images_digest([ROWS[4].sha256])
    assert datasets.list() == [found]


def test_the_newest_frozen_dataset_is_the_latest_even_when_it_was_frozen_before(datasets):
    first, second = (freeze_rows(datasets, rows, created_at=at) for rows, at in ((ROWS, "1"), (ROWS[:2], "2")))
    assert datasets.latest() == second
    freeze_rows(datasets, ROWS)
    assert datasets.latest() == first
    assert datasets.read(second) == ROWS[:2]
    assert [version.digest for version in datasets.list()] == [second, first]


@pytest.mark.parametrize("writes", range(5))
def test_a_killed_freeze_leaves_the_former_version_and_can_be_done_again(datasets, objects, writes):
    former = go_on(datasets, [replace(row, split="") for row in ROWS])
    before = datasets.latest()
    more = [*ROWS, *(replace(row, sha256="f" + row.sha256[1:], group_id=f"h{at}") for at, row in enumerate(ROWS))]
    objects.writes_left = writes
    with pytest.raises(Killed):
        go_on(datasets, more[1:])
    objects.writes_left = 100
    assert datasets.latest() == before
    assert all(datasets.read(version.digest) for version in datasets.list())
    after = go_on(datasets, more[1:])
    assert datasets.read(datasets.latest()) == rows_of(after.manifest)
    assert datasets.assigned(datasets.newest()).num_rows == len(more)
    assert {row.sha256: row.split for row in rows_of(after.manifest)}.items() >= {
        row.sha256: row.split for row in rows_of(former.manifest)[1:]}.items()


def test_of_two_freezes_at_once_one_is_told_that_it_was_overtaken(datasets):
    first = freeze_rows(datasets, ROWS)
    stale = datasets.newest()
    second = freeze_rows(datasets, ROWS[:3])
    with pytest.raises(OvertakenError, match=second[:12]):
        datasets.freeze(Split(table_of(ROWS[:4]), MOVES.empty_table(), ASSIGNED.empty_table(), ()), Circumstances(), stale)
    assert datasets.latest() == second != first


def test_the_same_frozen_by_several_at_once_is_one_whole_version(tmp_path):
    stores = [ObjectStore(tmp_path / "objects") for _ in range(8)]
    stores[0].create_bucket("data")
    threads = [threading.Thread(target=freeze_rows, args=(Datasets(store, "data"), ROWS)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Datasets(stores[0], "data")
    assert [version.digest for version in found.list()] == [found.latest()] == [dataset_digest(ROWS)]
    assert found.read(found.latest()) == ROWS


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-30], lambda data: b"no table"])
def test_a_damaged_manifest_is_noticed_on_reading(datasets, objects, damage):
    digest = freeze_rows(datasets, ROWS)
    key = f"datasets/{digest}/manifest.parquet"
    objects.upload_file("data", key, damage(objects.download_file("data", key)))
    with pytest.raises(ValueError, match="was changed after it was frozen"):
        datasets.read(digest)


def test_a_manifest_that_was_put_in_the_place_of_another_is_refused(datasets, objects):
    digest, other = freeze_rows(datasets, ROWS), freeze_rows(datasets, ROWS[:2])
    changed = objects.download_file("data", f"datasets/{other}/manifest.parquet")
    objects.upload_file("data", f"datasets/{digest}/manifest.parquet", changed)
    with pytest.raises(ValueError, match="was changed after it was frozen"):
        datasets.read(digest)


def test_a_version_is_named_by_its_first_digits(datasets):
    with pytest.raises(ValueError, match="no dataset was frozen yet"):
        datasets.find("latest")
    digest = freeze_rows(datasets, ROWS)
    assert datasets.find("latest") == datasets.find(digest[:4]) == datasets.find(digest.upper()) == digest
    for name, why in ((digest[:3], "four digits"), ("ffff0000", "there is none")):
        with pytest.raises(ValueError, match=why):
            datasets.find(name)
    with pytest.raises(KeyError, match="skin datasets list"):
        datasets.read("0" * 64)


def test_a_version_without_a_record_is_described_from_its_manifest(datasets, objects):
    digest = freeze_rows(datasets, ROWS, created_at="2026")
    objects.delete_object("data", f"datasets/{digest}/version.json")
    assert [(version.images, version.came.created_at) for version in datasets.list()] == [(5, "")]


def test_an_image_that_was_away_comes_back_to_its_split(datasets):
    rows = [DatasetRow(f"{number:064x}", "ab"[number % 2], f"g{number}", "") for number in range(40)]
    before = {row.sha256: row.split for row in rows_of(go_on(datasets, rows).manifest)}
    locked = next(sha256 for sha256, split in before.items() if split == "test")
    without = [row for row in rows if row.sha256 != locked]
    first = datasets.latest()
    assert go_on(datasets, rows, kept_out={locked}).absent.to_pylist() == [{"sha256": locked, "split": "test"}]  # in doubt
    assert go_on(datasets, without).absent.num_rows == 1  # gone from the catalogue
    friend = DatasetRow("f" * 64, "a", next(row.group_id for row in rows if row.sha256 == locked), "")
    met = go_on(datasets, [*rows, friend], kept_out={locked})  # a new image of that patient, while it is in doubt
    assert {row.sha256: row.split for row in rows_of(met.manifest)}[friend.sha256] == "test"
    assert go_on(datasets, rows).absent.to_pylist() == [{"sha256": friend.sha256, "split": "test"}]
    assert datasets.latest() == first
    back = {row.sha256: row.split for row in rows_of(datasets.manifest(datasets.latest()))}
    assert back == before


def test_a_late_link_moves_images_on_record(datasets):
    rows = [DatasetRow(f"{number:064x}", "a", f"g{number}", "") for number in range(40)]
    before = {row.group_id: row.split for row in rows_of(go_on(datasets, rows).manifest)}
    first = datasets.latest()
    learnt, locked = (next(group for group, split in before.items() if split == name) for name in ("train", "test"))
    linked = [replace(row, group_id=locked) if row.group_id == learnt else row for row in rows]
    split = go_on(datasets, linked)
    [moved] = rows_of(split.manifest.filter(pa.compute.equal(split.manifest["sha256"], split.moves["sha256"][0])))
    assert datasets.moves(datasets.latest()).to_pylist() == [
        {"sha256": moved.sha256, "from_split": "train", "to_split": "test"}]
    found = datasets.version(datasets.latest())
    assert (found.moved, found.came.parent, moved.split) == (1, first, "test")
    assert datasets.version(first).moved == datasets.moves(first).num_rows == 0
    old, new, order = datasets.manifest(first), datasets.manifest(datasets.latest()), list(POLICY.fractions)
    assert unruly_moves(old, new, split.moves, order, ALIASES) == []
    assert [row["why"] for row in unruly_moves(old, new, MOVES.empty_table(), order, ALIASES)] == ["not on record"]
    assert [row["why"] for row in unruly_moves(new, old, split.moves, order, ALIASES)] == ["to a less held-out split"]


def test_a_split_that_is_renamed_keeps_its_images_and_one_that_is_dropped_is_refused(datasets):
    rows = [DatasetRow(f"{number:064x}", "a", f"g{number}", "") for number in range(40)]
    before = {row.sha256: row.split for row in rows_of(go_on(datasets, rows).manifest)}
    policy = SplitPolicy({"train": 0.7, "val": 0.15, "final": 0.15}, 0, "final")
    assigned = datasets.assigned(datasets.newest())
    again = offered(rows, before.items())
    with pytest.raises(ValueError, match=r"6 image\(s\) of the former dataset are in the split 'test', which dataset"):
        split_candidates(again, assigned, policy, {"train": "train", "val": "val", "final": "final"})
    renamed = split_candidates(again, assigned, policy, {"train": "train", "val": "val", "final": "final", "test": "final"})
    now = {row.sha256: row.split for row in rows_of(renamed.manifest)}
    assert now == {sha256: "final" if split == "test" else split for sha256, split in before.items()}
    assert renamed.moves.num_rows == 0
    order = list(policy.fractions)
    assert unruly_moves(datasets.manifest(datasets.latest()), renamed.manifest, MOVES.empty_table(), order,
                        {"test": "final"}) == []


def test_a_comparison_tells_what_was_added_removed_relabelled_regrouped_and_moved():
    old = [DatasetRow(name * 64, "x", group, "train") for name, group in zip("01234", "ppqrs", strict=True)]
    new = [old[0], replace(old[1], group_id="p2"), replace(old[2], group_id="renamed", label="y"), replace(old[3], split="val"),
           DatasetRow("9" * 64, "x", "t", "val")]
    found = {change.kind: change for change in compare(table_of(old), table_of(new))}
    assert {kind: change.images for kind, change in found.items()} == {
        "added": 1, "removed": 1, "relabelled": 1, "regrouped": 2, "renamed_groups": 1, "moved": 1}
    assert found["moved"].ways == {"train to val": 1}
    assert found["moved"].examples == ({"sha256": "3" * 64, "was": "train", "is_now": "val"},)
    assert found["relabelled"].ways == {"x to y": 1}
    assert all(change.images == 0 for change in compare(table_of(old), table_of(old)))


def test_what_straddles_is_found():
    rows = [replace(ROWS[0], split="val"), *ROWS[1:]]
    assert straddling(table_of(rows), "group_id") == ["g0"]
    assert straddling(table_of([*ROWS, replace(ROWS[0], split="val", label="b")]), "sha256") == [ROWS[0].sha256]
    assert straddling(table_of(ROWS), "sha256") == []

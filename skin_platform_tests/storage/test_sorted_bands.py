"""Promises of the sorted copy of bands: it saves time and changes nothing, whether it is there, gone, cut short or behind."""

import shutil

import numpy as np
import pyarrow as pa
import pytest

from skin_platform.core.fingerprints import BYTES
from skin_platform.storage import sorted_bands
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import content_digest
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.sorted_bands import SortedBands
from skin_platform_tests.storage.deliveries import manifest_row

PICTURES, BATCHES = 30, 6


def prints():
    """Fingerprints of pictures of noise."""
    rng = np.random.default_rng(3)
    rows = rng.integers(-127, 128, (PICTURES, BYTES)).astype(np.int8).view(np.uint8)
    rows[:, 0], rows[:, -6:] = 90, 0
    return rows


def manifests():
    """Batches of pictures each of which has a mirrored copy in another batch."""
    own = prints()
    mirrored = own.copy()
    mirrored[:, 1:-6] = own[:, 1:-6].reshape(-1, 11, 11)[:, :, ::-1].reshape(PICTURES, -1)
    rows = [manifest_row(number + 1, perceptual_hash=row.tobytes().hex()) for number, row in enumerate([*own, *mirrored])]
    parts = {f"2026-05-0{at + 1}-x": rows[at::BATCHES] for at in range(BATCHES)}
    return {batch_id: pa.Table.from_pylist([row | {"batch_id": batch_id} for row in part], schema=MANIFEST_SCHEMA)
            for batch_id, part in parts.items()}


@pytest.fixture
def expected(tmp_path):
    """The table without a copy."""
    lesions = LesionsTable(tmp_path / "without.duckdb")
    lesions.rebuild(manifests().values())
    assert not (tmp_path / "without.duckdb.bands").exists()
    assert len(set(lesions.read()["group_id"].to_pylist())) == PICTURES
    return lesions


def _none(folder):
    pass


def _cut(folder):
    for file in folder.rglob("band.npy"):
        file.write_bytes(file.read_bytes()[:-40])


@pytest.mark.parametrize("happens", [_none, _cut, shutil.rmtree])
def test_batches_find_the_same_with_a_copy_that_is_kept_cut_short_or_gone(happens, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_bands, "MOST_RECENT", 200)
    lesions, folder = LesionsTable(tmp_path / "skin.duckdb"), tmp_path / "skin.duckdb.bands"
    for number, (batch_id, manifest) in enumerate(manifests().items()):
        lesions.replace_batch(batch_id, manifest)
        if number == BATCHES - 3:
            happens(folder)
    assert content_digest(lesions.read()) == content_digest(expected.read())
    assert 1 <= len(list(folder.iterdir())) <= 2  # the one in force and, until the next is made, the one before


def test_what_went_is_not_found_again_in_a_copy_that_still_holds_it(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(sorted_bands, "MOST_RECENT", 0)
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    *others, (last, manifest) = manifests().items()
    lesions.rebuild(table for _, table in others)
    monkeypatch.undo()
    for batch_id, _ in others[:3]:
        lesions.replace_batch(batch_id, MANIFEST_SCHEMA.empty_table())
    lesions.replace_batch(last, manifest)
    for batch_id, table in others[:3]:
        lesions.replace_batch(batch_id, table)
    assert content_digest(lesions.read()) == content_digest(expected.read())


def test_bisection_finds_what_comparing_each_with_each_finds(monkeypatch):
    monkeypatch.setattr(sorted_bands, "AT_ONCE", 50)
    rng = np.random.default_rng(1)
    band, sketch = np.sort(rng.integers(0, 40, 300)).astype(np.uint32), rng.integers(0, 64, 300).astype(np.uint64)
    copy = SortedBands(1, band, sketch, np.arange(300, dtype=np.uint64))
    asked, wanted = rng.integers(0, 50, 60).astype(np.uint32), rng.integers(0, 64, 60).astype(np.uint64)
    of, images, difference = copy.look_up(asked, wanted, 1000, 2, 63)
    bits = np.bitwise_count(sketch ^ wanted[:, None])
    expected = {(a, b) for a, b in zip(*np.nonzero((band == asked[:, None]) & (bits <= 2)), strict=True)}
    assert set(zip(of, images.astype(int), strict=True)) == expected
    assert (difference == bits[of, images.astype(int)]).all()
    assert not len(copy.look_up(asked[:0], wanted[:0], 1000, 2, 63)[0])

"""Promises of groups in the catalogue: pictures that look alike are one group, and are let go when they go."""

import random

import duckdb
import pyarrow as pa
import pytest
from PIL import Image

from skin_platform.core import groups
from skin_platform.core.fingerprints import fingerprint
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import content_digest
from skin_platform.storage.grouping import DIFFERENCE, MAX_LIKELY
from skin_platform.storage.lesions import LesionsTable
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World
from skin_platform_tests.storage.deliveries import manifest_row

COPIES = (
    lambda image: image.rotate(90, expand=True), lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    lambda image: image.resize((image.width // 2, image.height // 2)),
    lambda image: image.crop((6, 6, image.width - 6, image.height - 6)),
)


@pytest.fixture(scope="module")
def prints(tmp_path_factory):
    """Fingerprints of six pictures of six patients, and of four copies of each of the first four (turned, mirrored, …)."""
    folder = tmp_path_factory.mktemp("pictures")
    generate(World(images=6, patients=6, labels=("a", "b"), seed=4, size_px=224), folder)
    found = []
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as image:
            found.append([fingerprint(image), *(fingerprint(copy(image)) for copy in COPIES)])
    return found


def batches(prints):
    """One picture a batch and its copies in later ones, in a fixed disorder: (batch id, manifest), and the picture of each."""
    shown = {}
    rows = []
    for picture, (own, *copies) in enumerate(prints):
        for text in [own, *copies] if picture < 4 else [own]:
            number = len(rows) + 1
            rows.append(manifest_row(number, perceptual_hash=text))
            shown[rows[-1]["sha256"]] = picture
    random.Random(1).shuffle(rows)
    found = []
    for at in range(0, len(rows), 3):
        batch_id = f"2026-05-01-x-{at}"
        own = [row | {"batch_id": batch_id} for row in rows[at:at + 3]]
        found.append((batch_id, pa.Table.from_pylist(own, schema=MANIFEST_SCHEMA)))
    return found, shown


def grouped(lesions):
    """The images of each group."""
    found = {}
    for row in lesions.read().select(["sha256", "group_id"]).to_pylist():
        found.setdefault(row["group_id"], set()).add(row["sha256"])
    return found


def test_copies_join_their_picture_across_batches_and_a_rebuild_finds_the_same(prints, tmp_path):
    found, shown = batches(prints)
    lesions, anew = LesionsTable(tmp_path / "one.duckdb"), LesionsTable(tmp_path / "other.duckdb")
    for batch_id, manifest in found:
        lesions.replace_batch(batch_id, manifest)
    groups = grouped(lesions)
    assert sorted(sorted(shown[image] for image in images) for images in groups.values()) == [
        [0] * 5, [1] * 5, [2] * 5, [3] * 5, [4], [5]]
    assert all(group == min(images)[:16] for group, images in groups.items())
    anew.rebuild(manifest for _, manifest in reversed(found))
    assert content_digest(anew.read()) == content_digest(lesions.read())


def test_what_likeness_joins_too_much_of_is_taken_apart_whatever_came_first(prints, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "MOST_HOUSEHOLDS", 4)
    found, _ = batches(prints)
    lesions, anew = LesionsTable(tmp_path / "one.duckdb"), LesionsTable(tmp_path / "other.duckdb")
    for batch_id, manifest in found:
        lesions.replace_batch(batch_id, manifest)
    sizes = sorted(len(images) for images in grouped(lesions).values())
    assert sizes == [1, 1, 1, 4, 5, 5, 5]  # of one picture the crop looks alike, but not for sure
    anew.rebuild(manifest for _, manifest in reversed(found))
    assert content_digest(anew.read()) == content_digest(lesions.read())
    batch_id, _ = found.pop()  # fewer are joined now
    lesions.replace_batch(batch_id, MANIFEST_SCHEMA.empty_table())
    anew.rebuild(manifest for _, manifest in found)
    assert content_digest(anew.read()) == content_digest(lesions.read())


def test_a_picture_that_goes_takes_its_likeness_along(prints, tmp_path):
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    own, turned, *_ = prints[0]
    rows = [manifest_row(1, perceptual_hash=own, patient_id="A"), manifest_row(2, perceptual_hash=turned, patient_id="B"),
            manifest_row(3, perceptual_hash=prints[4][0], patient_id="B")]
    for number, row in enumerate(rows):
        lesions.replace_batch(f"2026-05-0{number + 1}-x", pa.Table.from_pylist(
            [row | {"batch_id": f"2026-05-0{number + 1}-x"}], schema=MANIFEST_SCHEMA))
    assert len(grouped(lesions)) == 1  # 1 looks like 2, which is of the patient of 3
    lesions.replace_batch("2026-05-02-x", MANIFEST_SCHEMA.empty_table())
    assert len(grouped(lesions)) == 2


def test_images_without_a_fingerprint_are_alone(tmp_path):
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    lesions.replace_batch("2026-05-01-x", pa.Table.from_pylist(
        [manifest_row(n, perceptual_hash=None) for n in (1, 2, 3)], schema=MANIFEST_SCHEMA))
    assert len(grouped(lesions)) == 3


def test_a_crowd_that_looks_alike_is_one_group_and_costs_no_pair_of_each_two(prints, tmp_path):
    crowd = [manifest_row(number, perceptual_hash=prints[0][0]) for number in range(1, 4 * MAX_LIKELY)]
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    for batch_id, rows in (("2026-05-01-x", crowd[::2]), ("2026-05-02-x", crowd[1::2])):
        found = [row | {"batch_id": batch_id} for row in rows]
        lesions.replace_batch(batch_id, pa.Table.from_pylist(found, schema=MANIFEST_SCHEMA))
    assert len(grouped(lesions)) == 1
    with duckdb.connect(str(tmp_path / "skin.duckdb")) as db:
        [(pairs,)] = db.execute("SELECT count(*) FROM metadata.near_duplicates").fetchall()
    assert pairs <= 2 * MAX_LIKELY * len(crowd)


def test_sketches_of_other_pictures_differ_by_the_bits_that_differ():
    question = f"SELECT {DIFFERENCE} FROM (SELECT ?::UBIGINT AS sketch) a, (SELECT 0::UBIGINT AS sketch) b"
    with duckdb.connect() as db:
        for sketch, bits in ((2**64 - 1, 64), (2**40 - 1, 40), (2**64 - 2**40, 0), (2**64 - 2**38, 8), (7, 3)):
            assert db.execute(question, [sketch]).fetchall() == [(bits,)]

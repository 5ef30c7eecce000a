"""Promise of ingest: of 2,000 damaged files each is stored, sound and without a name in it, or refused with its reason."""

import hashlib
import io
import re
import time
import warnings
from pathlib import Path

import pytest
from PIL import Image

from skin_platform.core.batches import Delivery
from skin_platform.core.cleaning import cleaned
from skin_platform.core.contact_sheet import contact_sheet
from skin_platform.core.images import Limits
from skin_platform.storage.door import DoorRules
from skin_platform.storage.ingest import judge_delivery, reasons, store_images
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.deliveries import BUCKET, VOCABULARY, now, scan
from skin_platform_tests.storage.mutants import PLANTED, SEEDS, mutant

FILES = 2000
RULES = DoorRules(VOCABULARY, Limits(max_pixels=4_000_000), "a-key")
MARKERS = (
    PLANTED, PLANTED[:7], b"Exif\x00", b"JFXX", b"MPF\x00", b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"iCCP", b"acTL", b"fdAT")


def _beside_the_picture(data: bytes) -> bytes:
    """A stored file without its compressed pixels and the tables of numbers that they are unpacked with.

    What is damaged in the middle of those is part of a (damaged) picture; nobody can tell it from one.
    """
    if data.startswith(b"\x89PNG"):
        at, kept = 8, b""
        while at < len(data):
            end = at + 12 + int.from_bytes(data[at:at + 4], "big")
            kept += b"" if data[at + 4:at + 8] in (b"IDAT", b"PLTE", b"tRNS") else data[at:end]
            at = end
        return kept
    at, kept = 2, b""
    while data[at:at + 2] != b"\xff\xd9":
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        kept += b"" if marker in (0xC4, 0xDB) else data[at:end]
        if marker == 0xDA:
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(data, end)
            assert found
            end = found.start()
        at = end
    return kept + data[at:]


def _delivered(root: Path) -> Delivery:
    """The damaged files in a landing folder, as one delivery."""
    for number in range(FILES):
        extension, data = mutant(number)
        (root / "nevus" / f"{number:04}{extension}").write_bytes(data)
    return Delivery("2026-05-01-fuzz", str(root), now().isoformat(), tuple(scan(root)))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """The rows of 2,000 damaged files after ingest, their store, the seconds that it took, and the files by file id."""
    home = tmp_path_factory.mktemp("fuzz")
    (home / "landing" / "nevus").mkdir(parents=True)
    objects = ObjectStore(home / "objects")
    objects.create_bucket(BUCKET)
    delivery = _delivered(home / "landing")
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow says of broken files
        judged = list(judge_delivery(delivery, RULES, {}))
        paths = {item.row["file_id"]: home / "landing" / item.name for item in judged}
        rows = store_images([item.row for item in judged], paths, {}, objects, BUCKET)
    return rows, objects, time.monotonic() - began, paths


def test_every_damaged_file_is_stored_or_refused_with_a_reason_and_none_is_lost(ingested):
    rows, objects, seconds, _ = ingested
    assert len({row["file_id"] for row in rows}) == len(rows) == FILES
    good = [row for row in rows if not row["reason"]]
    assert sum(reasons(rows).values()) + len(good) == FILES
    assert all(bool(row["reason"]) != bool(row.get("s3_uri")) for row in rows)
    assert {item.key for item in objects.list_objects(BUCKET)} == {_key(row) for row in good}
    assert 200 < len(good) < FILES - 200  # the damages are neither all fatal nor all harmless
    assert seconds < 120


def test_what_is_stored_of_damaged_files_is_sound_and_clean(ingested):
    rows, objects, _, _ = ingested
    for row in rows:
        if row["reason"]:
            continue
        data = objects.download_file(BUCKET, _key(row))
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert cleaned(data) is data
        assert not any(marker in _beside_the_picture(data) for marker in MARKERS)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.size == (row["width_px"], row["height_px"])
            assert not image.info.keys() & {"exif", "xmp", "comment", "icc_profile", "photoshop", "mp", "Name"}


def test_every_damaged_file_that_is_taken_can_be_shown_as_it_was_delivered(ingested):
    rows, _, _, paths = ingested
    for row in rows:
        if not row["reason"]:
            assert contact_sheet([(row["label"], paths[row["file_id"]].read_bytes())])


def test_the_seeds_themselves_are_taken_and_lose_what_was_planted():
    for _, data in SEEDS:
        assert PLANTED not in cleaned(data)


def _key(row):
    return row["s3_uri"].removeprefix(f"s3://{BUCKET}/")

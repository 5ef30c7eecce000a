"""Promises of pseudonyms, object keys, columns and contact sheets."""

import hashlib
import hmac
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skin_platform.core.contact_sheet import CAPTION_PX, TILE_PX, contact_sheet
from skin_platform.core.lesions import FILLED_LATER, KEY, LESIONS_DATA, MANIFEST_COLUMNS, object_key
from skin_platform.core.pseudonyms import pseudonym
from skin_platform_tests.core.pictures import encoded, jpeg, orientation, picture


def test_a_pseudonym_is_the_hmac_that_rfc_2104_names():
    assert pseudonym("P1", "patient", "key") == hmac.digest(b"key", b"patient:P1", "sha256").hex()[:20]


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_pseudonym_differs_by_value_kind_and_key(value, key):
    own = pseudonym(value, "patient", key)
    assert own == pseudonym(value, "patient", key)
    assert len({own, pseudonym(value, "lesion", key), pseudonym(value + "x", "patient", key),
                pseudonym(value, "patient", key + "x")}) == 4


def test_who_has_no_id_has_no_pseudonym():
    assert pseudonym(None, "patient", "key") is None


def test_a_pseudonym_is_not_the_plain_digest():
    assert pseudonym("P1", "patient", "key") != hashlib.sha256(b"P1").hexdigest()[:20]


@pytest.mark.parametrize(("split", "image_format", "key"), [
    ("train", "JPEG", "skin/train/Spitz nævus/abc.jpg"), (None, "PNG", "skin/unassigned/Spitz nævus/abc.png"),
])
def test_an_object_is_named_by_split_label_and_content(split, image_format, key):
    assert object_key(split, "Spitz nævus", "abc", image_format) == key


def test_every_column_is_named_once_and_explained():
    for columns in (LESIONS_DATA, MANIFEST_COLUMNS):
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        assert all(column.description for column in columns)
        assert {*KEY, *FILLED_LATER} <= set(names)


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 1), (8, 1), (9, 2)])
def test_a_contact_sheet_is_a_png_with_a_row_for_every_eight_pictures(count, rows):
    sheet = contact_sheet([(f"label {number}", jpeg(number)) for number in range(count)])
    with Image.open(io.BytesIO(sheet)) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (8 * TILE_PX, rows * (TILE_PX + CAPTION_PX)))


@pytest.mark.parametrize("caption", ["Spitz nævus", "皮膚", "🩺", "", "a" * 200, "שאת", "line\nbreak"])
def test_any_caption_can_be_written(caption):
    with Image.open(io.BytesIO(contact_sheet([(caption, jpeg())]))) as image:
        image.load()


def test_a_contact_sheet_shows_every_kind_of_picture_upright_and_not_clipped():
    grey = Image.fromarray(np.full((40, 40), 0x8000, np.uint16))
    pictures = [encoded(picture().convert("CMYK"), "JPEG"), encoded(picture().convert("P"), "PNG"), encoded(grey, "PNG"),
                encoded(picture().convert("RGBA"), "PNG"), jpeg(exif=orientation(6))]
    with Image.open(io.BytesIO(contact_sheet([("x", data) for data in pictures], columns=5))) as sheet:
        assert sheet.getpixel((2 * TILE_PX + TILE_PX // 2, CAPTION_PX + TILE_PX // 2)) == (0x80, 0x80, 0x80)

"""Fingerprints: copies of a picture are found and told from other pictures, however they were turned."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from skin_platform.core.fingerprints import BYTES, bands_of, fingerprint
from skin_platform.synthetic.picture import draw
from skin_platform.synthetic.plan import planned_shots
from skin_platform.synthetic.world import World
from skin_platform_tests.core.likeness import alike, alike_pairs, bands_with_sketches, likely, rows_of
from skin_platform_tests.core.pictures import encoded

WORLD = World(images=14, patients=10, labels=("plain", "mottled"), seed=5, size_px=224)


def cropped(picture: Image.Image, left: float, upper: float, right: float, lower: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(left * width), round(upper * height),
                         width - round(right * width), height - round(lower * height)))


def through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(picture, quality=quality))).convert("RGB")


COPIES = {
    "encoded anew": lambda picture: through_jpeg(picture, 60),
    "half the size": lambda picture: picture.resize((112, 112), Image.Resampling.LANCZOS),
    "cropped": lambda picture: cropped(picture, 0.03, 0.03, 0.03, 0.03),
    "cropped off the centre": lambda picture: cropped(picture, 0.03, 0.02, 0.0, 0.0),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "turned, cropped and encoded anew": lambda picture: through_jpeg(
        cropped(picture.transpose(Image.Transpose.ROTATE_90), 0.02, 0.02, 0.02, 0.02), 75),
    **{turn.name.lower(): (lambda picture, turn=turn: picture.transpose(turn)) for turn in Image.Transpose},
}


@pytest.fixture(scope="module")
def pictures():
    return [draw(WORLD, shot) for shot in planned_shots(WORLD)]


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_by_its_bands_and_recognised(pictures, copied):
    for picture in pictures[:4]:
        original, copy = fingerprint(picture), fingerprint(copied(picture))
        assert likely(original, copy)
        assert alike(original, copy)
        assert alike(copy, original)


def test_other_photographs_are_not_taken_for_copies_not_even_those_of_one_lesion(pictures):
    prints = rows_of(*(fingerprint(picture) for picture in pictures))
    first, second = np.triu_indices(len(pictures), 1)
    assert not alike_pairs(prints[first], prints[second]).any()


@pytest.mark.parametrize("turn", Image.Transpose, ids=lambda turn: turn.name.lower())
def test_turned_pictures_share_nearly_all_bands(pictures, turn):
    for picture in pictures[:6]:
        before, after = (bands_with_sketches(fingerprint(each)) for each in (picture, picture.transpose(turn)))
        assert len(before.keys() & after.keys()) >= 0.75 * len(before)


@pytest.mark.parametrize("turn", Image.Transpose, ids=lambda turn: turn.name.lower())
def test_a_picture_that_is_nearly_the_same_on_all_sides_is_found_when_turned(turn):
    picture = Image.new("RGB", (200, 200), (220, 180, 160))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 40, 160, 160), fill=(120, 70, 60))
    for x, y in ((70, 70), (130, 70), (70, 130), (132, 131)):
        pen.ellipse((x - 12, y - 12, x + 12, y + 12), fill=(60, 30, 30))
    original, copy = fingerprint(picture), fingerprint(through_jpeg(picture.transpose(turn), 85))
    assert likely(original, copy)
    assert alike(original, copy)


def test_a_copy_of_another_white_balance_is_found(pictures):
    for picture in pictures[:4]:
        red, green, blue = picture.split()
        copy = Image.merge("RGB", (red, green, blue.point(lambda value: value * 0.85)))
        assert likely(fingerprint(picture), fingerprint(copy))
        assert alike(fingerprint(picture), fingerprint(copy))


@pytest.mark.parametrize("image", [
    Image.new("RGB", (300, 200), (200, 150, 140)),
    Image.new("L", (16, 16)),
    Image.linear_gradient("L"),
    Image.linear_gradient("L").rotate(90),
    Image.fromarray(np.random.default_rng(1).normal(180, 3, (120, 160, 3)).clip(0, 255).astype(np.uint8)),
], ids=["one colour", "black, 16 px", "gradient", "gradient across", "noise"])
def test_a_picture_without_structure_has_no_bands_and_no_copies(image):
    found = fingerprint(image)
    assert not bands_with_sketches(found)
    assert not alike(found, found)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
@pytest.mark.parametrize("size", [(16, 16), (16, 90), (333, 40)])
def test_every_mode_and_size_has_a_fingerprint_of_the_same_length(mode, size):
    found = fingerprint(Image.new(mode, size))
    assert len(found) == 2 * BYTES == 256
    assert found == found.lower()


def test_a_picture_in_16_bits_is_alike_to_the_same_in_8(pictures):
    grey = pictures[0].convert("L")
    deep = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    assert alike(fingerprint(deep), fingerprint(grey))


def test_what_is_black_around_a_lesion_does_not_count(pictures):
    cut_out = pictures[0].crop((50, 50, 170, 150))
    small, large = Image.new("RGB", (200, 200)), Image.new("RGB", (260, 230))
    small.paste(cut_out, (10, 60))
    large.paste(cut_out, (120, 90))
    first, second = fingerprint(small), fingerprint(large)
    assert likely(first, second)
    assert alike(first, second)


def test_many_at_once_are_judged_as_one_by_one(pictures):
    texts = [fingerprint(picture) for picture in [*pictures, Image.new("RGB", (64, 64))]]
    rows, many = rows_of(*texts), np.resize(rows_of(*texts), (2500, BYTES))
    found = bands_of(many)
    for at in range(len(texts)):
        own = found.of == 2400 - 2400 % len(texts) + at
        assert dict(zip(found.band[own].tolist(), found.sketch[own].tolist(), strict=True)) == bands_with_sketches(texts[at])
    assert alike_pairs(many, many).tolist() == [bool(bands_with_sketches(texts[at % len(texts)])) for at in range(2500)]
    assert alike_pairs(rows[:0], rows[:0]).shape == (0,)
    assert [len(column) for column in bands_of(rows[:0])] == [0, 0, 0]


def test_a_fingerprint_stays_the_same():
    tiles = np.random.default_rng(7).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    found = fingerprint(Image.fromarray(tiles).resize((120, 80), Image.Resampling.BICUBIC))
    assert found[:32] == "4df61d554609cec9347f6041f4194e3b"
    assert sorted(bands_with_sketches(found).items())[:2] == [(5048692, 8610741324330058615), (5048693, 8610741324330058615)]

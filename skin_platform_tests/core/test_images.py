"""Promises of the door: what is a picture, what is refused and why, and that no bytes whatever break it."""

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from skin_platform.core.images import ImageFacts, Limits, Refusal, judge_image, perceptual_hash
from skin_platform.core.preprocessing import Preprocessing
from skin_platform_tests.core.pictures import encoded, jpeg, orientation, picture, png, png_that_claims

LIMITS = Limits()
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow says of broken EXIF
SOUND = {".jpg": jpeg(1, exif=orientation(6)), ".png": png(1, exif=orientation(6))}
SIXTEEN_BIT = np.random.default_rng(0).integers(0, 65536, (40, 30), dtype=np.uint16)


def _facts(data: bytes, extension: str, limits: Limits = LIMITS) -> ImageFacts:
    verdict = judge_image(data, extension, limits)
    assert isinstance(verdict, ImageFacts), verdict
    return verdict


def _refusal(data: bytes, extension: str, limits: Limits = LIMITS) -> Refusal:
    verdict = judge_image(data, extension, limits)
    assert isinstance(verdict, Refusal), verdict
    assert verdict.reason
    assert verdict.sha256 == hashlib.sha256(data).hexdigest()
    assert verdict.size_bytes == len(data)
    return verdict


@pytest.mark.parametrize("extension", [".jpg", ".JPG", ".jpeg", ""])
def test_a_sound_jpeg_is_described_by_its_bytes(extension):
    data = jpeg(3, 50, 40)
    facts = _facts(data, extension)
    assert (facts.width_px, facts.height_px, facts.format, facts.size_bytes) == (50, 40, "JPEG", len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.md5 == hashlib.md5(data).hexdigest()
    assert len(facts.perceptual_hash) == 16
    assert int(facts.perceptual_hash, 16) > 0


def test_a_sound_png_is_taken():
    assert _facts(png(3), ".PNG").format == "PNG"


@pytest.mark.parametrize(("image", "image_format", "extension"), [
    (picture().convert("L"), "JPEG", ".jpg"),
    (picture().convert("CMYK"), "JPEG", ".jpg"),
    (picture().convert("P"), "PNG", ".png"),
    (picture().convert("1"), "PNG", ".png"),
    (picture().convert("LA"), "PNG", ".png"),
    (picture().convert("RGBA"), "PNG", ".png"),
    (Image.fromarray(SIXTEEN_BIT), "PNG", ".png"),
], ids=["grey", "cmyk", "palette", "one bit", "grey with alpha", "alpha", "16 bit"])
def test_every_colour_mode_of_the_two_formats_is_taken_and_can_be_learnt_from(image, image_format, extension):
    data = encoded(image, image_format)
    facts = _facts(data, extension)
    assert (facts.width_px, facts.height_px) == image.size
    assert Preprocessing(16).pixels(data).shape == (16, 16, 3)


def test_the_picture_that_a_telephone_appends_further_pictures_to_is_a_jpeg():
    data = encoded(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    assert _facts(data, ".jpg").format == "JPEG"
    assert _facts(data, ".jpg").width_px == 48


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", [jpeg, png])
def test_width_and_height_are_those_of_the_picture_as_displayed(tag, kind):
    facts = _facts(kind(1, 48, 32, exif=orientation(tag)), "")
    assert (facts.width_px, facts.height_px) == ((32, 48) if tag >= 5 else (48, 32))


@pytest.mark.parametrize(("data", "extension", "kind", "word"), [
    (b"", ".jpg", "empty", "empty"),
    (b"The export of this photograph failed.", ".jpg", "not_an_image", "not an image, whatever .jpg says"),
    (b"%PDF-1.7", "", "not_an_image", "not an image"),
    (encoded(picture(), "GIF"), ".jpg", "wrong_format", "GIF is not taken"),
    (encoded(picture(), "BMP"), ".jpg", "wrong_format", "BMP is not taken"),
    (encoded(picture(), "TIFF"), "", "wrong_format", "TIFF is not taken"),
    (encoded(picture(), "WEBP"), ".png", "wrong_format", "WEBP is not taken"),
    (png(), ".jpg", "wrong_format", "the content is PNG but the name ends in .jpg"),
    (jpeg(), ".PNG", "wrong_format", "the content is JPEG but the name ends in .PNG"),
    (jpeg(0, 100, 15), ".jpg", "too_small", "100x15"),
    (png_that_claims(9000, 9000), ".png", "too_large", "over the limit of 50000000"),
    (png_that_claims(20000, 20000), ".png", "too_large", "too many pixels"),
    (png_that_claims(2**31 - 1, 2**31 - 1), ".png", "too_large", "too many pixels"),
    (SOUND[".jpg"][: len(SOUND[".jpg"]) * 3 // 4], ".jpg", "corrupt", "truncated or corrupt JPEG"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_refused_says_why_and_of_which_kind(data, extension, kind, word):
    refusal = _refusal(data, extension)
    assert refusal.kind == kind
    assert word in refusal.reason


def test_a_file_over_the_limit_of_bytes_is_refused_and_one_at_the_limit_is_taken():
    data = jpeg()
    assert _refusal(data, ".jpg", Limits(max_bytes=len(data) - 1)).kind == "too_large"
    _facts(data, ".jpg", Limits(max_bytes=len(data)))


def test_the_limits_of_pixels_and_sides_are_inclusive():
    _facts(jpeg(0, 48, 32), ".jpg", Limits(max_pixels=48 * 32, min_side_px=32))
    assert _refusal(jpeg(0, 48, 32), ".jpg", Limits(max_pixels=48 * 32 - 1)).kind == "too_large"
    assert _refusal(jpeg(0, 48, 32), ".jpg", Limits(min_side_px=33)).kind == "too_small"


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@given(share=st.floats(0.0, 0.95))
@settings(max_examples=40, deadline=None)
def test_a_picture_cut_short_anywhere_is_refused(extension, share):
    data = SOUND[extension]
    assert _refusal(data[: int(len(data) * share)], extension).kind in {"empty", "not_an_image", "corrupt"}


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@given(missing=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_a_picture_cut_near_its_end_is_refused_or_still_has_every_pixel(extension, missing):
    data = SOUND[extension]
    verdict = judge_image(data[:-missing], extension, LIMITS)
    if isinstance(verdict, ImageFacts):
        assert verdict.perceptual_hash == _facts(data, extension).perceptual_hash


@given(data=st.binary(max_size=300), extension=st.sampled_from([".jpg", ".png", ""]), head=st.sampled_from(
    [b"", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1\x00\x20Exif\x00\x00II*\x00", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM",
     b"II*\x00", b"RIFF\x10\x00\x00\x00WEBPVP8X"]))
@settings(max_examples=150, deadline=None)
def test_no_bytes_whatever_make_the_door_raise(data, extension, head):
    assert isinstance(judge_image(head + data, extension, LIMITS), ImageFacts | Refusal)


@given(extension=st.sampled_from(sorted(SOUND)), changes=st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
@example(extension=".jpg", changes=[(49, 4)])
@settings(max_examples=300, deadline=None)
def test_a_picture_with_flipped_bytes_is_refused_or_can_be_learnt_from(extension, changes):
    data = bytearray(SOUND[extension])
    for place, value in changes:
        data[place % min(len(data), 200)] = value
    verdict = judge_image(bytes(data), extension, LIMITS)
    if isinstance(verdict, ImageFacts):
        assert Preprocessing(8).pixels(bytes(data)).shape == (8, 8, 3)


def test_malformed_exif_beside_an_orientation_does_not_make_the_door_raise():
    exif = bytearray(orientation(6))
    kinds = [at for at in range(len(exif) - 1) if exif[at:at + 2] in (b"\x00\x02", b"\x02\x00")]
    for at in kinds:
        for kind in range(13):
            broken = bytes(exif[:at] + bytes([0, kind]) + exif[at + 2:])
            assert isinstance(judge_image(jpeg(1, exif=broken), ".jpg", LIMITS), ImageFacts | Refusal)


@pytest.mark.parametrize("seed", range(5))
def test_the_perceptual_hash_survives_another_size_and_another_encoding(seed):
    first = int(perceptual_hash(picture(seed, 240, 160)), 16)
    again = int(_facts(jpeg(seed, 120, 80, quality=60), ".jpg").perceptual_hash, 16)
    other = int(perceptual_hash(picture(seed + 100)), 16)
    assert (first ^ again).bit_count() <= 6 < (first ^ other).bit_count()


def test_the_perceptual_hash_of_16_bits_is_that_of_the_same_picture_in_8():
    eight = Image.fromarray((SIXTEEN_BIT >> 8).astype(np.uint8))
    assert perceptual_hash(Image.fromarray(SIXTEEN_BIT)) == perceptual_hash(eight)

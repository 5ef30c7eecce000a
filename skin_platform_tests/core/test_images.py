"""Promises of the door: what is a picture, what is refused and why, and that no bytes whatever break it."""

import dataclasses
import hashlib
import io
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from skin_platform.core.cleaning import cleaned, stripped
from skin_platform.core.fingerprints import fingerprint
from skin_platform.core.images import ImageFacts, Limits, Refusal, judge_image
from skin_platform.core.preprocessing import Preprocessing
from skin_platform_tests.core.likeness import alike
from skin_platform_tests.core.pictures import chunk, encoded, jpeg, orientation, picture, png, png_that_claims, segment

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
    assert facts.delivered_sha256 == facts.sha256
    assert (facts.width_px, facts.height_px, facts.format, facts.size_bytes) == (50, 40, "JPEG", len(data))
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.md5 == hashlib.md5(data).hexdigest()
    assert alike(facts.perceptual_hash, fingerprint(picture(3, 50, 40)))
    assert facts.quality.resolution_mpx == 50 * 40 / 1e6


@pytest.mark.parametrize("data", [
    jpeg(3, 60, 40, exif=orientation(6), comment=b"at home"), png(3, 60, 40, exif=orientation(3))], ids=["jpeg", "png"])
def test_the_facts_are_those_of_what_will_be_stored_but_for_the_digest_of_what_was_sent(data):
    facts, stored = _facts(data, ""), cleaned(data)
    assert facts.delivered_sha256 == hashlib.sha256(data).hexdigest() != facts.sha256
    assert facts.sha256 == hashlib.sha256(stored).hexdigest()
    assert facts.md5 == hashlib.md5(stored).hexdigest()
    assert facts.size_bytes == len(stored)
    assert dataclasses.replace(facts, delivered_sha256=facts.sha256) == _facts(stored, "")


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
        assert Preprocessing(8).pixels(cleaned(bytes(data))).shape == (8, 8, 3)


def test_malformed_exif_beside_an_orientation_does_not_make_the_door_raise():
    exif = bytearray(orientation(6))
    kinds = [at for at in range(len(exif) - 1) if exif[at:at + 2] in (b"\x00\x02", b"\x02\x00")]
    for at in kinds:
        for kind in range(13):
            broken = bytes(exif[:at] + bytes([0, kind]) + exif[at + 2:])
            assert isinstance(judge_image(jpeg(1, exif=broken), ".jpg", LIMITS), ImageFacts | Refusal)


@pytest.mark.parametrize("seed", range(5))
def test_the_perceptual_hash_survives_another_size_and_another_encoding(seed):
    first = _facts(jpeg(seed, 720, 480), ".jpg").perceptual_hash
    again = _facts(jpeg(seed, 480, 320, quality=60), ".jpg").perceptual_hash
    other = _facts(jpeg(seed + 100, 720, 480), ".jpg").perceptual_hash
    assert alike(first, again)
    assert not alike(first, other)


def test_the_perceptual_hash_of_16_bits_is_that_of_the_same_picture_in_8():
    eight = Image.fromarray((SIXTEEN_BIT >> 8).astype(np.uint8))
    assert _facts(encoded(Image.fromarray(SIXTEEN_BIT), "PNG"), "").perceptual_hash == _facts(
        encoded(eight, "PNG"), "").perceptual_hash


def test_of_an_animated_png_the_first_picture_counts():
    data = encoded(picture(1), "PNG", save_all=True, append_images=[picture(2)])
    assert _facts(data, ".png").sha256 == hashlib.sha256(cleaned(data)).hexdigest()
    with Image.open(io.BytesIO(cleaned(data))) as image:
        assert not getattr(image, "is_animated", False)
        assert np.array_equal(np.asarray(image), np.asarray(picture(1)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_decoded_small_and_read_to_its_end(kind):
    data = encoded(picture(5, 1600, 1200), kind)
    facts = _facts(data, "")
    assert (facts.width_px, facts.height_px) == (1600, 1200)
    assert _refusal(data[: len(data) * 95 // 100], "").kind == "corrupt"


def test_many_pixels_that_the_limits_allow_are_taken_without_a_word_in_any_thread(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # what Pillow would refuse for everybody
    data = jpeg(1, 300, 200)
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as readers:
        warnings.simplefilter("error")
        assert len({facts.sha256 for facts in readers.map(lambda _: _facts(data, ""), range(16))}) == 1


def test_a_bomb_of_scans_is_refused_before_it_is_decoded():
    data = jpeg(1, 640, 480, progressive=True)
    last = data.rindex(b"\xff\xda")
    refusal = _refusal(data[:-2] + data[last:-2] * 1000 + data[-2:], ".jpg")
    assert refusal.kind == "corrupt"
    assert "scans" in refusal.reason


TWO_TRANSFORMS = 2 * segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")  # no file has: its structure is broken
COMMENT, CHUNK = segment(0xFE, b""), chunk(b"zzZz", b"")


def _flooded(flood: bytes, broken: bool, extension: str) -> bytes:
    data = jpeg(1) if extension == ".jpg" else png(1)
    if extension == ".jpg":
        return data[:2] + TWO_TRANSFORMS * broken + flood + data[2:]
    return data[:33] + flood + (data[33:-12] if broken else data[33:])


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
@pytest.mark.parametrize(("flood", "reason"), [
    (COMMENT, "segments"), (segment(0xE5, b""), "segments"), (segment(0xDD, b"\x00\x00"), "segments"),
    (b"\xff", "bytes between"), (CHUNK, "chunks"), (chunk(b"IDAT", b""), "chunks"),
], ids=["comments", "application data", "tables", "fill bytes", "unknown chunks", "empty IDATs"])
def test_a_flood_of_tiny_parts_is_refused_before_it_is_decoded(flood, reason, broken):
    extension = ".png" if reason == "chunks" else ".jpg"
    data = _flooded(flood * 200_000, broken, extension)
    with pytest.raises(ValueError, match=reason):
        stripped(data)
    refusal = _refusal(data, extension)
    assert refusal.kind == "corrupt"
    assert reason in refusal.reason


@pytest.mark.parametrize("flood", [b"\x00", b"\xff\x00", b"\xff\xd0", b"\xff\xe5\x00\x00"],
                         ids=["zeros", "stuffed bytes", "restart markers", "segments without a length"])
def test_what_only_a_tolerant_decoder_would_walk_through_is_no_way_round(flood):
    refusal = _refusal(_flooded(flood * 200_000, True, ".jpg"), ".jpg")
    assert "no real picture" in refusal.reason


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
@pytest.mark.parametrize(("parts", "extension"), [
    (COMMENT * 4_900, ".jpg"), (b"\xff" * 90_000, ".jpg"), (CHUNK * 24_900, ".png"),
], ids=["segments", "fill bytes", "chunks"])
def test_many_parts_are_no_flood_yet(parts, extension, broken):
    facts = _facts(_flooded(parts, broken, extension), extension)
    assert (facts.width_px, facts.height_px) == (48, 32)


def test_bombs_in_the_texts_of_a_png_are_never_unpacked():
    bomb = zlib.compress(bytes(40_000_000), 9)
    texts = b"".join(chunk(kind, b"note\x00\x00" + bomb) for kind in (b"zTXt", b"iCCP") for _ in range(50))
    data = png(1)
    assert _facts(data[:33] + texts + data[33:], ".png").sha256 == _facts(data, ".png").sha256

"""Promises of intake: a request's image gets the judgement and the pixels that it would get before it is learnt from."""

import hashlib
import warnings

import numpy as np
import pytest
from PIL import Image

from skin_platform.core.cleaning import cleaned
from skin_platform.core.images import ImageFacts, Limits, Refusal, judge_image
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.serving.intake import Taken, take
from skin_platform_tests.core.pictures import encoded, jpeg, orientation, picture, png, png_that_claims

LIMITS, PREPROCESSING = Limits(), Preprocessing(64)
SIXTEEN = np.random.default_rng(0).integers(0, 65536, (90, 80), dtype=np.uint16)
BIG = picture(3, 400, 300)
MPO = encoded(BIG, "MPO", save_all=True, append_images=[picture(4, 400, 300)])
TAKEN = {
    "jpeg": jpeg(0, 400, 300), "small jpeg": jpeg(1, 30, 20), "progressive": jpeg(2, 300, 300, progressive=True),
    "grey": encoded(BIG.convert("L")), "cmyk": encoded(BIG.convert("CMYK")), "png": png(5, 300, 200),
    "palette": encoded(BIG.quantize(16), "PNG"), "one bit": encoded(BIG.convert("1"), "PNG"),
    "16 bit": encoded(Image.fromarray(SIXTEEN), "PNG"), "grey with alpha": encoded(BIG.convert("LA"), "PNG"),
    "transparent": encoded(Image.new("RGBA", (80, 60), (9, 9, 9, 90)), "PNG"),
    "transparent palette": encoded(BIG.quantize(8), "PNG", transparency=3),
    "animated": encoded(BIG, "PNG", save_all=True, append_images=[picture(6, 400, 300)]), "several pictures": MPO,
    "noise behind": jpeg(7, 200, 150) + b"more",
    **{f"turned {tag}": jpeg(8, 300, 200, exif=orientation(tag)) for tag in range(1, 9)},
    "turned png": png(9, 200, 100, exif=orientation(6)),
}
REFUSED = {
    "empty": (b"", "empty"), "text": (b"no picture at all", "not_an_image"),
    "gif": (encoded(BIG, "GIF"), "wrong_format"), "webp": (encoded(BIG, "WEBP"), "wrong_format"),
    "tiff": (encoded(BIG, "TIFF"), "wrong_format"), "bmp": (encoded(BIG, "BMP"), "wrong_format"),
    "1x1": (png(0, 1, 1), "too_small"), "a thread": (png(0, 600, 3), "too_small"),
    "a bomb of 100 megapixels": (png_that_claims(10_000, 10_000), "too_large"),
    "truncated jpeg": (jpeg(0, 400, 300)[:-300], "corrupt"), "truncated png": (png(0, 400, 300)[:-300], "corrupt"),
    "only a header": (jpeg(0, 400, 300)[:200], "corrupt"),
    "damaged png": (png(0, 90, 90).replace(b"IDAT", b"IDAT", 1)[:60] + b"\0" * 40, "corrupt"),
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")
def test_what_is_answered_is_what_training_sees(name):
    data = TAKEN[name]
    taken, facts = take(data, LIMITS, PREPROCESSING), judge_image(data, "", LIMITS)
    assert isinstance(taken, Taken), taken
    assert isinstance(facts, ImageFacts)
    assert np.array_equal(taken.pixels, PREPROCESSING.pixels(cleaned(data)))
    assert taken.cleaned == cleaned(data)
    assert taken.sha256 == facts.sha256 == hashlib.sha256(taken.cleaned).hexdigest()
    assert taken.delivered_sha256 == hashlib.sha256(data).hexdigest()
    assert (taken.width_px, taken.height_px, taken.format) == (facts.width_px, facts.height_px, facts.format)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_what_a_delivery_is_refused_for(name):
    data, kind = REFUSED[name]
    found = take(data, LIMITS, PREPROCESSING)
    assert isinstance(found, Refusal)
    assert found.kind == kind
    assert found == judge_image(data, "", LIMITS)


def test_nothing_that_a_file_told_besides_its_picture_is_kept():
    taken = take(jpeg(1, 200, 100, exif=orientation(1), comment=b"Erika Mustermann"), LIMITS, PREPROCESSING)
    assert isinstance(taken, Taken)
    assert b"Some camera" not in taken.cleaned
    assert b"Mustermann" not in taken.cleaned


def test_a_transparent_picture_is_seen_on_white():
    taken = take(encoded(Image.new("RGBA", (80, 60), (0, 0, 0, 0)), "PNG"), LIMITS, PREPROCESSING)
    assert isinstance(taken, Taken)
    assert (taken.pixels == 255).all()


def test_a_damaged_file_is_taken_or_refused_and_never_raises():
    rng = np.random.default_rng(1)
    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in (jpeg(0, 120, 90), png(0, 60, 40), encoded(BIG.quantize(8), "PNG")) * 60:
            broken = bytearray(data)
            for at in rng.integers(2, len(broken), 3):
                broken[at] = rng.integers(0, 256)
            seen.add(type(take(bytes(broken), LIMITS, PREPROCESSING)))
    assert seen == {Taken, Refusal}

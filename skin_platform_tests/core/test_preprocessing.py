"""Promises of preprocessing: one way from bytes to model input, whatever the picture's mode."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skin_platform.core.preprocessing import Preprocessing
from skin_platform_tests.core.pictures import encoded, jpeg, orientation, picture, png

TURNED = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_270}  # how a camera stores an upright picture under each tag
FINITE = st.floats(0.01, 2.0, allow_nan=False)


@pytest.mark.parametrize("tag", sorted(TURNED))
def test_a_turned_picture_gives_the_pixels_of_the_upright_one(tag):
    stored = encoded(picture(1).transpose(TURNED[tag]), "PNG", exif=orientation(tag))
    assert np.array_equal(Preprocessing(16).pixels(stored), Preprocessing(16).pixels(png(1)))


@pytest.mark.parametrize("size", [(48, 32), (32, 48), (16, 300), (500, 17), (32, 32)])
def test_every_shape_becomes_square(size):
    pixels = Preprocessing(32).pixels(jpeg(0, *size))
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)


def test_the_middle_is_kept_and_the_sides_are_cropped():
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = (200, 100, 50)
    pixels = Preprocessing(32).pixels(encoded(Image.fromarray(wide), "PNG"))
    assert (pixels == (200, 100, 50)).all()


def test_what_is_transparent_shows_white():
    clear = Image.new("RGBA", (32, 32), (10, 20, 30, 0))
    clear.paste((200, 0, 0, 255), (0, 0, 16, 32))
    pixels = Preprocessing(32).pixels(encoded(clear, "PNG"))
    assert (pixels[:, 20:] == 255).all()
    assert (pixels[:, :12] == (200, 0, 0)).all()


def test_a_transparent_palette_colour_shows_white():
    image = Image.new("P", (32, 32), 0)
    image.putpalette([9, 9, 9, 200, 0, 0])
    pixels = Preprocessing(32).pixels(encoded(image, "PNG", transparency=0))
    assert (pixels == 255).all()


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.repeat(np.linspace(0, 65535, 32).astype(np.uint16)[None], 32, axis=0)
    pixels = Preprocessing(32).pixels(encoded(Image.fromarray(ramp), "PNG"))
    assert np.array_equal(pixels[0, :, 0], ramp[0] >> 8)


def test_bad_bytes_raise_what_pillow_raises():
    with pytest.raises(OSError, match="cannot identify"):
        Preprocessing(8).pixels(b"no picture")


def test_the_tensor_is_standardised_by_channel_and_channels_come_first():
    preprocessing = Preprocessing(2, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[1] = 255
    tensor = preprocessing.tensor(pixels)
    assert (tensor.shape, tensor.dtype, tensor.flags.c_contiguous) == ((3, 3, 2, 2), np.float32, True)
    assert tensor[0, :, 0, 0].tolist() == [-1.0, -1.0, 0.0]
    assert tensor[1, :, 0, 0].tolist() == [1.0, 3.0, 1.0]


@given(st.integers(1, 1000), st.tuples(FINITE, FINITE, FINITE), st.tuples(FINITE, FINITE, FINITE))
def test_it_comes_back_from_json_as_it_was(size, mean, std):
    preprocessing = Preprocessing(size, mean, std)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.as_dict()))) == preprocessing

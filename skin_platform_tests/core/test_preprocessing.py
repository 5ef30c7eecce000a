"""Promises of preprocessing: one way from bytes to model input, whatever the picture's mode."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skin_platform.core import decoding, flattening, preprocessing
from skin_platform.core.flattening import eight_bits
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


def _at_once(image, size_px):
    """As it was done before bands: each step on the whole picture."""
    if image.mode.startswith("I"):
        rgb = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    elif image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    else:
        rgb = image.convert("RGB")
    side = min(rgb.size)
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    return np.asarray(rgb.resize((size_px, size_px), Image.Resampling.BILINEAR, (left, top, left + side, top + side)))


def _small_at_once(image):
    """Likewise the small version of which hash and quality are measured."""
    image = eight_bits(image)
    see_through = image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info
    if see_through or image.mode not in {"L", "RGB"}:
        image = image.convert("RGBA" if see_through else "RGB")
    factor = min(image.size) // 112
    image = image.reduce(factor) if factor > 1 else image
    if not see_through:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _of_mode(mode, noise):
    """An opened picture of this kind, of the noise (height, width, 4)."""
    picture, options = Image.fromarray(noise, "RGBA"), {}
    if mode == "I;16":
        picture = Image.fromarray(noise[..., :2].copy().view(np.uint16)[..., 0])
    elif mode.startswith("P"):
        picture = picture.convert("RGB").quantize(64, kmeans=0)
        options = {"transparency": bytes(range(0, 256, 4)) if mode == "PA" else 3} if mode != "P" else {}
    elif mode == "RGB+":
        picture, options = picture.convert("RGB"), {"transparency": tuple(noise[0, 0, :3].tolist())}
    else:
        picture = picture.convert(mode)
    return Image.open(io.BytesIO(encoded(picture, "TIFF" if mode == "CMYK" else "PNG", **options)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P+", "PA", "RGB+", "I;16", "L", "1", "CMYK", "RGB"])
def test_bands_change_no_pixel(mode, monkeypatch):
    """Of wide and long pictures, of some narrower than the model's input, of bands of some rows and of a single one."""
    rng = np.random.default_rng(3)
    for size, band in (((300, 211), 4000), ((130, 401), 1300), ((61, 300), 100), ((20, 900), 500), ((233, 117), 7)):
        monkeypatch.setattr(flattening, "BAND_PIXELS", band)
        monkeypatch.setattr(preprocessing, "BAND_PIXELS", band)
        noise = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
        with _of_mode(mode, noise) as image, _of_mode(mode, noise) as whole:
            assert np.array_equal(Preprocessing(64).pixels_of(image), _at_once(whole, 64)), (size, "pixels")
            small, small_at_once = decoding._small(image), _small_at_once(whole)
            assert small.mode == small_at_once.mode
            assert np.array_equal(np.asarray(small), np.asarray(small_at_once)), (size, "small")


PEAK = """
import io, sys
from skin_platform.core import decoding, flattening, preprocessing
from skin_platform.core.flattening import eight_bits
from skin_platform.core.preprocessing import Preprocessing
from PIL import Image
def peak():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
buffer = io.BytesIO()
Image.new(sys.argv[1], (64, 64)).save(buffer, "PNG")
Preprocessing(32).pixels(buffer.getvalue())
data, before = open(sys.argv[2], "rb").read(), peak()
Preprocessing(224).pixels(data)
print(peak() - before)
"""


@pytest.mark.parametrize(("mode", "bytes_a_pixel"), [("RGBA", 4), ("I;16", 2)])
def test_a_large_picture_takes_little_more_memory_than_itself(mode, bytes_a_pixel, tmp_path):
    """It was 16 and 8 bytes a pixel. A process of its own tells: Python's measures do not see Pillow's memory."""
    path, size = tmp_path / "large.png", (4000, 3000)
    Image.new(mode, size).save(path, compress_level=1)
    done = subprocess.run([sys.executable, "-c", PEAK, mode, path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < size[0] * size[1] * (bytes_a_pixel + 1) / 2**20 + 24

"""Redrawing: a picture decoded, turned upright and encoded again in its own format, as close to the original as it gets.

Here: PNG (lossless) and JPEG (own quantisation tables, own chroma). Not here: when this is needed (``core.cleaning``).
"""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from skin_platform.core.jpeg_segments import strip_jpeg
from skin_platform.core.orientation import SWAPPING, TURNS, orientation_in
from skin_platform.core.png_chunks import colour_chunks, strip_png

# What Pillow raises on bad bytes. The first three are what 100,000 damaged files raised; the others come out of its handlers of
# chunks behind a PNG's pixels.
READ_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error)
FINER = 4  # quantisation of a picture whose blocks are cut anew: the same tables again would lose as much as the first time did
FULL_CHROMA, HALF_CHROMA = 0, 2  # libjpeg's names of 4:4:4 and 4:2:0


def opened(data: bytes, image_format: str) -> JpegImagePlugin.JpegImageFile | PngImagePlugin.PngImageFile:
    """``data`` as a Pillow image whose header was read; raises ``READ_ERRORS``.

    The format's own reader is asked, not ``Image.open``: that one judges size by a limit that is global to the process and
    warns through ``warnings`` (neither is safe between threads), and takes further pictures of a file for frames.
    """
    reader = JpegImagePlugin.JpegImageFile if image_format == "JPEG" else PngImagePlugin.PngImageFile
    return reader(io.BytesIO(data))


def redrawn(data: bytes, image_format: str, orientation: int | None) -> bytes:
    """The picture in ``data`` turned upright by ``orientation``, encoded anew without metadata; raises ``READ_ERRORS``.

    ``orientation`` None: what the EXIF says that Pillow finds. PNG stays lossless (but 16 bits a channel become 8 where there
    is more than one channel: Pillow has no such mode). JPEG keeps its quantisation tables, transposed where rows become
    columns, and 4:2:0 keeps the chroma samples themselves; 4:2:2 keeps its subsampling where it is not turned by 90 degrees.
    """
    with opened(data, image_format) as image:
        if image_format == "PNG":
            return _redrawn_png(image, data, orientation)
        tag = orientation_in(image.info.get("exif") or b"") if orientation is None else orientation
        return _redrawn_jpeg(image, data, tag)


def _redrawn_png(image: Image.Image, data: bytes, orientation: int | None) -> bytes:
    if image.mode == "P" and image.palette is None:
        raise ValueError("a palette picture without a palette")  # Pillow decodes it, and fails to encode it
    image.load()
    tag = orientation_in(image.info.get("exif") or b"") if orientation is None else orientation
    notes = PngImagePlugin.PngInfo()
    for kind, content in colour_chunks(data) if orientation else []:
        notes.add(kind, content)
    image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return strip_png(_saved(_turned(image, tag), "PNG", pnginfo=notes))[0]


def _redrawn_jpeg(image: Any, data: bytes, orientation: int) -> bytes:
    is_rgb = image.mode == "RGB" and _is_stored_as_rgb(image)
    subsampling = JpegImagePlugin.get_sampling(image)
    if is_rgb or (subsampling != HALF_CHROMA and (subsampling < 0 or orientation in SWAPPING)):
        subsampling = FULL_CHROMA
    picture = _luma_and_chroma(image, data, subsampling) if image.mode == "RGB" and not is_rgb else image
    picture.load()  # before the header is believed: libjpeg refuses what makes no sense in it
    options = {"qtables": _tables(image, orientation), "progressive": "progressive" in image.info,
               "subsampling": subsampling, "keep_rgb": is_rgb}
    picture.info = {}
    return strip_jpeg(_saved(_turned(picture, orientation), "JPEG", **options))[0]


def _tables(image: Any, orientation: int) -> list[list[int]]:
    """The quantisation table of each component as the turned picture needs it; the last counts for all further ones."""
    tables = [np.reshape(image.quantization[layer[3]], (8, 8)) for layer in image.layer]
    if _shifts_the_blocks(image, orientation):
        tables = [np.maximum(1, table // FINER) for table in tables]
    found = [(table.T if orientation in SWAPPING else table).ravel().tolist() for table in tables]
    while len(found) > 1 and found[-1] == found[-2]:
        found.pop()
    return found


def _shifts_the_blocks(image: Any, orientation: int) -> bool:
    """Whether the turn moves the grid of blocks over the picture: an axis is reversed that does not hold whole blocks."""
    wide, high = (8 * max(layer[axis] for layer in image.layer) for axis in (1, 2))
    width, height = image.size
    return (orientation in (2, 3, 7, 8) and width % wide > 0) or (orientation in (3, 4, 6, 7) and height % high > 0)


def _luma_and_chroma(image: Any, data: bytes, subsampling: int) -> Image.Image:
    """The picture as YCbCr, never converted to RGB; of 4:2:0 each chroma sample four times, as it was stored.

    Decoded at half scale, libjpeg gives 4:2:0 chroma at its own resolution; the encoder's mean of four equal samples is
    that sample. Decoded at full scale it would interpolate, and each turn would blur the colours a little.
    """
    width, height = image.size
    if subsampling != HALF_CHROMA:
        image.draft("YCbCr", None)
        image.load()
        whole: Image.Image = image
        return whole
    image.draft("L", None)
    image.load()
    with opened(data, "JPEG") as half:
        half.draft("YCbCr", (max(1, width // 2), max(1, height // 2)))
        chroma = [plane.resize((plane.width * 2, plane.height * 2), Image.Resampling.NEAREST).crop((0, 0, width, height))
                  for plane in half.split()[1:]]
    return Image.merge("YCbCr", (image, *chroma))


def _is_stored_as_rgb(image: Any) -> bool:
    """Whether the three components are red, green and blue (libjpeg's rule: JFIF, then Adobe, then component ids)."""
    if "jfif" in image.info:
        return False
    if "adobe_transform" in image.info:
        return bool(image.info["adobe_transform"] == 0)
    return [layer[0] for layer in image.layer] == [82, 71, 66]


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()

"""Files: the bytes of a photograph: sound, with EXIF, broken, or copied with a small change.

Here: JPEG bytes, through Pillow only.
Not here: names and folders (``generate``).
"""

import io
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
from PIL import ExifTags, Image, ImageEnhance, ImageOps

from skin_platform.synthetic.world import SMALLEST_SIDE_PX

FIRST_DAY = datetime(2021, 3, 1, 8, 0)
# How the pixels are stored for each orientation tag, so that a viewer that obeys the tag shows them upright.
STORED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
ORIENTATIONS = (6, 8, 3, 1)
NOT_AN_IMAGE = b"The export of this photograph failed; ask the clinic to send it again.\n"


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG without metadata."""
    return _encoded(picture, quality, b"")


def jpeg_with_exif(rng: np.random.Generator, picture: Image.Image, quality: int, maker: str) -> bytes:
    """The picture as a camera writes it: stored as the sensor lay, with time, maker and place."""
    orientation = int(rng.choice(ORIENTATIONS))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = maker
    exif[ExifTags.Base.Orientation] = orientation
    moment = FIRST_DAY + timedelta(minutes=int(rng.integers(60 * 24 * 700)))
    exif[ExifTags.Base.DateTime] = moment.strftime("%Y:%m:%d %H:%M:%S")
    exif[ExifTags.IFD.GPSInfo] = _place(rng)
    stored = picture.transpose(STORED[orientation]) if orientation in STORED else picture
    return _encoded(stored, quality, exif.tobytes())


def broken(number: int, sound: bytes) -> bytes:
    """By turns an empty file, a JPEG cut short, and a text that calls itself a JPEG."""
    return (b"", sound[: len(sound) * 11 // 20], NOT_AN_IMAGE)[number % 3]


def nearly(number: int, sound: bytes) -> bytes:
    """By turns the changes that an export, a messenger or a second upload makes to the same photograph."""
    with Image.open(io.BytesIO(sound)) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    change, quality = CHANGES[number % len(CHANGES)]
    return jpeg(change(picture), quality)


def _same(picture: Image.Image) -> Image.Image:
    return picture


def _smaller(picture: Image.Image) -> Image.Image:
    side = max(SMALLEST_SIDE_PX, picture.width // 2)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _turned(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.ROTATE_90)


def _brighter(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.1)


def _darker(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.9)


def _cropped(picture: Image.Image) -> Image.Image:
    edge = picture.width // 32
    inner = (edge, edge, picture.width - edge, picture.height - edge)
    return picture.resize(picture.size, Image.Resampling.LANCZOS, box=inner)


CHANGES: tuple[tuple[Callable[[Image.Image], Image.Image], int], ...] = (
    (_same, 60),
    (_smaller, 85),
    (_turned, 90),
    (ImageOps.mirror, 90),
    (_brighter, 88),
    (_darker, 88),
    (_cropped, 88),
)


def _encoded(picture: Image.Image, quality: int, exif: bytes) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def _place(rng: np.random.Generator) -> dict[int, object]:
    """A point in the empty South Pacific: a position to be found and removed, nobody's address."""
    south, west = rng.uniform(30, 50), rng.uniform(100, 130)
    return {
        int(ExifTags.GPS.GPSLatitudeRef): "S",
        int(ExifTags.GPS.GPSLatitude): _degrees(south),
        int(ExifTags.GPS.GPSLongitudeRef): "W",
        int(ExifTags.GPS.GPSLongitude): _degrees(west),
    }


def _degrees(angle: float) -> tuple[float, float, float]:
    minutes = angle % 1 * 60
    return float(int(angle)), float(int(minutes)), round(minutes % 1 * 60, 2)

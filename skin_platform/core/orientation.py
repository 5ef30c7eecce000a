"""Orientation: how a picture was held, as its EXIF says, and what shows it upright.

Only EXIF decides. What XMP says of it (``tiff:Orientation``) is passed over, as browsers pass over it.
"""

from typing import Literal

from PIL import ExifTags, Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # what shows a picture upright, by EXIF orientation
SWAPPING = (5, 6, 7, 8)  # the orientations whose turn makes rows of columns
_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\x00": "little", b"MM\x00*": "big"}
_SIZES = {1: 1, 3: 2, 4: 4}  # bytes of the TIFF types that hold a whole number: BYTE, SHORT, LONG


def orientation_in(exif: bytes) -> int:
    """The orientation (1 to 8) that ``exif`` states; 1 where it states none. Never raises, however malformed it is.

    ``exif`` is a TIFF structure, with or without ``Exif\\0\\0`` before it (Exif 2.32, tag 0x0112 of IFD 0). Pillow's own reader
    raises half a dozen classes on malformed tags, and takes the orientation from XMP where EXIF has none.
    """
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[start:start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = (int.from_bytes(tiff[entry + at:entry + at + 2], order) for at in (0, 2))
        if tag == ExifTags.Base.Orientation:
            value = int.from_bytes(tiff[entry + 8:entry + 8 + _SIZES.get(kind, 0)], order)
            return value if 1 <= value <= 8 else 1
    return 1

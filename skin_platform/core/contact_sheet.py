"""Contact sheets: many small pictures on one, so that a person can see what has landed."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from skin_platform.core.cleaning import settled, stripped
from skin_platform.core.flattening import eight_bits
from skin_platform.core.orientation import TURNS
from skin_platform.core.redrawing import opened

TILE_PX = 96
CAPTION_PX = 14


def contact_sheet(pictures: Sequence[tuple[str, bytes]], columns: int = 8) -> bytes:
    """A PNG that shows ``(caption, image bytes)`` pairs in rows of ``columns``; the images must be such as the door takes."""
    rows = max(1, math.ceil(len(pictures) / columns))
    sheet = Image.new("RGB", (columns * TILE_PX, rows * (TILE_PX + CAPTION_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for position, (caption, data) in enumerate(pictures):
        left = (position % columns) * TILE_PX
        top = (position // columns) * (TILE_PX + CAPTION_PX)
        sheet.paste(_tile(data), (left + 1, top + CAPTION_PX))
        draw.text((left + 2, top + 1), caption[:15], fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _tile(data: bytes) -> Image.Image:
    """A delivered JPEG or PNG that the door takes, small and upright; its metadata, which may be broken, are not read."""
    found = stripped(data)
    if found is None:
        raise ValueError("neither JPEG nor PNG")
    with opened(found.data if found.orientation else settled(found), found.format) as image:
        image.draft("RGB", (TILE_PX, TILE_PX))
        image.load()
        turn = TURNS.get(found.orientation or 1)
        shown = image if turn is None else image.transpose(turn)
        return ImageOps.fit(eight_bits(shown).convert("RGB"), (TILE_PX - 2, TILE_PX - 2))

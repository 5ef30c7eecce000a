"""Contact sheets: many small pictures on one, so that a person can see what has landed."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from skin_platform.core.images import eight_bits, upright

TILE_PX = 96
CAPTION_PX = 14


def contact_sheet(pictures: Sequence[tuple[str, bytes]], columns: int = 8) -> bytes:
    """A PNG that shows ``(caption, image bytes)`` pairs in rows of ``columns``; the images must be readable."""
    rows = max(1, math.ceil(len(pictures) / columns))
    sheet = Image.new("RGB", (columns * TILE_PX, rows * (TILE_PX + CAPTION_PX)), "white")
    draw = ImageDraw.Draw(sheet)
    for position, (caption, data) in enumerate(pictures):
        left = (position % columns) * TILE_PX
        top = (position // columns) * (TILE_PX + CAPTION_PX)
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (TILE_PX, TILE_PX))
            tile = ImageOps.fit(eight_bits(upright(image)).convert("RGB"), (TILE_PX - 2, TILE_PX - 2))
        sheet.paste(tile, (left + 1, top + CAPTION_PX))
        draw.text((left + 2, top + 1), caption[:15], fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()

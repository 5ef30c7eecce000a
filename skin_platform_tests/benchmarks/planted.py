"""Planted copies: pictures and their near-duplicates, judged at the door like any delivered file.

Real pictures, where the folders of them are at hand, are planted among the generated ones.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from skin_platform.core.fingerprints import BYTES
from skin_platform.core.images import ImageFacts, Limits, judge_image
from skin_platform.synthetic.picture import draw
from skin_platform.synthetic.plan import Shot, planned_shots
from skin_platform.synthetic.world import World
from skin_platform_tests.core.pictures import encoded

Change = Callable[[Image.Image], Image.Image]
REAL = Path(__file__).parents[3] / "shared" / "data"
AT_ONCE = 25


def cropped(left: float, upper: float, right: float, lower: float) -> Change:
    """Without these shares of the width and the height at the sides."""
    def change(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        return picture.crop((round(left * width), round(upper * height),
                             width - round(right * width), height - round(lower * height)))
    return change


def resized(picture: Image.Image) -> Image.Image:
    """Half as wide and high."""
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def turned(how: Image.Transpose) -> Change:
    """Turned or mirrored."""
    return lambda picture: picture.transpose(how)


def lit(factor: float) -> Change:
    """Brighter or darker."""
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


CHANGES: dict[str, tuple[int, tuple[Change, ...]]] = {  # JPEG quality, and what happens before
    "re-encoded at quality 60": (60, ()),
    "resized to half": (85, (resized,)),
    "rotated by 90": (90, (turned(Image.Transpose.ROTATE_90),)),
    "rotated by 180": (85, (turned(Image.Transpose.ROTATE_180),)),
    "rotated by 270": (80, (turned(Image.Transpose.ROTATE_270),)),
    "mirrored": (88, (turned(Image.Transpose.FLIP_LEFT_RIGHT),)),
    "upside down": (88, (turned(Image.Transpose.FLIP_TOP_BOTTOM),)),
    "cropped by 3 % a side": (88, (cropped(0.03, 0.03, 0.03, 0.03),)),
    "cropped by 3 % off the centre": (88, (cropped(0.03, 0.03, 0.0, 0.0),)),
    "brighter by 10 %": (88, (lit(1.1),)),
    "darker by 10 %": (88, (lit(0.9),)),
    "rotated and darker": (75, (turned(Image.Transpose.ROTATE_90), lit(0.9))),
    "mirrored and resized": (75, (turned(Image.Transpose.FLIP_LEFT_RIGHT), resized)),
    "cropped by 3 % and rotated": (85, (cropped(0.03, 0.03, 0.03, 0.03), turned(Image.Transpose.ROTATE_270))),
}
HARDER: dict[str, tuple[int, tuple[Change, ...]]] = {  # cropped more than slightly: counted in a row of their own
    "cropped by 5 % a side": (88, (cropped(0.05, 0.05, 0.05, 0.05),)),
    "cropped by 5 % off the centre": (88, (cropped(0.05, 0.05, 0.0, 0.0),)),
}


@dataclass(frozen=True)
class Print:
    """The fingerprint of an original, or by ``change`` of a copy of it; copies and original share ``original``."""

    fingerprint: str
    original: str
    lesion: str
    change: str = ""


def rows_of(prints: list[Print]) -> np.ndarray:
    """Fingerprints as bytes: n x BYTES."""
    return np.frombuffer(bytes.fromhex("".join(each.fingerprint for each in prints)), np.uint8).reshape(-1, BYTES)


def generated(images: int, copies: int, pool: Executor) -> list[Print]:
    """``images`` generated originals, and one copy of each of the first ``copies``, the changes in turns."""
    world = World(images=images, patients=max(1, images // 3), labels=("one", "two", "three", "four"), size_px=224, seed=11)
    kinds = [*CHANGES, *HARDER]
    shots = planned_shots(world)
    tasks = [(shot, [kinds[number % len(kinds)]] if number < copies else []) for number, shot in enumerate(shots)]
    return [each for some in pool.map(partial(_drawn, world), _parts(tasks)) for each in some]


def real(folder: Path, pool: Executor) -> list[Print]:
    """The pictures under a folder, and a copy of each by every change; nothing where there is no folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [each for some in pool.map(_opened, _parts(files)) for each in some]


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)]


def _drawn(world: World, tasks: Sequence[tuple[Shot, list[str]]]) -> list[Print]:
    return [each for shot, kinds in tasks
            for each in _prints(draw(world, shot), f"{shot.patient}/{shot.lesion}/{shot.photo}",
                                f"{shot.patient}/{shot.lesion}", kinds)]


def _opened(files: Sequence[Path]) -> list[Print]:
    return [each for file in files
            for each in _prints(Image.open(file).convert("RGB"), str(file), str(file), [*CHANGES, *HARDER])]


def _prints(picture: Image.Image, original: str, lesion: str, kinds: list[str]) -> list[Print]:
    found = [Print(_judged(encoded(picture, quality=92)), original, lesion)]
    for kind in kinds:
        quality, changes = (CHANGES | HARDER)[kind]
        copy = picture
        for change in changes:
            copy = change(copy)
        found.append(Print(_judged(encoded(copy, quality=quality)), original, lesion, kind))
    return found


def _judged(data: bytes) -> str:
    facts = judge_image(data, ".jpg", Limits())
    if not isinstance(facts, ImageFacts):
        raise AssertionError(f"a sound picture was refused: {facts.reason}")
    return facts.perceptual_hash

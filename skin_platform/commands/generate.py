"""`skin generate`: synthetic deliveries."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

PLANTS = ("duplicates", "near-duplicates", "wrong-labels", "corrupt", "exif", "drift", "shortcut", "weak-subgroup")
USUAL_SHARE = "0.05"
PLANT = partial(typer.Option, metavar="[SHARE]")


def with_default_shares(arguments: list[str]) -> list[str]:
    """The arguments of `skin generate` with the usual share behind each planting option that stands alone."""
    if arguments[:1] != ["generate"]:
        return arguments
    filled: list[str] = []
    for position, argument in enumerate(arguments):
        filled.append(argument)
        following = arguments[position + 1] if position + 1 < len(arguments) else "--"
        if argument.removeprefix("--") in PLANTS and following.startswith("--"):
            filled.append(USUAL_SHARE)
    return filled


def generate(
    out: Annotated[Path, typer.Option(help="an empty or new folder")],
    images: Annotated[int, typer.Option(help="files to write")] = 240,
    patients: Annotated[int, typer.Option(help="patients that they show")] = 80,
    labels: Annotated[str, typer.Option(help="comma-separated")] = "irregular,mottled,plain",
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
    size: Annotated[int, typer.Option(help="side in pixels, 224 or more")] = 256,
    duplicates: Annotated[float, PLANT(help="byte-identical copies")] = 0,
    near_duplicates: Annotated[float, PLANT(help="re-encoded, turned, mirrored, cropped copies")] = 0,
    wrong_labels: Annotated[float, PLANT(help="labels that are not the truth")] = 0,
    corrupt: Annotated[float, PLANT(help="empty, cut and mistyped files")] = 0,
    exif: Annotated[float, PLANT(help="orientation, GPS and camera in EXIF")] = 0,
    drift: Annotated[float, PLANT(help="late patients on another device")] = 0,
    shortcut: Annotated[float, PLANT(help="markers that go with the first label")] = 0,
    weak_subgroup: Annotated[float, PLANT(help="faint lesions, all of one sex, site or skin type")] = 0,
) -> None:
    """Write synthetic lesion photographs and a manifest.csv that says what was planted.

    A planting option takes a share (0.05), a count (12), or nothing: then 0.05.
    """
    from skin_platform.synthetic.generate import generate as write
    from skin_platform.synthetic.world import World

    planted = {"duplicates": duplicates, "near_duplicates": near_duplicates, "wrong_labels": wrong_labels,
               "corrupt": corrupt, "exif": exif, "drift": drift, "shortcut": shortcut, "weak_subgroup": weak_subgroup}
    shares = {name: value / images if value > 1 else value for name, value in planted.items()}
    names = tuple(label.strip() for label in labels.split(","))
    rows = write(World(images=images, patients=patients, labels=names, seed=seed, size_px=size, **shares), out)
    print(f"{len(rows)} files of {patients} patients in {out}; {out / 'manifest.csv'} says what was planted")

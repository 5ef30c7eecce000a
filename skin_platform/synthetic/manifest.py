"""The manifest: one row a file, saying what it shows and which fault it carries."""

import csv
from pathlib import Path

from skin_platform.synthetic.people import draw_patient
from skin_platform.synthetic.picture import camera_of
from skin_platform.synthetic.plan import Shot
from skin_platform.synthetic.world import MANIFEST_NAME, World

COLUMNS = (
    *("file", "label", "patient_id", "lesion_id", "age", "sex", "site", "skin_type", "device"),
    *("true_label", "duplicate_of", "near_duplicate_of"),
    *("is_corrupt", "has_exif", "is_drifted", "has_shortcut"),
)
WEAK = "weak_subgroup"  # only where one was asked for: any other world keeps its bytes


def columns_of(world: World) -> tuple[str, ...]:
    """The columns of a world's manifest."""
    return (*COLUMNS, WEAK) if world.weak_subgroup else COLUMNS


def row_of(world: World, shot: Shot, file: str) -> dict[str, str]:
    """The row of a photograph; copies change what differs."""
    patient = draw_patient(world.seed, shot.patient)
    row = {
        "file": file,
        "label": world.labels[shot.given],
        "patient_id": f"P{shot.patient:05d}",
        "lesion_id": f"P{shot.patient:05d}-L{shot.lesion:02d}",
        "age": patient.age,
        "sex": patient.sex,
        "site": shot.site,
        "skin_type": patient.skin_type,
        "device": camera_of(world, shot).name,
        "true_label": world.labels[shot.label],
        "duplicate_of": "",
        "near_duplicate_of": "",
        "is_corrupt": _yes_or_no(flag=shot.is_corrupt),
        "has_exif": _yes_or_no(flag=shot.has_exif),
        "is_drifted": _yes_or_no(flag=shot.is_drifted),
        "has_shortcut": _yes_or_no(flag=shot.has_shortcut),
    }
    return row | {WEAK: shot.weak_subgroup} if world.weak_subgroup else row


def write_manifest(world: World, rows: list[dict[str, str]], out: Path) -> None:
    """``manifest.csv`` beside the label folders."""
    with (out / MANIFEST_NAME).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns_of(world), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _yes_or_no(*, flag: bool) -> str:
    return "true" if flag else "false"

"""Generate: a world written as label folders of JPEG files and a manifest.

Here: names, folders, and the order of things.
Not here: what is asked (``world``), which photographs exist (``plan``), faults (``plants``), pixels (``picture``).
"""

from pathlib import Path

from skin_platform.synthetic import files
from skin_platform.synthetic.manifest import row_of, write_manifest
from skin_platform.synthetic.picture import camera_of, draw
from skin_platform.synthetic.plan import Shot, planned_shots
from skin_platform.synthetic.plants import Copy, planned_copies, with_faults
from skin_platform.synthetic.seeds import Stream, generator
from skin_platform.synthetic.world import World


def generate(world: World, out: Path) -> list[dict[str, str]]:
    """Write the world's files and its manifest under ``out``; the same world gives the same bytes."""
    _refuse_if_not_empty(out)
    shots = with_faults(world, planned_shots(world))
    copies = planned_copies(world, shots)
    names = _names(world, shots, copies)
    for label in sorted({name.split("/")[0] for name in names.values()}):
        (out / label).mkdir(parents=True)
    rows = [_write_shot(world, shot, names[shot], number, out) for number, shot in _numbered(shots)]
    rows += [_write_copy(world, copy, names, out) for copy in copies]
    rows.sort(key=lambda row: row["file"].split("/")[1])
    write_manifest(world, rows, out)
    return rows


def _refuse_if_not_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder; give a new one, or empty it first")


def _names(world: World, shots: list[Shot], copies: list[Copy]) -> dict[Shot | Copy, str]:
    """A file per photograph and copy, numbered by patient as they would arrive, at random within a patient."""
    rng = generator(world.seed, Stream.NAMES)
    owners: list[tuple[int, float, Shot | Copy]] = [(shot.patient, float(rng.random()), shot) for shot in shots]
    owners += [(copy.source.patient, float(rng.random()), copy) for copy in copies]
    owners.sort(key=lambda owner: owner[:2])
    return {
        item: f"{world.labels[(item.source if isinstance(item, Copy) else item).given]}/img_{number:06d}.jpg"
        for number, (_, _, item) in enumerate(owners, start=1)
    }


def _numbered(shots: list[Shot]) -> list[tuple[int, Shot]]:
    """Every photograph with the count of the broken ones before it, which decides how a broken one is broken."""
    broken_before, numbered = 0, []
    for shot in shots:
        numbered.append((broken_before, shot))
        broken_before += shot.is_corrupt
    return numbered


def _write_shot(world: World, shot: Shot, name: str, number: int, out: Path) -> dict[str, str]:
    picture, camera = draw(world, shot), camera_of(world, shot)
    rng = generator(world.seed, Stream.EXIF, shot.patient, shot.lesion, shot.photo)
    if shot.has_exif:
        content = files.jpeg_with_exif(rng, picture, camera.quality, camera.name)
    else:
        content = files.jpeg(picture, camera.quality)
    (out / name).write_bytes(files.broken(number, content) if shot.is_corrupt else content)
    return row_of(world, shot, name)


def _write_copy(world: World, copy: Copy, names: dict[Shot | Copy, str], out: Path) -> dict[str, str]:
    original = (out / names[copy.source]).read_bytes()
    row = row_of(world, copy.source, names[copy]) | {f"{copy.kind}_of": names[copy.source]}
    if copy.kind == "duplicate":
        (out / names[copy]).write_bytes(original)
        return row
    (out / names[copy]).write_bytes(files.nearly(copy.number, original))
    return row | {"has_exif": "false"}  # a re-encoded copy loses what the camera wrote

"""Promises of the synthetic photographs: the same bytes for a seed, exact counts, and a manifest that tells the truth.

Not here: how the pictures look; that takes eyes.
"""

import csv
import hashlib
import io
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from skin_platform.synthetic.files import CHANGES, nearly
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.manifest import COLUMNS
from skin_platform.synthetic.people import SKIN_TYPES
from skin_platform.synthetic.plan import planned_shots
from skin_platform.synthetic.plants import with_faults
from skin_platform.synthetic.subgroups import FEWEST_PATIENTS
from skin_platform.synthetic.world import World

PLAIN = World(images=6, patients=3, labels=("nevus", "melanoma"), size_px=224)
FAULTY = World(
    images=40,
    patients=10,
    labels=("nevus", "melanoma", "keratosis"),
    size_px=224,
    duplicates=0.1,
    near_duplicates=0.2,
    wrong_labels=0.1,
    corrupt=0.15,
    exif=0.2,
    drift=0.1,
    shortcut=0.2,
)
WEAK = World(images=60, patients=30, labels=("nevus", "melanoma"), size_px=224, weak_subgroup=0.15)
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A world with every fault, written once for all tests that only read it."""
    out = tmp_path_factory.mktemp("faulty")
    return out, generate(FAULTY, out)


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows, Path]:
    """A world with a weak subgroup, and the folder of the same world without."""
    out = tmp_path_factory.mktemp("weak")
    generate(replace(WEAK, weak_subgroup=0.0), out / "without")
    return out / "with", generate(WEAK, out / "with"), out / "without"


def _digests(out: Path) -> dict[str, str]:
    files = [path for path in out.rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _flagged(rows: Rows, column: str) -> Rows:
    return [row for row in rows if row[column] == "true"]


def _upright(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), dtype=np.float32)


def test_the_same_seed_gives_the_same_bytes(faulty: tuple[Path, Rows], tmp_path: Path) -> None:
    out, rows = faulty
    assert generate(FAULTY, tmp_path) == rows
    assert _digests(tmp_path) == _digests(out)


def test_the_hash_seed_of_python_changes_nothing(tmp_path: Path) -> None:
    generate(PLAIN, tmp_path / "here")
    program = (
        "from pathlib import Path; from skin_platform.synthetic.generate import generate;"
        f"from skin_platform.synthetic.world import World; generate({PLAIN!r}, Path({str(tmp_path / 'there')!r}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert _digests(tmp_path / "there") == _digests(tmp_path / "here")


def test_another_seed_gives_other_photographs(tmp_path: Path) -> None:
    generate(PLAIN, tmp_path / "one")
    generate(replace(PLAIN, seed=1), tmp_path / "two")
    assert not set(_digests(tmp_path / "one").values()) & set(_digests(tmp_path / "two").values())


def test_exactly_as_many_files_as_asked_and_each_has_its_row(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    assert len(rows) == FAULTY.images
    assert {row["file"] for row in rows} | {"manifest.csv"} == set(_digests(out))
    assert all(row["file"].split("/")[0] == row["label"] for row in rows)


def test_the_written_manifest_is_the_returned_one(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        assert list(reader) == rows
        assert tuple(reader.fieldnames or ()) == COLUMNS


def test_every_fault_is_planted_as_often_as_asked(faulty: tuple[Path, Rows]) -> None:
    _, rows = faulty
    counted = {
        "duplicates": sum(bool(row["duplicate_of"]) for row in rows),
        "near_duplicates": sum(bool(row["near_duplicate_of"]) for row in rows),
        "wrong_labels": sum(row["label"] != row["true_label"] for row in rows),
        "corrupt": len(_flagged(rows, "is_corrupt")),
        "exif": len(_flagged(rows, "has_exif")),
        "drift": len(_flagged(rows, "is_drifted")),
        "shortcut": len(_flagged(rows, "has_shortcut")),
    }
    assert counted == {name: FAULTY.count(getattr(FAULTY, name)) for name in counted}


def test_a_plain_world_has_no_fault(tmp_path: Path) -> None:
    rows = generate(PLAIN, tmp_path)
    assert len(set(_digests(tmp_path).values())) == PLAIN.images + 1
    for row in rows:
        assert row["label"] == row["true_label"]
        assert not row["duplicate_of"]
        assert not row["near_duplicate_of"]
        assert {row[flag] for flag in COLUMNS if flag.startswith(("is_", "has_"))} == {"false"}
        assert _upright(tmp_path / row["file"]).shape == (224, 224, 3)


def test_duplicates_have_the_bytes_and_the_patient_of_their_original(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    digests, by_file = _digests(out), {row["file"]: row for row in rows}
    for row in rows:
        if row["duplicate_of"]:
            original = by_file[row["duplicate_of"]]
            assert digests[row["file"]] == digests[original["file"]]
            assert all(row[name] == original[name] for name in ("label", "true_label", "patient_id", "lesion_id"))


def test_near_duplicates_are_other_bytes_of_the_same_lesion(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    digests, by_file = _digests(out), {row["file"]: row for row in rows}
    for row in rows:
        if row["near_duplicate_of"]:
            assert digests[row["file"]] != digests[row["near_duplicate_of"]]
            assert row["lesion_id"] == by_file[row["near_duplicate_of"]]["lesion_id"]
            assert min(_upright(out / row["file"]).shape[:2]) >= 224


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_near_duplicate_still_shows_the_same_picture(faulty: tuple[Path, Rows], number: int) -> None:
    out, rows = faulty
    sound = next(row for row in rows if row["is_corrupt"] == row["has_exif"] == "false")
    original = (out / sound["file"]).read_bytes()
    tiny = [
        np.asarray(Image.open(io.BytesIO(content)).convert("L").resize((8, 8)), dtype=np.float32)
        for content in (original, nearly(number, original))
    ]
    turned = [np.rot90(tiny[1], turns) for turns in range(4)]
    likeness = max(np.corrcoef(tiny[0].ravel(), view.ravel())[0, 1] for view in (*turned, tiny[1][:, ::-1]))
    assert likeness > 0.9


def test_only_corrupt_files_cannot_be_decoded(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    broken = set()
    for row in rows:
        try:
            _upright(out / row["file"])
        except OSError:
            broken.add(row["file"])
    assert broken == {row["file"] for row in _flagged(rows, "is_corrupt")}


def test_corrupt_files_are_empty_cut_short_or_no_image(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    starts = Counter((out / row["file"]).read_bytes()[:2] for row in _flagged(rows, "is_corrupt"))
    assert starts == {b"": 2, b"\xff\xd8": 2, b"Th": 2}


def test_exif_tells_camera_time_place_and_orientation_where_the_manifest_says_so(faulty: tuple[Path, Rows]) -> None:
    out, rows = faulty
    for row in rows:
        if row["is_corrupt"] == "true":
            continue
        exif = Image.open(out / row["file"]).getexif()
        assert bool(exif) == (row["has_exif"] == "true")
        if exif:
            assert exif[ExifTags.Base.Orientation] in (1, 3, 6, 8)
            assert exif[ExifTags.Base.Make] == row["device"]
            assert exif[ExifTags.Base.DateTime]
            assert {1, 2, 3, 4} <= set(exif.get_ifd(ExifTags.IFD.GPSInfo))


def test_obeying_the_orientation_gives_the_upright_photograph(tmp_path: Path) -> None:
    plain = generate(PLAIN, tmp_path / "plain")
    generate(replace(PLAIN, exif=1.0), tmp_path / "exif")
    for row in plain:
        upright, obeyed = (_upright(tmp_path / kind / row["file"]) for kind in ("plain", "exif"))
        assert np.abs(upright - obeyed).mean() < 4


def test_drift_is_a_new_device_for_the_last_patients(faulty: tuple[Path, Rows]) -> None:
    _, rows = faulty
    drifted = _flagged(rows, "is_drifted")
    before = [row for row in rows if row not in drifted and row["is_corrupt"] == "false"]
    assert min(row["patient_id"] for row in drifted) >= max(row["patient_id"] for row in before)
    assert not {row["device"] for row in drifted} & {row["device"] for row in before}


def test_the_marker_lies_mostly_beside_the_first_label(tmp_path: Path) -> None:
    world = replace(PLAIN, images=20, shortcut=0.5)
    marked = _flagged(generate(world, tmp_path), "has_shortcut")
    assert len(marked) == 10
    assert sum(row["true_label"] == "nevus" for row in marked) >= 8


def test_the_weak_photographs_are_of_one_subgroup_that_the_manifest_names(weak: tuple[Path, Rows, Path]) -> None:
    out, rows, _ = weak
    planted = [row for row in rows if row["weak_subgroup"]]
    assert len(planted) == WEAK.count(WEAK.weak_subgroup) == 9
    (name,) = {row["weak_subgroup"] for row in planted}
    attribute, value = name.split(" ", 1)
    assert attribute in ("sex", "site", "skin_type")
    assert {row[attribute] for row in planted} == {value}
    assert len({row["patient_id"] for row in rows if row[attribute] == value}) >= FEWEST_PATIENTS
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows


def test_a_weak_subgroup_changes_no_other_photograph(weak: tuple[Path, Rows, Path]) -> None:
    out, rows, without = weak
    before, after = _digests(without), _digests(out)
    assert {name for name in after if after[name] != before[name]} == {
        "manifest.csv", *(row["file"] for row in rows if row["weak_subgroup"])}
    assert (without / "manifest.csv").read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)


def test_the_lesions_of_a_weak_subgroup_hardly_show(weak: tuple[Path, Rows, Path]) -> None:
    out, rows, without = weak
    files = [row["file"] for row in rows if row["weak_subgroup"]]
    faint, plain = (np.mean([_contrast(folder / file) for file in files]) for folder in (out, without))
    assert abs(faint) < 0.2 * plain


def _contrast(path: Path) -> float:
    """How much darker the middle of a photograph is than the skin around it, as a logarithm."""
    light = np.log(_upright(path).mean(axis=2) + 1)
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 224)])
    radius = np.hypot(x, y)
    return float(light[(radius > 0.75) & (radius < 0.9)].mean() - light[radius < 0.3].mean())


def test_of_too_few_patients_the_largest_subgroup_is_weak() -> None:
    world = replace(WEAK, images=12, patients=4, weak_subgroup=1.0)
    planted = [shot.weak_subgroup for shot in with_faults(world, planned_shots(world))]
    assert 1 <= sum(map(bool, planted)) < 12
    assert len({*planted} - {""}) == 1


def test_a_lesion_keeps_its_label_and_a_patient_the_skin_type(faulty: tuple[Path, Rows]) -> None:
    _, rows = faulty
    assert len({row["patient_id"] for row in rows}) == FAULTY.patients
    assert len({(row["lesion_id"], row["true_label"], row["site"]) for row in rows}) == len(
        {row["lesion_id"] for row in rows}
    )
    assert len({(row["patient_id"], row["skin_type"], row["age"], row["sex"]) for row in rows}) == FAULTY.patients
    assert {row["skin_type"] for row in rows} <= set(SKIN_TYPES)


def test_every_label_has_an_image_even_when_images_are_few(tmp_path: Path) -> None:
    labels = tuple("abcdefgh")
    rows = generate(World(images=8, patients=2, labels=labels, size_px=224), tmp_path)
    assert sorted(row["label"] for row in rows) == list(labels)


def test_one_image_of_one_label_is_enough(tmp_path: Path) -> None:
    assert len(generate(World(images=1, patients=1, labels=("only",)), tmp_path)) == 1


def test_labels_may_be_unicode(tmp_path: Path) -> None:
    rows = generate(replace(PLAIN, labels=("gutartig (Nävus)", "黑色素瘤")), tmp_path)
    assert {row["label"] for row in rows} == {"gutartig (Nävus)", "黑色素瘤"}
    assert all((tmp_path / row["file"]).is_file() for row in rows)
    assert "黑色素瘤" in (tmp_path / "manifest.csv").read_text(encoding="utf-8")


def test_a_folder_with_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        generate(PLAIN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"images": 0}, "images"),
        ({"patients": 0}, "patients"),
        ({"patients": 7}, "patients"),
        ({"seed": -1}, "seed"),
        ({"size_px": 100}, "size_px"),
        ({"labels": ()}, "labels"),
        ({"labels": "nevus"}, "labels"),
        ({"labels": ("a", "a")}, "labels"),
        ({"labels": ("a", "")}, "labels"),
        ({"labels": ("a", "b/c")}, "labels"),
        ({"labels": ("a", "..")}, "labels"),
        ({"labels": ("a", "manifest.csv")}, "labels"),
        ({"labels": ("a",), "wrong_labels": 0.1}, "wrong_labels"),
        ({"duplicates": 1.5}, "duplicates"),
        ({"drift": -0.1}, "drift"),
        ({"exif": float("nan")}, "exif"),
        ({"weak_subgroup": 1.1}, "weak_subgroup"),
        ({"duplicates": 0.5, "near_duplicates": 0.5}, "near_duplicates"),
        ({"duplicates": 0.5, "corrupt": 0.5}, "corrupt"),
    ],
)
def test_an_impossible_world_is_refused_by_the_name_of_the_field(wrong: dict[str, object], named: str) -> None:
    asked: dict[str, object] = {"images": 6, "patients": 2, "labels": ("a", "b"), "size_px": 224}
    with pytest.raises(ValueError, match=named):
        World(**(asked | wrong))  # type: ignore[arg-type]

"""Worlds: what is asked of the generator, checked before anything is drawn.

Here: the sizes, the labels and the share of every planted fault.
Not here: which photograph carries which fault (``plants``), how it looks (``picture``).
"""

from dataclasses import dataclass

SHARES = ("duplicates", "near_duplicates", "wrong_labels", "corrupt", "exif", "drift", "shortcut", "weak_subgroup")
SMALLEST_SIDE_PX = 224  # the usual input of an image network; smaller photographs would be enlarged
LONGEST_LABEL_BYTES = 200  # a label becomes a folder, and file systems end at 255 bytes
NOT_IN_A_FOLDER_NAME = set('/\\:*?"<>|')
MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True)
class World:
    """How many photographs of how many patients under which labels, and the share of ``images`` with each fault."""

    images: int
    patients: int
    labels: tuple[str, ...]
    seed: int = 0
    size_px: int = 256
    duplicates: float = 0.0
    near_duplicates: float = 0.0
    wrong_labels: float = 0.0
    corrupt: float = 0.0
    exif: float = 0.0
    drift: float = 0.0
    shortcut: float = 0.0
    weak_subgroup: float = 0.0

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_labels(self.labels)
        _check_shares(self)

    def count(self, share: float) -> int:
        """A share of ``images`` as a whole number of files."""
        return int(share * self.images + 0.5)

    @property
    def shots(self) -> int:
        """The files that are photographs of their own: all but the duplicates and near-duplicates."""
        return self.images - self.count(self.duplicates) - self.count(self.near_duplicates)


def _check_sizes(world: World) -> None:
    for name, least in (("images", 1), ("patients", 1), ("seed", 0), ("size_px", SMALLEST_SIDE_PX)):
        if getattr(world, name) < least:
            raise ValueError(f"{name} is {getattr(world, name)}; give at least {least}")


def _check_labels(labels: tuple[str, ...]) -> None:
    if not isinstance(labels, tuple) or not labels:
        raise ValueError("labels is not a tuple of names; give at least one, like ('plain', 'mottled')")
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels repeats a name: {', '.join(labels)}; give each label once")
    for label in labels:
        _check_label(label)


def _check_label(label: str) -> None:
    remedy = "it becomes a folder name: use printable characters without slashes or outer spaces"
    if not label or label != label.strip() or not label.isprintable() or NOT_IN_A_FOLDER_NAME & set(label):
        raise ValueError(f"labels holds {label!r}; {remedy}")
    if label.startswith(".") or label == MANIFEST_NAME or len(label.encode("utf-8")) > LONGEST_LABEL_BYTES:
        raise ValueError(f"labels holds {label[:40]!r}, which cannot be a folder here; choose another name")


def _check_shares(world: World) -> None:
    for name in SHARES:
        share = getattr(world, name)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} is {share}; give a share of the images from 0 to 1")
    if world.wrong_labels and len(world.labels) == 1:
        raise ValueError("wrong_labels needs a second label to be wrong with; add a label or leave it 0")
    copies = world.duplicates + world.near_duplicates
    if copies and world.shots - world.count(world.corrupt) < 1:
        raise ValueError("duplicates, near_duplicates and corrupt leave no sound photograph to copy; lower one of them")
    if world.patients > world.shots:
        raise ValueError(
            f"patients is {world.patients}, but only {world.shots} of the {world.images} images are not copies; "
            "every patient needs one: ask for fewer patients or more images"
        )

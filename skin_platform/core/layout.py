"""Layouts: what the place of a file in a delivery says of it.

Here: label, split and attributes of a file from its folders and from its row of the delivery's own table.
Not here: reading tables (``core.delivery_tables``), reading files (``storage.landing``), judging their bytes (``core.images``).

Three layouts: ``<split>/<label>/file``, ``<label>/file``, and flat files with a ``manifest.csv`` or ``metadata.csv``.
A table may stand beside any of them; where it names a label or split that the folder contradicts, the file is refused.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from skin_platform.core.images import EXTENSIONS

# folders that mean a split although no configuration names it: what was held out must not be learnt from unnoticed
MEANS_A_SPLIT = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval|evaluation|holdout|heldout|calib|calibration)"
    r"(set|split|data|images)?\d*")


@dataclass(frozen=True)
class Vocabulary:
    """The words of a deployment: labels (empty: take what is delivered), splits with their aliases, columns.

    ``splits`` maps each alias in lower case to the split's name; ``columns`` maps a column of ours to the names
    that it may have in a delivery's table.
    """

    labels: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """A file with its label; ``split`` is None where the delivery gives none; ``attributes`` are as delivered."""

    label: str
    split: str | None
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Misplaced:
    """A file that has no place: ``reason`` may be shown to all, ``in_full`` holds delivered words and stays private.

    Folders, names and the cells of tables may be names of patients; labels of the configuration are not.
    """

    reason: str
    in_full: str


def place(path: PurePosixPath, row: Mapping[str, str] | Misplaced | None, vocabulary: Vocabulary) -> Placed | Misplaced:
    """Label, split and attributes of the file at ``path`` (relative to the delivery), or the reason to refuse it.

    ``row`` is what the tables say of the file; a reason in its place is passed on.
    """
    if path.suffix.lower() not in EXTENSIONS:
        taken = ", ".join(EXTENSIONS)
        return Misplaced(f"the extension is not one of {taken}",
                         f"the extension {path.suffix or '(none)'} is not one of {taken}")
    if isinstance(row, Misplaced):
        return row
    folders = [composed(folder) for folder in path.parts[:-1]]
    own_label, own_split = _from_folders(folders, vocabulary)
    row = row or {}
    fault = _split_fault(row.get("split"), own_split, folders, vocabulary)
    label = row.get("label", own_label)
    if label is None:
        reason = "no label: the file stands in no label folder and no manifest.csv names it"
        return fault or Misplaced(reason, reason)
    fault = _label_fault(label, own_label, vocabulary) or fault
    if fault:
        return fault
    split = vocabulary.splits.get(row.get("split", "").lower(), own_split)
    return Placed(label, split, {k: v for k, v in row.items() if k not in {"label", "split"}})


def folder_label(path: PurePosixPath, vocabulary: Vocabulary) -> str | None:
    """The label that the folders of the file at ``path`` give it."""
    return _from_folders([composed(folder) for folder in path.parts[:-1]], vocabulary)[0]


def two_labels(folder: str, row: str, vocabulary: Vocabulary) -> Misplaced:
    """The refusal of a file whose folder and table name different labels."""
    told = [f"'{label}'" if label in vocabulary.labels else "another" for label in (folder, row)]
    return Misplaced(f"two labels: the folder says {told[0]}, the table says {told[1]}",
                     f"two labels: the folder says '{folder}', the table says '{row}'")


def composed(text: str) -> str:
    """``text`` in Unicode's composed form (NFC): some file systems name files in the decomposed one."""
    return unicodedata.normalize("NFC", text)


def _label_fault(label: str, own_label: str | None, vocabulary: Vocabulary) -> Misplaced | None:
    """What speaks against a label, where something does."""
    if own_label in vocabulary.labels and own_label is not None and own_label != label:
        return two_labels(own_label, label, vocabulary)
    if vocabulary.labels and label not in vocabulary.labels:
        known = ", ".join(vocabulary.labels)
        meant = [name for name in vocabulary.labels if _bare(name) == _bare(label)]
        told = f"is not in the configuration ({known})" + (f"; is '{meant[0]}' meant?" if meant else "")
        return Misplaced(f"the label {told}", f"the label '{label}' {told}")
    if "/" in label or label in {".", ".."} or not label.isprintable():
        return Misplaced("the label cannot name a folder", f"the label {label!r} cannot name a folder")
    return None


def _split_fault(delivered: str | None, own_split: str | None, folders: Sequence[str], vocabulary: Vocabulary
                 ) -> Misplaced | None:
    """What speaks against the split of a row or a folder: nobody configured it, or the two differ."""
    if not vocabulary.splits:
        return None
    unknown = [delivered] if delivered and delivered.lower() not in vocabulary.splits else [
        name for name in folders if name not in vocabulary.labels and name.lower() not in vocabulary.splits
        and MEANS_A_SPLIT.fullmatch(_bare(name))]
    if unknown:
        known = ", ".join(dict.fromkeys(vocabulary.splits.values()))
        told = f"is not in the configuration ({known} and what they are also called)"
        return Misplaced(f"the split {told}", f"the split '{unknown[-1]}' {told}")
    split = vocabulary.splits[delivered.lower()] if delivered else None
    if split and own_split and split != own_split:
        reason = f"two splits: the folder says '{own_split}', the table says '{split}'"
        return Misplaced(reason, reason)
    return None


def _bare(name: str) -> str:
    """A name without case, spaces, hyphens, underscores and points."""
    return re.sub(r"[\s_.-]", "", name.casefold())


def _from_folders(folders: Sequence[str], vocabulary: Vocabulary) -> tuple[str | None, str | None]:
    """The deepest folder that is a configured label (else the last one that is no split), and the deepest split."""
    splits = [vocabulary.splits[name.lower()] for name in folders if name.lower() in vocabulary.splits]
    known = [name for name in folders if name in vocabulary.labels]
    free = [name for name in folders[-1:] if name.lower() not in vocabulary.splits]
    label = known[-1] if known else (free[-1] if free else None)
    return label, (splits[-1] if splits else None)

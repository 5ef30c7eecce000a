"""Layouts: what the place of a file in a delivery says of it.

Here: label, split and attributes of a file from its folders and from the delivery's own table.
Not here: reading files (``storage.landing``), judging their bytes (``core.images``).

Three layouts: ``<split>/<label>/file``, ``<label>/file``, and flat files with a ``manifest.csv`` or ``metadata.csv``.
A table may stand beside any of them; where it names a label that the folder contradicts, the file is refused.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from skin_platform.core.images import EXTENSIONS

TABLE_NAMES = ("manifest.csv", "metadata.csv")
MISSING = {"", "na", "n/a", "nan", "none", "null", "unknown"}


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


class TableError(ValueError):
    """A table cannot be read; ``reason`` may be shown to all, the message itself may hold delivered words."""

    def __init__(self, reason: str, in_full: str | None = None) -> None:
        super().__init__(in_full or reason)
        self.reason = reason


def read_table(text: str, vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    """The rows of a delivery's table by ``file``, with the columns renamed to ours and missing values left out.

    Raises ``TableError`` that names the missing column when the table has no ``file`` column, or where it is no CSV.
    """
    try:
        return _read_table(text, vocabulary)
    except csv.Error as error:
        raise TableError("it is no CSV", str(error)) from None


def place(path: PurePosixPath, row: Mapping[str, str] | None, vocabulary: Vocabulary) -> Placed | Misplaced:
    """Label, split and attributes of the file at ``path`` (relative to the delivery), or the reason to refuse it."""
    if path.suffix.lower() not in EXTENSIONS:
        taken = ", ".join(EXTENSIONS)
        return Misplaced(f"the extension is not one of {taken}",
                         f"the extension {path.suffix or '(none)'} is not one of {taken}")
    folders = [composed(folder) for folder in path.parts[:-1]]
    folder_label, folder_split = _from_folders(folders, vocabulary)
    row = row or {}
    label = row.get("label", folder_label)
    if label is None:
        reason = "no label: the file stands in no label folder and no manifest.csv names it"
        return Misplaced(reason, reason)
    fault = _fault(label, folder_label, vocabulary)
    if fault:
        return fault
    delivered = row.get("split")
    split = vocabulary.splits.get(delivered.lower()) if delivered else None
    return Placed(label, split or folder_split, {k: v for k, v in row.items() if k not in {"label", "split"}})


def labels_delivered(
    files: Iterable[PurePosixPath], tables: Mapping[PurePosixPath, Mapping[str, Mapping[str, str]]], vocabulary: Vocabulary
) -> list[str]:
    """The labels of a delivery in order: those of its tables, and those of the folders that no table speaks of.

    ``files`` are relative paths; ``tables`` are the rows of its tables (``read_table``) by relative path.
    """
    paths = [PurePosixPath(composed(str(path))) for path in files]
    labels, spoken_of = set(), set()
    for table, rows in tables.items():
        labelled = {plain_name(file) for file, row in rows.items() if "label" in row}
        labels |= {row["label"] for row in rows.values() if "label" in row}
        spoken_of |= {path.parent for path in paths if path.is_relative_to(composed(str(table.parent)))
                      and plain_name(str(path)) in labelled}
    free = Vocabulary(splits=vocabulary.splits)
    placed = (place(path, None, free) for path in paths if path.parent not in spoken_of)
    return sorted(labels | {item.label for item in placed if isinstance(item, Placed)})


def is_table(path: str) -> bool:
    """True for a delivery's own table (manifest.csv, metadata.csv, in any case)."""
    return path.rpartition("/")[2].lower() in TABLE_NAMES


def decoded(data: bytes) -> str:
    """The text of a table: UTF-8, or else Windows-1252, in which spreadsheets save where nobody tells them otherwise."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def plain_name(file: str) -> str:
    """The name of a file without folders, extension and case, by which a table may mean it."""
    return PurePosixPath(file).stem.casefold()


def composed(text: str) -> str:
    """``text`` in Unicode's composed form (NFC): some file systems name files in the decomposed one."""
    return unicodedata.normalize("NFC", text)


def _fault(label: str, folder_label: str | None, vocabulary: Vocabulary) -> Misplaced | None:
    """What speaks against a label, where something does."""
    known = ", ".join(vocabulary.labels)
    if folder_label in vocabulary.labels and folder_label != label:
        other = f"'{label}'" if label in vocabulary.labels else "another"
        return Misplaced(f"two labels: the folder says '{folder_label}', the table says {other}",
                         f"two labels: the folder says '{folder_label}', the table says '{label}'")
    if vocabulary.labels and label not in vocabulary.labels:
        return Misplaced(f"the label is not in the configuration ({known})",
                         f"the label '{label}' is not in the configuration ({known})")
    if "/" in label or label in {".", ".."} or not label.isprintable():
        return Misplaced("the label cannot name a folder", f"the label {label!r} cannot name a folder")
    return None


def _read_table(text: str, vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    text = text.removeprefix("\ufeff")
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)  # spreadsheets of half of Europe write semicolons
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    present = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    ours = {ours: present[name.lower()] for ours, names in vocabulary.columns.items() for name in reversed(names)
            if name.lower() in present}
    if "file" not in ours:
        raise TableError("no column 'file'; one row a file is needed",
                         f"no column 'file' among {', '.join(present) or 'no columns'}; one row a file is needed")
    rows = {}
    for row in reader:
        values = {name: composed((row[theirs] or "").strip()) for name, theirs in ours.items()}
        file = values.pop("file").replace("\\", "/").removeprefix("./")
        if file:
            rows[file] = {name: value for name, value in values.items() if value.lower() not in MISSING}
    return rows


def _from_folders(folders: Sequence[str], vocabulary: Vocabulary) -> tuple[str | None, str | None]:
    """The deepest folder that is a configured label (else the last one that is no split), and the deepest split."""
    splits = [vocabulary.splits[name.lower()] for name in folders if name.lower() in vocabulary.splits]
    known = [name for name in folders if name in vocabulary.labels]
    free = [name for name in folders[-1:] if name.lower() not in vocabulary.splits]
    label = known[-1] if known else (free[-1] if free else None)
    return label, (splits[-1] if splits else None)

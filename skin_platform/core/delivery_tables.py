"""Tables of deliveries: what a manifest.csv or metadata.csv says of each file.

Here: reading a table's text, its rows by file, rows that disagree. Not here: which table speaks of which file
(``storage.tables``), what place and row together make of a file (``core.layout``).
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from skin_platform.core.layout import Misplaced, Placed, Vocabulary, composed, place

TABLE_NAMES = ("manifest.csv", "metadata.csv")
MISSING = {"", "na", "n/a", "nan", "none", "null", "unknown"}
NO_CONSENT_GIVEN = {"", "nan"}  # 'unknown' and 'none' are answers to the question for consent, and no yes
UTF_16 = (b"\xff\xfe", b"\xfe\xff")

TableRow = dict[str, str] | Misplaced


class TableError(ValueError):
    """A table cannot be read; ``reason`` may be shown to all, the message itself may hold delivered words."""

    def __init__(self, reason: str, in_full: str | None = None) -> None:
        super().__init__(in_full or reason)
        self.reason = reason


@dataclass(frozen=True)
class DeliveredTable:
    """A table: its rows by ``file``, with our names of columns; ``header`` as delivered, ``columns`` those of ours in it.

    A file of which two rows disagree has the reason in place of a row.
    """

    name: str
    header: tuple[str, ...]
    columns: frozenset[str]
    rows: dict[str, TableRow]


def read_table(text: str, vocabulary: Vocabulary, name: str = "the table") -> DeliveredTable:
    """A delivery's table, with the columns renamed to ours and missing values left out.

    Raises ``TableError`` that names the missing column when the table has no ``file`` column, or where it is no CSV.
    """
    try:
        return _read_table(text, vocabulary, name)
    except csv.Error as error:
        raise TableError("it is no CSV", str(error)) from None


def joined(one: TableRow, other: TableRow, who: str) -> TableRow:
    """Two rows about one file as one; where ``who`` (both together) disagree, the reason to refuse the file."""
    if isinstance(one, Misplaced) or isinstance(other, Misplaced):
        return one if isinstance(one, Misplaced) else other
    disputed = ", ".join(sorted(name for name in one.keys() & other.keys() if one[name] != other[name]))
    if disputed:
        return Misplaced(f"{who} disagree: {disputed}", f"{who} disagree: {disputed}")
    return one | other


def labels_delivered(
    files: Iterable[PurePosixPath], tables: Mapping[PurePosixPath, DeliveredTable], vocabulary: Vocabulary
) -> list[str]:
    """The labels of a delivery in order: those of its tables, and those of the folders that no table speaks of.

    ``files`` are relative paths; ``tables`` are its tables by relative path.
    """
    paths = [PurePosixPath(composed(str(path))) for path in files]
    labels, spoken_of = set(), set()
    for path_of_table, table in tables.items():
        said = {plain_name(file): row["label"] for file, row in table.rows.items()
                if not isinstance(row, Misplaced) and "label" in row}
        labels |= set(said.values())
        spoken_of |= {path.parent for path in paths if path.is_relative_to(composed(str(path_of_table.parent)))
                      and plain_name(str(path)) in said}
    free = Vocabulary(splits=vocabulary.splits)
    placed = (place(path, None, free) for path in paths if path.parent not in spoken_of)
    return sorted(labels | {item.label for item in placed if isinstance(item, Placed)})


def is_table(path: str) -> bool:
    """True for a delivery's own table (manifest.csv, metadata.csv, in any case)."""
    return path.rpartition("/")[2].lower() in TABLE_NAMES


def decoded(data: bytes) -> str:
    """The text of a table: UTF-16 where its first bytes say so, UTF-8, or else Windows-1252, the habit of spreadsheets."""
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def plain_name(file: str) -> str:
    """The name of a file without folders, extension and case, by which a table may mean it."""
    return PurePosixPath(file).stem.casefold()


def _read_table(text: str, vocabulary: Vocabulary, name: str) -> DeliveredTable:
    text = text.removeprefix("\ufeff")
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)  # spreadsheets of half of Europe write semicolons
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    present = {column.strip().lower(): column for column in reader.fieldnames or [] if column}
    ours = {ours: present[theirs.lower()] for ours, names in vocabulary.columns.items() for theirs in reversed(names)
            if theirs.lower() in present}
    if "file" not in ours:
        raise TableError("no column 'file'; one row a file is needed",
                         f"no column 'file' among {', '.join(present) or 'no columns'}; one row a file is needed")
    rows: dict[str, TableRow] = {}
    for row in reader:
        values = {column: composed((row[theirs] or "").strip()) for column, theirs in ours.items()}
        file = values.pop("file").replace("\\", "/").removeprefix("./")
        if file:
            given: TableRow = {column: value for column, value in values.items()
                               if value.lower() not in (NO_CONSENT_GIVEN if column == "consent" else MISSING)}
            rows[file] = joined(rows[file], given, f"two rows of {name}") if file in rows else given
    return DeliveredTable(name, tuple(column.strip() for column in present.values()), frozenset(ours), rows)

"""Tables of a delivery: the manifest.csv or metadata.csv beside its images, read once each.

Here: finding and reading the files, which row means which file. Not here: what a table says (``core.delivery_tables``), what
is made of a row (``core.layout``).

Tables side by side complement each other; a file of which two tables, or two rows, disagree is refused, as is one that a row
without a path may mean although it may mean others too. Nothing is settled by which came last.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from skin_platform.core.delivery_tables import DeliveredTable, TableError, TableRow, decoded, joined, plain_name, read_table
from skin_platform.core.images import EXTENSIONS
from skin_platform.core.layout import Misplaced, Vocabulary, composed, folder_label, two_labels
from skin_platform.storage.places import Place, name_in


class Tables:
    """The tables (manifest.csv, metadata.csv) of a delivery, each read once, for the files below its folder.

    Files and folders are named relative to the place; the place itself is the folder ``""``.
    """

    def __init__(self, place: Place, vocabulary: Vocabulary) -> None:
        self._place, self._vocabulary = place, vocabulary
        self._read: dict[str, list[DeliveredTable]] = {}
        self._strays: dict[str, _Strays] = {}
        self._present: dict[str, list[str]] = {}
        self._named: dict[str, frozenset[str]] = {}
        self.errors: dict[str, TableError] = {}

    def row(self, name: str) -> TableRow | None:
        """What the nearest tables at or above the file's folder say of it; where they contradict, the reason to refuse it."""
        for parent in PurePosixPath(name).parents:
            folder = "" if str(parent) == "." else str(parent)
            tables = [table for table in self._tables(folder) if table.rows]
            if tables:
                return self._checked(name, self._joined(folder, tables, composed(_below(folder, name))), folder, tables)
        return self._unread(name)

    def missing(self, folder: str) -> list[str]:
        """The files (names in the place) that a table in ``folder`` lists and that are not there in any folder or case."""
        files, plain = set(self._files(folder)), {plain_name(file) for file in self._files(folder)}
        names = dict.fromkeys(file for table in self._tables(folder) for file in table.rows
                              if composed(file) not in files and plain_name(file) not in plain)
        return [f"{folder}/{file}" if folder else file for file in names]

    def _tables(self, folder: str) -> list[DeliveredTable]:
        """The tables in ``folder``; one that cannot be read is noted in ``errors``."""
        if folder not in self._read:
            read = []
            for table in sorted(self._place.tables(folder), key=str.lower):
                try:
                    text = decoded(self._place.read(table)[1])
                    read.append(read_table(text, self._vocabulary, table.rpartition("/")[2].lower()))
                except OSError as error:
                    self.errors[table] = TableError(error.strerror or "it is gone")
                except TableError as error:
                    self.errors[table] = error
            self._read[folder] = read
        return self._read[folder]

    def _joined(self, folder: str, tables: list[DeliveredTable], file: str) -> TableRow | None:
        """What the tables of a folder say of a file, together."""
        said: TableRow | None = None
        for table in tables:
            row = table.rows.get(file) or self._stray(folder, table, file)
            if row is not None:
                said = row if said is None else joined(said, row, " and ".join(table.name for table in tables))
        return said

    def _stray(self, folder: str, table: DeliveredTable, file: str) -> TableRow | None:
        """The row that means the file although it does not name it as it stands."""
        key = f"{folder}/{table.name}"
        if key not in self._strays:
            self._strays[key] = _Strays(table, self._files(folder))
        return self._strays[key].rows.get(file)

    def _checked(self, name: str, row: TableRow | None, folder: str, tables: list[DeliveredTable]) -> TableRow | None:
        """The row, or what speaks against the file that the row alone does not tell."""
        if row is None or isinstance(row, Misplaced):
            return row
        own, labels = folder_label(PurePosixPath(name), self._vocabulary), self._vocabulary.labels
        if "label" not in row and (own is None or (labels and own not in labels)) and not any(
                "label" in table.columns for table in tables):
            told = "no label: the table has no label column"
            return Misplaced(told, f"{told} (it has: {', '.join(column for table in tables for column in table.header)})")
        if not labels and own not in (None, row.get("label", own)) and own in self._labels_named(folder, tables):
            return two_labels(own or "", row["label"], self._vocabulary)
        return row

    def _labels_named(self, folder: str, tables: list[DeliveredTable]) -> frozenset[str]:
        """The words that are labels in this delivery where none are configured: those of its tables, and those of the folders
        of files that the tables give no label. Any other folder (``images``) only holds files."""
        if folder not in self._named:
            named = {row["label"] for table in tables for row in table.rows.values()
                     if not isinstance(row, Misplaced) and "label" in row}
            for file in self._files(folder):
                row = self._joined(folder, tables, file)
                own = folder_label(PurePosixPath(file), self._vocabulary)
                if own and (row is None or (not isinstance(row, Misplaced) and "label" not in row)):
                    named.add(own)
            self._named[folder] = frozenset(named)
        return self._named[folder]

    def _unread(self, name: str) -> Misplaced | None:
        """The reason to refuse a file without a label beside a table that cannot be read."""
        own, labels = folder_label(PurePosixPath(name), self._vocabulary), self._vocabulary.labels
        if own in labels or (own and not labels):
            return None
        for table, error in self.errors.items():
            folder, _, file = table.rpartition("/")
            if PurePosixPath(name).is_relative_to(folder):
                return Misplaced(f"no label: {file.lower()} cannot be read: {error.reason}",
                                 f"no label: {file.lower()} cannot be read: {error}")
        return None

    def _files(self, folder: str) -> list[str]:
        """The files below ``folder``, relative to it; listed once, and only where a table does not name a file as it stands."""
        if folder not in self._present:
            self._present[folder] = sorted(composed(_below(folder, name_in(self._place, seen.path)))
                                           for seen in self._place.scan(folder))
        return self._present[folder]


class _Strays:
    """The rows of one table whose file is not there as they name it: other folders, no extension or other case."""

    def __init__(self, table: DeliveredTable, files: list[str]) -> None:
        there = set(files)
        self.rows: dict[str, TableRow] = {}
        by_name, by_stem = defaultdict(list), defaultdict(list)
        for file in files:
            if file not in table.rows and file.lower().endswith(tuple(EXTENSIONS)):
                by_name[file.rpartition("/")[2].casefold()].append(file)
                by_stem[plain_name(file)].append(file)
        for name, row in table.rows.items():
            if name not in there:
                meant = _ending_with(name, by_name[name.rpartition("/")[2].casefold()] or by_stem[plain_name(name)])
                self._give(name, row, meant, table.name)

    def _give(self, name: str, row: TableRow, meant: list[str], table: str) -> None:
        if len(meant) > 1:
            told = f"fits {len(meant)} files: give the path inside the delivery"
            row = Misplaced(f"a row of {table} {told}", f"the row '{name}' {told}")
        for file in meant:
            self.rows[file] = joined(self.rows[file], row, f"two rows of {table}") if file in self.rows else row


def _ending_with(name: str, files: Iterable[str]) -> list[str]:
    """Those of ``files`` whose path ends as ``name`` does, folders included, where there are such; else all."""
    files = list(files)
    return [file for file in files if f"/{file}".casefold().endswith(f"/{name}".casefold())] or files


def _below(folder: str, name: str) -> str:
    return name[len(folder) + 1:] if folder else name

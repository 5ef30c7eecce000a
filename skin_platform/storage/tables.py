"""Tables of a delivery: the manifest.csv or metadata.csv beside its images, read once each.

Here: finding and reading the files. Not here: what a row means (``core.layout``).
"""

from pathlib import PurePosixPath

from skin_platform.core.layout import TableError, Vocabulary, composed, decoded, plain_name, read_table
from skin_platform.storage.places import Place, name_in

Rows = dict[str, dict[str, str]]


class Tables:
    """The tables (manifest.csv, metadata.csv) of a delivery, each read once, for the files below its folder.

    Files and folders are named relative to the place; the place itself is the folder ``""``.
    """

    def __init__(self, place: Place, vocabulary: Vocabulary) -> None:
        self._place, self._vocabulary = place, vocabulary
        self._read: dict[str, Rows] = {}
        self._stray: dict[str, Rows] = {}
        self._present: dict[str, frozenset[str]] = {}
        self._plain: dict[str, frozenset[str]] = {}
        self.errors: dict[str, TableError] = {}

    def row(self, name: str) -> dict[str, str] | None:
        """The row that the nearest table at or above the file's folder has for it."""
        for parent in PurePosixPath(name).parents:
            folder = "" if str(parent) == "." else str(parent)
            rows = self.rows(folder)
            if rows:
                file = composed(_below(folder, name))
                return rows.get(file) or self._strays(folder).get(plain_name(file))
        return None

    def rows(self, folder: str) -> Rows:
        """All rows of the tables in ``folder`` by file; a table that cannot be read is noted in ``errors``."""
        if folder not in self._read:
            rows: Rows = {}
            for table in sorted(self._place.tables(folder), key=str.lower, reverse=True):  # manifest.csv has the last word
                try:
                    for file, row in read_table(decoded(self._place.read(table)[1]), self._vocabulary).items():
                        rows[file] = rows.get(file, {}) | row
                except OSError as error:
                    self.errors[table] = TableError(error.strerror or "it is gone")
                except TableError as error:
                    self.errors[table] = error
            self._read[folder] = rows
        return self._read[folder]

    def missing(self, folder: str) -> list[str]:
        """The files (names in the place) that a table in ``folder`` lists and that are not there in any folder or case."""
        names = [file for file in self.rows(folder) if composed(file) not in self._files(folder)]
        return [f"{folder}/{file}" if folder else file for file in names if plain_name(file) not in self._plain[folder]]

    def _strays(self, folder: str) -> Rows:
        """The rows whose file is not there, by plain name: other folders, no extension or other case in the table."""
        if folder not in self._stray:
            found: Rows = {}
            doubled = set()
            for file, row in self.rows(folder).items():
                if file not in self._files(folder):
                    name = plain_name(file)
                    doubled |= {name} & found.keys()
                    found[name] = row
            self._stray[folder] = {name: row for name, row in found.items() if name not in doubled}
        return self._stray[folder]

    def _files(self, folder: str) -> frozenset[str]:
        """The files below ``folder``, relative to it; listed once, and only where a table does not name a file as it stands."""
        if folder not in self._present:
            names = [composed(_below(folder, name_in(self._place, seen.path))) for seen in self._place.scan(folder)]
            self._present[folder] = frozenset(names)
            self._plain[folder] = frozenset(map(plain_name, names))
        return self._present[folder]


def _below(folder: str, name: str) -> str:
    return name[len(folder) + 1:] if folder else name

"""Tables of a delivery: the manifest.csv or metadata.csv beside its images, read once each.

Here: finding and reading the files. Not here: what a row means (``core.layout``).
"""

import os
from pathlib import Path

from skin_platform.core.layout import TABLE_NAMES, Vocabulary, composed, decoded, plain_name, read_table


class Tables:
    """The tables (manifest.csv, metadata.csv) of a delivery, each read once, for the files below its folder."""

    def __init__(self, root: Path, vocabulary: Vocabulary) -> None:
        self._root, self._vocabulary = root, vocabulary
        self._read: dict[Path, dict[str, dict[str, str]]] = {}
        self._stray: dict[Path, dict[str, dict[str, str]]] = {}
        self._present: dict[Path, set[str]] = {}
        self.errors: dict[str, str] = {}

    def row(self, path: Path) -> dict[str, str] | None:
        """The row that the nearest table at or above the file's folder has for it."""
        for folder in path.parents:
            rows = self.rows(folder)
            if rows:
                file = composed(path.relative_to(folder).as_posix())
                return rows.get(file) or self._strays(folder).get(plain_name(file))
            if folder == self._root:
                return None
        return None

    def rows(self, folder: Path) -> dict[str, dict[str, str]]:
        """All rows of the tables in ``folder`` by file; a table that cannot be read is noted in ``errors``."""
        if folder not in self._read:
            rows: dict[str, dict[str, str]] = {}
            for path in sorted(folder.glob("*.[cC][sS][vV]"), key=_lower_name, reverse=True):  # manifest.csv has the last word
                if path.name.lower() not in TABLE_NAMES:
                    continue
                try:
                    for file, row in read_table(decoded(path.read_bytes()), self._vocabulary).items():
                        rows[file] = rows.get(file, {}) | row
                except (OSError, ValueError) as error:
                    self.errors[path.relative_to(self._root).as_posix()] = f"unreadable table: {error}"
            self._read[folder] = rows
        return self._read[folder]

    def is_delivered(self, folder: Path, file: str) -> bool:
        """Whether the file that a row of the table in ``folder`` names is there, or one that it may mean."""
        return is_file(folder / file) or plain_name(file) in self._names(folder)

    def _strays(self, folder: Path) -> dict[str, dict[str, str]]:
        """The rows whose file is not there, by plain name: other folders, no extension or other case in the table."""
        if folder not in self._stray:
            found: dict[str, dict[str, str]] = {}
            doubled = set()
            for file, row in self.rows(folder).items():
                if not is_file(folder / file):
                    name = plain_name(file)
                    doubled |= {name} & found.keys()
                    found[name] = row
            self._stray[folder] = {name: row for name, row in found.items() if name not in doubled}
        return self._stray[folder]

    def _names(self, folder: Path) -> set[str]:
        if folder not in self._present:
            self._present[folder] = {plain_name(composed(name)) for _, _, names in os.walk(folder) for name in names}
        return self._present[folder]


def _lower_name(path: Path) -> str:
    return path.name.lower()


def is_file(path: Path) -> bool:
    """``Path.is_file``, and False for what cannot be a file's name (a cell of 300 letters)."""
    try:
        return path.is_file()
    except OSError:
        return False

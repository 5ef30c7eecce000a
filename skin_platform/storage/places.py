"""Places: where deliveries land, seen in one way; a folder is one.

Here: listing, looking at and reading what landed; nothing is ever written. Not here: the prefix of a bucket
(``storage.landing_bucket``), what of it is new (``storage.landing``).
"""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from skin_platform.core.batches import SeenFile
from skin_platform.core.delivery_tables import is_table

logger = logging.getLogger(__name__)
HIDDEN = (".", "__MACOSX")  # what archives and operating systems leave behind
LEADS_OUT = "a link that leads out of the delivery is not followed: deliver the file itself"


class Place(Protocol):
    """A place that deliveries land in. A file's path is ``root/name``; names are relative, with slashes."""

    root: str

    def scan(self, folder: str = "") -> Iterator[SeenFile]:
        """Every file below ``folder`` (a name; the whole place) but hidden ones, in no order."""
        ...

    def count(self) -> int:
        """How many files there are, those included that ``scan`` leaves alone: hidden ones, pipes, links that lead nowhere."""
        ...

    def tables(self, folder: str) -> list[str]:
        """The names of the tables (manifest.csv, metadata.csv) that stand in ``folder`` itself."""
        ...

    def look_at(self, name: str) -> SeenFile | None:
        """The file as it is now; None where it is gone."""
        ...

    def read(self, name: str, max_bytes: int | None = None) -> tuple[SeenFile, bytes]:
        """The file as it is now, with its bytes (none of what is larger than ``max_bytes``); ``OSError`` where it is gone."""
        ...

    def clock(self, now: datetime) -> datetime:
        """What the clock says that stamps the files, where ours says ``now``."""
        ...


def name_in(place: Place, path: str) -> str:
    """The name of the file at ``path`` relative to the place."""
    return path[len(place.root.rstrip("/")) + 1:]


def path_in(root: str, name: str) -> str:
    """The path of the file ``name`` in the place at ``root``."""
    return f"{root.rstrip('/')}/{name}"


class LandingFolder:
    """A folder, with all that is in it.

    Links to files in it are followed, links to folders are not. A link that leads out of it is seen and never opened: who
    delivers is not to choose which files of this machine are read.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._real_root: str | None = None

    def scan(self, folder: str = "") -> Iterator[SeenFile]:
        """See ``Place``. A file that vanishes while we look, a broken link, a pipe is left out."""
        waiting = [self._path(folder) if folder else self.root]
        while waiting:
            try:
                entries = os.scandir(waiting.pop())
            except FileNotFoundError:
                continue
            except OSError as error:  # no name: it may be that of a patient
                logger.warning("a folder below %s cannot be read: %s", self.root, error.strerror)
                continue
            with entries:
                for entry in entries:
                    if entry.name.startswith(HIDDEN):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    try:
                        seen = entry.stat()
                        if not stat.S_ISREG(seen.st_mode):  # a pipe would block its reader for ever
                            continue
                        if entry.is_symlink() and self._leads_out(entry.path):
                            seen = entry.stat(follow_symlinks=False)
                    except OSError:  # gone, or a link that leads nowhere or to itself
                        continue
                    yield SeenFile(entry.path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)

    def count(self) -> int:
        """See ``Place``. A link to a folder counts as one file, since it is not followed."""
        found = 0
        for folder, folders, files in os.walk(self.root):
            found += len(files) + sum(os.path.islink(os.path.join(folder, name)) for name in folders)
        return found

    def tables(self, folder: str) -> list[str]:
        """See ``Place``."""
        try:
            names = os.listdir(self._path(folder))
        except OSError:
            return []
        return [f"{folder}/{name}" if folder else name for name in sorted(names) if is_table(name)]

    def look_at(self, name: str) -> SeenFile | None:
        """See ``Place``."""
        try:
            path = self._path(name)
            is_out = os.path.islink(path) and self._leads_out(path)
            return self._seen(os.stat(path, follow_symlinks=not is_out), name)
        except (OSError, ValueError):
            return None

    def read(self, name: str, max_bytes: int | None = None) -> tuple[SeenFile, bytes]:
        """See ``Place``. A file that is written to while it is read comes back as it is afterwards: not as it was claimed.

        Raises ``OSError`` for a link that leads out of the folder.
        """
        path = self._path(name)
        if os.path.islink(path):
            if self._leads_out(path):
                raise OSError(errno.EXDEV, LEADS_OUT)
            path = os.path.realpath(path)
        with open(path, "rb") as file:
            seen = self._seen(os.fstat(file.fileno()), name)
            data = file.read() if max_bytes is None or seen.size_bytes <= max_bytes else b""
            return self._seen_after(file, seen, name), data

    def clock(self, now: datetime) -> datetime:
        """Ours: that of the machine."""
        return now

    def _leads_out(self, link: str) -> bool:
        """Whether a link's end is not in this folder."""
        if self._real_root is None:
            self._real_root = os.path.realpath(self.root)
        return not os.path.realpath(link).startswith(self._real_root.rstrip("/") + "/")

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def _seen(self, found: os.stat_result, name: str) -> SeenFile:
        return SeenFile(self._path(name), found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def _seen_after(self, file: IO[bytes], before: SeenFile, name: str) -> SeenFile:
        after = self._seen(os.fstat(file.fileno()), name)
        return after if after.has_content_of(before) else after._replace(size_bytes=-1)

"""Watching: whether an export names another bundle than when it was last looked at.

Here: noticing, without opening a file. Not here: the export (``serving.exporting``), what is done then (``serving.following``,
``serving.shadowing``).
"""

from dataclasses import dataclass
from pathlib import Path

Seen = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Look:
    """The folder that an export named (None: none), and what its files looked like then."""

    folder: Path | None
    seen: Seen


class Watch:
    """An export under watch. Nothing is known of it at first, so that the first look at one that is there is a change."""

    def __init__(self, export: Path) -> None:
        self.export = export
        self._settled: Seen = ()

    def change(self) -> Look | None:
        """What the export names now, where that is not what was settled; None where it is."""
        look = self._look()
        return None if look.seen == self._settled else look

    def settle(self, look: Look) -> None:
        """It has been seen to: the next change is from here."""
        self._settled = look.seen

    def is_still(self, look: Look) -> bool:
        """Whether nothing has changed since ``look``: a folder may be pruned, or replaced, while somebody reads it."""
        return self._look() == look

    def _look(self) -> Look:
        folder = self.export.resolve()
        seen = _seen(folder)
        if not seen and self.export.is_symlink():  # what it names is gone, which is not to name nothing
            return Look(folder, ((str(folder), 0, 0),))
        return Look(folder if seen else None, seen)


def _seen(folder: Path) -> Seen:
    """Name, size and time of change of each file in ``folder``: what changes where a bundle does; () for none."""
    try:
        files = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    except OSError:  # pruned while we look
        return ()
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files)

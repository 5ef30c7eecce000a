"""Exporting: the bundle that is served, and the one that answers in its shadow, each under one path that names a whole one.

    runs/skin5-current -> v…-<move>                   replaced in one step; the folder holds the bundle and promotion.json
    runs/v…-<move>                                    this one and the one before it; older ones are removed
    runs/skin5-challenger -> challenger-v…-<move>     likewise

Here: the folder, the link, and how its bundle came to be served. Not here: which version that is (the log of moves decides).
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from skin_platform.serving.bundle_files import BundleError, bundle_digest, provenance_of, read_bundle

PROMOTION = "promotion.json"
EXPORTED = r"v\d{8}_\d{6}(-\d+(\.\d+)?)?"
CHALLENGER = "challenger-"  # what the names of a challenger's folders begin with


@dataclass(frozen=True)
class Promotion:
    """How a version became the champion (or challenger): the move of that number in its log; ``at`` is UTC in ISO 8601.

    ``kind`` is promoted, forced or rolled back (of a challenger: registered), ``forced`` whether a person forced it, then or
    before it was rolled back to; ``floor`` the accuracy that the gates asked for then, None where no verdict says so.
    """

    version: str
    kind: str
    by: str
    why: str
    at: str
    number: int
    floor: float | None
    forced: bool


@contextmanager
def exporting(current: Path, prefix: str = "") -> Iterator[None]:
    """No other process replaces the export meanwhile; what a killed one has left is removed first."""
    current.parent.mkdir(parents=True, exist_ok=True)
    with (current.parent / f".{current.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in current.parent.glob(f".{prefix}v*.partial"):
            shutil.rmtree(leftover)
        _link_of(current).unlink(missing_ok=True)
        yield


def replace_export(source: Path, current: Path, promotion: Promotion, prefix: str = "") -> Path:
    """Let ``current`` name a copy of the bundle in ``source``; within ``exporting``. Returns the folder that it names.

    A reader sees the former one or this one, whole. Nothing is written where it names this one already. The folder's name
    begins with ``prefix``.
    """
    if current.is_symlink() and _is_same(source, current, promotion):
        return current.resolve()
    folder = _free(current.parent, f"{prefix}{promotion.version}-{promotion.number}")
    partial = current.parent / f".{folder.name}.partial"
    shutil.copytree(source, partial)
    (partial / PROMOTION).write_text(json.dumps(asdict(promotion), indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(partial, folder)
    former = current.readlink().name if current.is_symlink() else ""
    link = _link_of(current)
    link.symlink_to(folder.name)
    os.replace(link, current)
    _prune(current.parent, prefix, {folder.name, former})
    return folder


def withdraw_export(current: Path, prefix: str = "") -> None:
    """Let ``current`` name nothing; within ``exporting``. Who reads what it named sees it go, and looks again."""
    current.unlink(missing_ok=True)
    _prune(current.parent, prefix, set())


def read_promotion(current: Path) -> Promotion | None:
    """How the exported bundle came to be served; None where nothing is exported, or by nobody's promotion."""
    try:
        return Promotion(**json.loads((current / PROMOTION).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def exported_version(export: Path) -> str | None:
    """The model version whose bundle ``export`` (``runs/skin5-current``) names; None where it names none."""
    try:
        return str(provenance_of(export)["model_version"])
    except (OSError, ValueError, KeyError):
        return None


def _is_same(source: Path, current: Path, promotion: Promotion) -> bool:
    try:
        read_bundle(current)
        return bundle_digest(current) == bundle_digest(source) and read_promotion(current) == promotion
    except (BundleError, OSError):
        return False


def _free(runs: Path, name: str) -> Path:
    """A folder of ``runs`` that is not there yet: a damaged one may be in use, and stays until another takes its place."""
    names = (name if not n else f"{name}.{n}" for n in range(len(list(runs.iterdir())) + 1))
    return next(runs / free for free in names if not (runs / free).exists())


def _prune(runs: Path, prefix: str, kept: set[str]) -> None:
    for folder in runs.iterdir():
        if re.fullmatch(prefix + EXPORTED, folder.name) and folder.name not in kept:
            shutil.rmtree(folder)


def _link_of(current: Path) -> Path:
    return current.parent / f".{current.name}.link"

"""BentoML's store: bentos are built beside it, one build at a time, and renamed into it whole.

    <BENTOML_HOME>/bentos/lesion_classifier/<version>/    a bento
    <BENTOML_HOME>/building/<random>/                     one that is being built, or what a killed build has left
    <BENTOML_HOME>/building.lock                          held by who builds

Here: the place of bentos and of builds. Not here: what is in a bento (``serving.packing``).
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PackingError(RuntimeError):
    """A bento could not be built, or is not there; the message says why."""


def bento_folder(tag: str, bentoml_home: Path) -> Path:
    """Where the bento of ``tag`` lies; raises ``PackingError`` where it does not."""
    folder = place_of(tag, bentoml_home)
    if not folder.is_dir():
        raise PackingError(f"there is no bento {tag} in {bentoml_home}: materialize bundles/lesion_classifier for it")
    return folder


@contextmanager
def building(bentoml_home: Path) -> Iterator[Path]:
    """An empty folder to build in, on the store's file system, while no other process builds; gone at the end.

    What killed builds have left is removed first. A killed build's own child may still write there, hence the random name.
    """
    root = bentoml_home / "building"
    root.mkdir(parents=True, exist_ok=True)
    with (bentoml_home / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in root.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def place_bento(tag: str, built_home: Path, bentoml_home: Path) -> None:
    """Move the bento of ``tag`` from the store ``built_home`` into ours, in place of a former one.

    A service of the former one has read its bundle by then; it goes on, and its next process starts from the new one.
    """
    target = place_of(tag, bentoml_home)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.replace(target, built_home / "former")
    os.replace(place_of(tag, built_home), target)
    (target.parent / "latest").unlink(missing_ok=True)  # BentoML finds the newest by itself where this does not name one


def place_of(tag: str, bentoml_home: Path) -> Path:
    """Where the bento of ``tag`` lies in the store ``bentoml_home``, or would."""
    name, _, bento_version = tag.partition(":")
    return bentoml_home / "bentos" / name / bento_version

"""Decisions by hand: what `skin conflicts` lists and `skin resolve` decides, through a job that the UI shows."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from skin_platform.core.conflicts import Resolution, resolve
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import instance_in, walk_job
from skin_platform.settings import Settings
from skin_platform.storage.stores import Stores


@dataclass(frozen=True)
class Conflict:
    """An image that was delivered under several labels: the labels, and by label the files (batch, original name)."""

    sha256: str
    labels: tuple[str, ...]
    files: dict[str, list[str]]


def open_conflicts(stores: Stores) -> list[Conflict]:
    """The images that wait for a decision, with the files that brought them (names from the private record)."""
    doubtful = set(stores.catalogue.conflicts())
    found: dict[str, dict[str, list[str]]] = {sha256: defaultdict(list) for sha256 in sorted(doubtful)}
    for key in stores.batches.manifest_keys() if doubtful else ():
        batch_id = key.split("/")[1]
        rows = [row for row in stores.batches.read_manifest(key).select(["file_id", "sha256", "label", "reason"]).to_pylist()
                if row["sha256"] in doubtful and not row["reason"]]
        names = stores.batches.read_names(batch_id) if rows else {}
        for row in rows:
            found[row["sha256"]][row["label"]].append(f"{batch_id}: {names.get(row['file_id'], row['file_id'])}")
    return [Conflict(sha256, tuple(sorted(files)), dict(files)) for sha256, files in found.items()]


def decide(
    settings: Settings, sha256: str, label: str, who: str, why: str, now: datetime, tell: Callable[[Told], None]
) -> Resolution:
    """Record that the image (its SHA-256, or the first digits of it) is a ``label`` and bring that into the catalogue."""
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    stores = Stores(settings)
    found = stores.catalogue.query("SELECT sha256, label FROM lesions_data WHERE starts_with(sha256, ?)", [sha256.lower()])
    rows = [] if found is None else found.to_pylist()
    images = {row["sha256"] for row in rows}
    if len(images) > 1:
        raise ValueError(f"{len(images)} images have a SHA-256 that begins with {sha256}: give more of it")
    whole = next(iter(images), sha256)
    delivered = stores.catalogue.query("SELECT DISTINCT label FROM lesions_data")
    known = settings.dataset.labels or (delivered["label"].to_pylist() if delivered else [])
    resolution = resolve(whole, label, {row["label"] for row in rows}, who, why, now.isoformat(), known)
    stores.resolutions.write(resolution)
    with instance_in(settings.home.dagster) as instance:
        walk_job(build_definitions(default_resources(settings)), instance, "apply_resolutions", tell)
    return resolution

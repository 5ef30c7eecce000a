"""The links of a lineage that only the object store can show.

Here: each looked up and held against the one before. Not here: those that a bundle shows by itself (``serving.chain``), the
chain (``lineage``).
"""

from collections.abc import Iterator
from typing import Any

from skin_platform.serving.bundle import Provenance
from skin_platform.serving.chain import Link
from skin_platform.storage.stores import Stores


def each_once(found: list[Link]) -> list[Link]:
    """Of links that were looked at twice, in the bundle and in the store, the one that tells more: broken, or verified."""
    telling: dict[str, Link] = {}
    for link in found:
        before = telling.get(link.link)
        if before is None or before.is_verified is None or link.is_verified is False:
            telling[link.link] = link
    return list(telling.values())


def links_in_store(row: dict[str, Any], origin: Provenance, stores: Stores) -> Iterator[Link]:
    """The links that only the object store can show; what is damaged there raises ``StorageError`` that names it."""
    for name in ("checkpoint_sha256", "dataset_digest"):
        own = getattr(origin, name)
        yield Link("bundle → version" if name == "checkpoint_sha256" else "version → dataset", row[name] == own,
                   f"{name} of its row and of version {origin.model_version}" if row[name] == own else
                   f"the prediction's {name} is {row[name]}, that of version {origin.model_version} is {own}")
    try:
        stores.models.read(origin.checkpoint_key, origin.checkpoint_sha256)
        yield Link("version → checkpoint", True, f"SHA-256 of {origin.checkpoint_key} in the object store")
    except KeyError:
        yield Link("version → checkpoint", None, f"{origin.checkpoint_key} is not in the object store any more")
    try:
        stores.versions.read_file(origin.model_version, "evaluation.json", origin.report_sha256)
        yield Link("version → evaluation", True, "SHA-256 of the version's evaluation.json in the object store")
    except KeyError as error:
        yield Link("version → evaluation", None, str(error.args[0]))
    yield Link("dataset → images", True, "the rows of the manifest in the object store hash to the digest")

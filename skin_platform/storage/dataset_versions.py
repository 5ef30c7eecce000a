"""Dataset versions: what is written beside a manifest, for people and for the next version.

Here: the record and its JSON. Not here: storing it (``storage.datasets``).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skin_platform.core.split_terms import SplitTerms
from skin_platform.storage.manifests import counted, locked_digest

EXAMPLES = 20  # moved images that the record names; the rest stand in moves.parquet


@dataclass(frozen=True)
class Circumstances:
    """How a version came about: from which catalogue and configuration, after which version, by which run and code.

    ``parent`` is the version whose splits were kept (None: the first of its ``line``).
    """

    created_at: str = ""
    run_id: str = ""
    code_version: str = ""
    catalogue_digest: str = ""
    fractions: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    locked_split: str | None = None
    parent: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    line: str = ""

    @property
    def terms(self) -> SplitTerms | None:
        """What the version was split by; None where that was not recorded."""
        return SplitTerms(self.fractions, self.seed, self.locked_split, self.line) if self.fractions else None


@dataclass(frozen=True)
class DatasetVersion:
    """A frozen dataset: its digest, its circumstances, and what it counts.

    ``counts``: rows of label, split, images, groups. ``moved``: how many images of the parent are in another split now, the
    first of them in ``moved_examples``. ``locked_digest`` says which images are locked (empty: none).
    """

    digest: str
    came: Circumstances
    images: int
    groups: int
    labels: tuple[str, ...]
    counts: tuple[Mapping[str, str | int], ...]
    locked_digest: str
    moved: int
    moved_examples: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, digest: str, manifest: pa.Table, came: Circumstances, moves: pa.Table) -> "DatasetVersion":
        """The version that ``manifest`` is."""
        return cls(digest, came, len(manifest), pc.count_distinct(manifest["group_id"]).as_py(),
                   tuple(sorted(manifest["label"].unique().to_pylist())), tuple(counted(manifest)),
                   locked_digest(manifest, came.locked_split), len(moves), tuple(moves.slice(0, EXAMPLES).to_pylist()))

    @classmethod
    def from_json(cls, data: bytes) -> "DatasetVersion":
        """What ``to_json`` wrote."""
        stored: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                  for name, value in json.loads(data).items()}
        came = stored["came"]
        return cls(**{**stored, "came": Circumstances(**{**came, "notes": tuple(came["notes"])})})

    def to_json(self) -> bytes:
        """The record as it is stored."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1).encode()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    def images_by_split(self) -> dict[str, int]:
        """How many images each split has; splits without any are left out."""
        found: dict[str, int] = {}
        for row in self.counts:
            found[str(row["split"])] = found.get(str(row["split"]), 0) + int(row["images"])
        return found

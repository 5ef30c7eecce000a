"""The door: the manifest row of a delivered file, from its place and its bytes.

Here: putting together what the rules say. Not here: the rules (``core.images``, ``core.layout``), reading the file
(``storage.ingest``).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from skin_platform.core.decoding import Decoded
from skin_platform.core.delivery_tables import TableRow
from skin_platform.core.images import ImageFacts, Limits, Refusal, decode_image, described
from skin_platform.core.layout import Misplaced, Placed, Vocabulary, place
from skin_platform.core.lesions import ATTRIBUTES
from skin_platform.core.pseudonyms import pseudonym


@dataclass(frozen=True)
class DoorRules:
    """What the door goes by: the words of the deployment, the limits, the key of pseudonyms."""

    vocabulary: Vocabulary
    limits: Limits
    pseudonym_key: str


@dataclass(frozen=True)
class Inside:
    """A file that was placed and decoded: its manifest row, which lacks what ``rows_of`` works out of the image."""

    row: dict[str, Any]
    image: Decoded


def judge_bytes(
    data: bytes, name: PurePosixPath, row: TableRow | None, blank: dict[str, Any], rules: DoorRules
) -> Inside | dict[str, Any]:
    """One file: placed, then decoded; the manifest row where it is refused, with the first reason that holds."""
    placed = place(name, row, rules.vocabulary)
    if isinstance(placed, Misplaced):
        return blank | {"reason": placed.reason, "bytes": len(data), **_as_delivered(hashlib.sha256(data).hexdigest())}
    verdict = decode_image(data, name.suffix, rules.limits)
    row_so_far = blank | _placed(placed, rules.pseudonym_key)
    if isinstance(verdict, Refusal):
        return row_so_far | {"reason": verdict.reason, "bytes": verdict.size_bytes, **_as_delivered(verdict.sha256)}
    promised = placed.attributes.get("sha256", verdict.delivered_sha256).lower()  # of the file as it was sent
    reason = None if promised == verdict.delivered_sha256 else "the bytes are not those of the SHA-256 in the table"
    return Inside(row_so_far | _facts(verdict) | {"reason": reason}, verdict)


def rows_of(judged: Sequence[Inside | dict[str, Any]]) -> list[dict[str, Any]]:
    """The manifest rows of judged files, in order; what is worked out of the images is worked out for all at once."""
    facts = iter(described([item.image for item in judged if isinstance(item, Inside)]))
    return [_completed(item.row, next(facts)) if isinstance(item, Inside) else item for item in judged]


def _placed(placed: Placed, key: str) -> dict[str, Any]:
    given = placed.attributes
    return {"label": placed.label, "split": placed.split,
            "patient_id": pseudonym(given.get("patient_id"), "patient", key),
            "lesion_id": pseudonym(given.get("lesion_id"), "lesion", key),
            **{name: given.get(name) for name in ATTRIBUTES}}


def _as_delivered(sha256: str) -> dict[str, Any]:
    """The digests of a file of which nothing will be stored: both are those of its bytes."""
    return {"sha256": sha256, "delivered_sha256": sha256}


def _facts(image: Decoded) -> dict[str, Any]:
    return {"sha256": image.sha256, "delivered_sha256": image.delivered_sha256, "md5": image.md5, "bytes": image.size_bytes,
            "width_px": image.width_px, "height_px": image.height_px, "format": image.format}


def _completed(row: dict[str, Any], facts: ImageFacts) -> dict[str, Any]:
    return row | {"perceptual_hash": facts.perceptual_hash, **vars(facts.quality)}

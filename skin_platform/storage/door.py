"""The door: the manifest row of one delivered file, from its place and its bytes.

Here: putting together what the rules say. Not here: the rules (``core.images``, ``core.layout``), reading the file
(``storage.ingest``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from skin_platform.core.images import ImageFacts, Limits, Refusal, judge_image
from skin_platform.core.layout import Misplaced, Placed, Vocabulary, place
from skin_platform.core.lesions import ATTRIBUTES
from skin_platform.core.pseudonyms import pseudonym


@dataclass(frozen=True)
class DoorRules:
    """What the door goes by: the words of the deployment, the limits, the key of pseudonyms."""

    vocabulary: Vocabulary
    limits: Limits
    pseudonym_key: str


def judge_bytes(
    data: bytes, name: PurePosixPath, row: Mapping[str, str] | None, blank: dict[str, Any], rules: DoorRules
) -> dict[str, Any]:
    """The manifest row of one file: placed, then opened; refused with the first reason that holds."""
    placed = place(name, row, rules.vocabulary)
    if isinstance(placed, Misplaced):
        return blank | {"reason": placed.reason, "bytes": len(data), **_as_delivered(hashlib.sha256(data).hexdigest())}
    verdict = judge_image(data, name.suffix, rules.limits)
    described = blank | _described(placed, rules.pseudonym_key)
    if isinstance(verdict, Refusal):
        return described | {"reason": verdict.reason, "bytes": verdict.size_bytes, **_as_delivered(verdict.sha256)}
    promised = placed.attributes.get("sha256", verdict.delivered_sha256).lower()  # of the file as it was sent
    reason = None if promised == verdict.delivered_sha256 else "the bytes are not those of the SHA-256 in the table"
    return described | _facts(verdict) | {"reason": reason}


def _described(placed: Placed, key: str) -> dict[str, Any]:
    given = placed.attributes
    return {"label": placed.label, "split": placed.split,
            "patient_id": pseudonym(given.get("patient_id"), "patient", key),
            "lesion_id": pseudonym(given.get("lesion_id"), "lesion", key),
            **{name: given.get(name) for name in ATTRIBUTES}}


def _as_delivered(sha256: str) -> dict[str, Any]:
    """The digests of a file of which nothing will be stored: both are those of its bytes."""
    return {"sha256": sha256, "delivered_sha256": sha256}


def _facts(facts: ImageFacts) -> dict[str, Any]:
    return {"sha256": facts.sha256, "delivered_sha256": facts.delivered_sha256, "md5": facts.md5, "bytes": facts.size_bytes,
            "width_px": facts.width_px, "height_px": facts.height_px, "format": facts.format,
            "perceptual_hash": facts.perceptual_hash, **asdict(facts.quality)}

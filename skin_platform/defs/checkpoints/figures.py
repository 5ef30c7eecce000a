"""Figures: all that an evaluation found, as the one JSON that screens, cards and checks read.

Here: its parts and their names. Not here: finding them (``core.report``, ``core.subgroups``, ``core.conformal``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.conformal import ASSUMPTION, coverage_interval
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.evidence import Evidence
from skin_platform.core.gate_rules import SubgroupRules
from skin_platform.core.references import CheckpointReference
from skin_platform.core.subgroups import subgroup_table
from skin_platform.defs.checkpoints.scoring import Scores


def figures_of(
    scores: Scores, checkpoint: CheckpointReference, rows: Sequence[DatasetRow], rules: SubgroupRules, evidence_sha256: str,
    ood: Mapping[str, Any],
) -> dict[str, Any]:
    """The evaluation of a checkpoint, JSON-able; ``rows`` are those of its dataset, ``ood`` is what ``detecting`` found."""
    calibration = scores.calibration
    return scores.report.as_dict() | {
        "split": scores.split, "openings": scores.openings, "validation": scores.validation.as_dict(),
        "calibration": asdict(calibration), "checkpoint_sha256": checkpoint.sha256,
        "dataset_digest": checkpoint.dataset.digest, "evidence_sha256": evidence_sha256,
        "subgroups": [asdict(item) for item in subgroup_table(scores.evidence, rules.by, rules.fewest)],
        "coverage": coverage_of(scores.evidence, calibration.coverage, by_label=calibration.by_label),
        "ood": ood, "images": images_of(rows),
    }


def coverage_of(evidence: Evidence, configured: float, *, by_label: bool) -> dict[str, Any]:
    """How often the prediction sets held the truth, of all images and by label, with intervals and how large the sets are."""
    whole = np.ones(evidence.n, dtype=bool)
    return {
        "configured": configured, "by_label": by_label, "assumption": ASSUMPTION, "overall": _covered(evidence, whole),
        "labels": {label: _covered(evidence, evidence.truth == i) for i, label in enumerate(evidence.labels)},
        "mean_set_size": float(evidence.sets.sum(axis=1).mean()),
        "abstained": int(((evidence.sets.sum(axis=1) == 0) | evidence.sets.all(axis=1)).sum()),
    }


def images_of(rows: Sequence[DatasetRow]) -> dict[str, Any]:
    """Images by split, images by label and split, groups by split."""
    by_label: dict[str, dict[str, int]] = {}
    for (label, split), images in sorted(Counter((row.label, row.split) for row in rows).items()):
        by_label.setdefault(label, {})[split] = images
    groups = Counter(split for _, split in {(row.group_id, row.split) for row in rows})
    return {"by_split": dict(Counter(row.split for row in rows)), "by_label": by_label, "groups": dict(groups)}


def _covered(evidence: Evidence, of: NDArray[np.bool_]) -> Mapping[str, Any]:
    interval = coverage_interval(evidence, of)
    if interval is None:
        return {"n": 0, "share": None, "low": None, "high": None}
    return {"n": int(of.sum()), "share": float(evidence.covered[of].mean()), "low": interval.low, "high": interval.high}

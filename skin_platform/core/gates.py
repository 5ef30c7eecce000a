"""Gates: what a model must show before it may answer, each with a verdict and its reason.

Here: all verdicts on one model. Not here: what is demanded (``core.gate_rules``), how each is found (``core.noninferiority``,
``core.worst_subgroup``, ``core.trust``), and what follows from a verdict (``defs.registry``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skin_platform.core.evidence import Evidence
from skin_platform.core.findings import Finding, GateStatus
from skin_platform.core.gate_rules import GateRules, WhenTooFew
from skin_platform.core.intervals import accuracy_of, resampled, share_interval, with_interval
from skin_platform.core.noninferiority import champion_finding, malignant_finding
from skin_platform.core.paired import refuse_other_rows
from skin_platform.core.trust import calibration_finding, coverage_finding
from skin_platform.core.worst_subgroup import subgroups_finding

GATES = ("floor", "champion", "malignant recall", "subgroups", "calibration", "coverage")


@dataclass(frozen=True)
class Verdict:
    """What a gate says: its ``reason`` is one sentence with figures and names, the ``figures`` are JSON-able.

    It ``blocks`` a promotion where it failed, or where there are too few images to judge by and the policy is to refuse then.
    """

    gate: str
    status: GateStatus
    blocks: bool
    reason: str
    figures: Mapping[str, Any]


def judge(evidence: Evidence, champion: Evidence | None, rules: GateRules) -> tuple[Verdict, ...]:
    """The verdicts of all ``GATES``, in their order, on a candidate's ``evidence``.

    ``champion`` is what the present champion answers on the same images in the same order; None where there is no champion.
    Raises ``ValueError`` where the images, their order or their labels differ.
    """
    if champion is not None:
        refuse_other_rows(evidence, champion)
    found: Mapping[str, tuple[Finding, WhenTooFew]] = {
        "floor": (floor_finding(evidence, rules.floor), "refuse"),
        "champion": (champion_finding(evidence, champion, rules.champion), "refuse"),
        "malignant recall": (malignant_finding(evidence, champion, rules), rules.malignant.when_too_few),
        "subgroups": (subgroups_finding(evidence, champion, rules.subgroups, rules.champion.level),
                      rules.subgroups.when_too_few),
        "calibration": (calibration_finding(evidence, rules.calibration), rules.calibration.when_too_few),
        "coverage": (coverage_finding(evidence, rules.coverage), rules.coverage.when_too_few),
    }
    return tuple(_verdict(gate, *found[gate]) for gate in GATES)


def floor_finding(evidence: Evidence, floor: float) -> Finding:
    """Passed where the share of right answers reaches ``floor``."""
    hits, groups = int(evidence.right.sum()), len(set(evidence.groups))
    replicates = accuracy_of(resampled(evidence.truth, evidence.predicted, evidence.groups, len(evidence.labels)))
    accuracy, interval = hits / evidence.n, share_interval(hits, evidence.n, replicates, groups)
    assert interval is not None  # evidence has an image
    passed = accuracy >= floor
    reason = (f"accuracy {with_interval(accuracy, interval)} on {evidence.n} images of {groups} groups "
              f"{'reaches' if passed else 'is under'} the floor of {floor:g}")
    return Finding("passed" if passed else "failed", reason,
                   {"n": evidence.n, "groups": groups, "accuracy": accuracy, "floor": floor,
                    "low": interval.low, "high": interval.high})


def _verdict(gate: str, found: Finding, when_too_few: WhenTooFew) -> Verdict:
    blocks = found.status == "failed" or (found.status == "too few" and when_too_few == "refuse")
    return Verdict(gate, found.status, blocks, found.reason, found.figures)

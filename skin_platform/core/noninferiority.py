"""The gates that hold a candidate against the champion: on all images, and on those of each malignant label.

Here: the two findings. Not here: the comparison itself (``core.paired``), what blocks (``core.gates``).

Not worse is shown, not assumed: a test that cannot tell the two apart for want of images does not pass (non-inferiority,
Piaggio et al. 2012). Where an image set is too small for that, a label or subgroup is refused for what is credibly worse.
"""

from dataclasses import asdict

from skin_platform.core.evidence import Evidence
from skin_platform.core.findings import NOT_JUDGED, Finding, GateStatus, joined
from skin_platform.core.gate_rules import ChampionRules, GateRules, LabelRules
from skin_platform.core.paired import paired_difference

WORST_FIRST: tuple[GateStatus, ...] = ("failed", "too few", "passed", NOT_JUDGED)
NO_CHAMPION = "there is no champion yet"


def champion_finding(evidence: Evidence, champion: Evidence | None, rules: ChampionRules) -> Finding:
    """Passed where the candidate is not worse by ``margin``, up to errors at ``level``; not judged without champion."""
    if champion is None:
        return Finding(NOT_JUDGED, NO_CHAMPION, {})
    found = paired_difference(evidence, champion, rules.metric, rules.level)
    told = (f"{rules.metric.replace('_', ' ')} {found.candidate:.3f} against the champion's {found.champion:.3f}: the "
            f"difference is {found.difference:+.3f} and with {1 - rules.level:.1%} confidence above {found.lower:+.3f}, on "
            f"{found.n} images of {found.groups} groups")
    passed = found.lower > -rules.margin
    judged = "which is within" if passed else "which does not rule out a loss of"
    few = "" if passed or found.difference < -rules.margin else ": the images are too few to tell"
    return Finding("passed" if passed else "failed", f"{told}, {judged} the margin of {rules.margin:g}{few}",
                   asdict(found) | {"margin": rules.margin})


def malignant_finding(evidence: Evidence, champion: Evidence | None, rules: GateRules) -> Finding:
    """Passed where no malignant label is recalled below its floor, nor credibly less than by the champion.

    Too few where one has fewer images than needed, and none of the others fails; not judged where no label is malignant.
    """
    malignant = {label: of for label, of in rules.labels.items() if of.malignant}
    if not malignant:
        return Finding(NOT_JUDGED, "no label is configured as malignant (gates.labels in dataset.yaml)", {})
    found = [_of_label(evidence, champion, label, of, rules, len(malignant)) for label, of in malignant.items()]
    status = min((item.status for item in found), key=WORST_FIRST.index)
    reasons = [item.reason for item in found if status == "passed" or item.status != "passed"]
    return Finding(status, joined(reasons), {
        "labels": {label: item.figures for label, item in zip(malignant, found, strict=True)}})


def _of_label(
    evidence: Evidence, champion: Evidence | None, label: str, of: LabelRules, rules: GateRules, labels: int
) -> Finding:
    if label not in evidence.labels:
        return Finding("failed", f"the model does not know the malignant label {label}", {"n": 0, "status": "failed"})
    meant = evidence.truth == evidence.labels.index(label)
    n, hits = int(meant.sum()), int(evidence.right[meant].sum())
    if n < rules.malignant.fewest:
        return Finding("too few", f"{label} has {n} images, too few to judge its recall (fewest: {rules.malignant.fewest})",
                       {"n": n, "status": "too few"})
    recall = hits / n
    faults, told = [], f"the recall of {label} is {recall:.3f} ({hits} of {n})"
    figures: dict[str, object] = {"n": n, "recall": recall, "recall_floor": of.recall_floor}
    if of.recall_floor is not None and recall < of.recall_floor:
        faults.append(f"under its floor of {of.recall_floor:g}")
    if champion is not None:
        level, margin = rules.champion.level / labels, rules.malignant.margin
        found = paired_difference(evidence, champion, "recall", level, label=label)
        figures["paired"] = asdict(found)
        if found.difference < -margin and found.upper < 0:
            faults.append(f"worse than the champion's {found.champion:.3f} by more than {margin:g}, and with {1 - level:.1%} "
                          f"confidence worse by at least {-found.upper:.3f}")
    floor = f", its floor is {of.recall_floor:g}" if of.recall_floor is not None and not faults else ""
    against = f", the champion's is {found.champion:.3f}" if champion is not None and not faults else ""
    status: GateStatus = "failed" if faults else "passed"
    reason = f"{told}, {' and '.join(faults)}" if faults else f"{told}{floor}{against}"
    return Finding(status, reason, figures | {"status": status})

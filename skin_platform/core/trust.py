"""The gates for what a model says of itself: its confidence, and its prediction sets.

Here: the two findings. Not here: the calibration error (``core.figures``), the sets (``core.conformal``), what blocks
(``core.gates``).
"""

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.conformal import coverage_interval
from skin_platform.core.evidence import Evidence
from skin_platform.core.figures import calibration_error, chance_calibration_error
from skin_platform.core.findings import Finding, joined
from skin_platform.core.gate_rules import CalibrationRules, CoverageRules
from skin_platform.core.intervals import Interval


def calibration_finding(evidence: Evidence, rules: CalibrationRules) -> Finding:
    """Passed where the calibration error, less what a perfectly calibrated model shows at this n, is at most the ceiling."""
    if evidence.n < rules.fewest:
        return Finding("too few", f"{evidence.n} images are too few to judge the calibration (fewest: {rules.fewest})",
                       {"n": evidence.n})
    error, chance = calibration_error(evidence.probabilities, evidence.truth), chance_calibration_error(evidence.probabilities)
    beyond = error - chance
    passed = beyond <= rules.ceiling
    reason = (f"the expected calibration error is {error:.3f}, of which {chance:.3f} is chance at {evidence.n} images: "
              f"{beyond:+.3f} is {'within' if passed else 'above'} the ceiling of {rules.ceiling:g}")
    return Finding("passed" if passed else "failed", reason,
                   {"n": evidence.n, "ece": error, "chance": chance, "beyond_chance": beyond, "ceiling": rules.ceiling})


def coverage_finding(evidence: Evidence, rules: CoverageRules) -> Finding:
    """Failed where the prediction sets hold the truth credibly less often than configured, on average or for a label."""
    parts = {"all images": np.ones(evidence.n, dtype=bool)}
    if rules.by_label:
        parts |= {label: evidence.truth == i for i, label in enumerate(evidence.labels)}
    counts = {name: int(mask.sum()) for name, mask in parts.items()}
    judged = [name for name in parts if counts[name] >= rules.fewest]
    few = [name for name in parts if counts[name] < rules.fewest]
    found = {name: _coverage(evidence, parts[name], 1 - 0.05 / len(judged)) for name in judged}
    failed = [name for name, (_, interval) in found.items() if interval.high < rules.coverage]
    too_few = f"too few to judge: {', '.join(f'{name} (n = {counts[name]})' for name in few)} (fewest: {rules.fewest})"
    told = [f"the sets of {name} hold the truth in {share:.3f} ({interval.low:.3f} to {interval.high:.3f}, n = {counts[name]})"
            for name, (share, interval) in found.items() if name in failed or not failed]
    figures = {"coverage": rules.coverage, "by_label": rules.by_label, "parts": {
        name: {"n": counts[name]} | ({"coverage": found[name][0], "low": found[name][1].low, "high": found[name][1].high}
                                     if name in found else {}) for name in parts}}
    if failed:
        return Finding("failed", joined([f"{', '.join(told)}, all below the {rules.coverage:g} that is configured",
                                         too_few if few else ""]), figures)
    if not judged or (few and rules.when_too_few == "refuse"):
        return Finding("too few", too_few, figures)
    near = f"{rules.coverage:g} is within reach of chance"
    return Finding("passed", joined([", ".join(told), near, too_few if few else ""]), figures)


def _coverage(evidence: Evidence, mask: NDArray[np.bool_], level: float) -> tuple[float, Interval]:
    interval = coverage_interval(evidence, mask, level)
    assert interval is not None  # as many images as are judged are there
    return float(evidence.covered[mask].mean()), interval

"""The gates as checks of the verdict: each stops what comes after where it blocks."""

from collections.abc import Iterator

import dagster as dg

from skin_platform.core.findings import NOT_JUDGED
from skin_platform.core.references import VerdictReference
from skin_platform.defs.listening import GATES_STEP
from skin_platform.defs.registry.assets import verdict
from skin_platform.defs.resources import StoresResource

GATES = {  # by gate of core.gates: what is true where it lets pass
    "floor": ("accuracy_reaches_the_floor", "Accuracy on the split that counts reaches gates.floor (PERFORMANCE_THRESHOLD)."),
    "champion": ("not_worse_than_the_champion", "It is shown not to be worse than the champion by gates.champion.margin."),
    "malignant recall": ("malignant_labels_are_found", "Malignant labels reach their recall floor, and the champion's."),
    "subgroups": ("no_subgroup_is_left_behind", "No subgroup is credibly worse than with the champion, or than the others."),
    "calibration": ("confidence_is_calibrated", "The calibration error beyond chance is within gates.calibration.ceiling."),
    "coverage": ("prediction_sets_hold_the_truth", "The prediction sets hold the truth as often as is configured."),
}


@dg.multi_asset_check(
    name=GATES_STEP, ins={"verdict": dg.AssetIn(key=verdict.key)},
    specs=[dg.AssetCheckSpec(name, asset=verdict.key, blocking=True, description=says) for name, says in GATES.values()],
)
def gates(verdict: VerdictReference, stores: StoresResource) -> Iterator[dg.AssetCheckResult]:
    """One result a gate: an error where it blocks, a warning on too little to judge by; one that judged nothing says so."""
    from skin_platform.defs.registry.judging import read_judgement

    for found in read_judgement(verdict.version, stores.open(), verdict.verdict_sha256).verdicts:
        severity = dg.AssetCheckSeverity.ERROR if found["blocks"] else dg.AssetCheckSeverity.WARN
        idle = found["status"] == NOT_JUDGED
        yield dg.AssetCheckResult(
            check_name=GATES[found["gate"]][0], asset_key=["registry", "verdict"], passed=idle or found["status"] == "passed",
            severity=severity, description=f"{NOT_JUDGED}: {found['reason']}" if idle else found["reason"],
            metadata={"version": verdict.version, "status": found["status"],
                      "figures": dg.MetadataValue.json(found["figures"])})

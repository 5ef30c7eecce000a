"""The gate for subgroups: nobody's images may become worse because the average became better.

Here: the finding, by name of the subgroup. Not here: the table (``core.subgroups``), what blocks (``core.gates``).

Several comparisons are made at once, one or (with a champion) two a subgroup: each at the level divided by their number
(Bonferroni), so that a sound model is refused by chance no more often than the level says.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict

from skin_platform.core.evidence import Evidence
from skin_platform.core.findings import NOT_JUDGED, Finding, joined
from skin_platform.core.gate_rules import SubgroupRules
from skin_platform.core.paired import paired_difference
from skin_platform.core.subgroups import Subgroup, standings, subgroup_table, values_of


def subgroups_finding(evidence: Evidence, champion: Evidence | None, rules: SubgroupRules, level: float) -> Finding:
    """Failed where a subgroup is credibly worse than with the champion, or than its mix of labels explains.

    Too few where none could be judged; where some could not, they are named, and under the policy ``refuse`` it is too few.
    Not judged where there are no two subgroups to compare.
    """
    tested = sum(standing == "judged" for by in rules.by for standing in standings(evidence, by, rules.fewest).values())
    corrected = level / max(1, tested if champion is None else 2 * tested)
    table = subgroup_table(evidence, rules.by, rules.fewest, 1 - 2 * corrected)
    judged = [item for item in table if item.standing == "judged"]
    few = [item for item in table if item.standing == "too few to judge"]
    faults = {item.name: _faults(evidence, champion, item, rules, corrected) for item in judged}
    failed = [f"{item.name} (n = {item.n}): {' and '.join(faults[item.name])}" for item in judged if faults[item.name]]
    figures = {"level": corrected, "subgroups": [
        asdict(item) | {"verdict": "failed" if faults.get(item.name) else "passed" if item in judged
                        else "too few" if item in few else NOT_JUDGED} for item in table]}
    too_few = f"too few to judge: {_listed(few)} (fewest: {rules.fewest})" if few else ""
    if failed:
        return Finding("failed", joined([*failed, too_few]), figures)
    if few and (not judged or rules.when_too_few == "refuse"):
        refuses = ", which gates.subgroups.when_too_few refuses" if judged else ""
        return Finding("too few", joined([f"{too_few}{refuses}", _told(judged) if judged else ""]), figures)
    if judged and champion is None and all(item.gap is None for item in judged):
        nothing = "no label of a subgroup occurs outside it: nothing can be compared"
        return Finding(NOT_JUDGED, joined([nothing, too_few]), figures)
    if not judged:
        return Finding(NOT_JUDGED, _nothing_to_compare(table, rules.by), figures)
    return Finding("passed", joined([_told(judged), too_few]), figures)


def _told(judged: Sequence[Subgroup]) -> str:
    """What was judged where nothing failed."""
    told = f"none of {len(judged)} subgroups is credibly worse"
    worst = min(judged, key=lambda item: item.gap if item.gap is not None else math.inf)
    if worst.expected is None:
        return f"{told} than with the champion; no label of a subgroup occurs outside it: they cannot be compared with others"
    return (f"{told}; the worst against its mix of labels is {worst.name}: accuracy {_compared(worst)}, expected "
            f"{worst.expected:.3f}, n = {worst.n}")


def _compared(item: Subgroup) -> str:
    """The accuracy that is held against the expected one, and on fewer images than all that it is so."""
    without = f" without {item.left_out} image(s) whose label no other image has" if item.left_out else ""
    return f"{item.comparable_accuracy or 0:.3f}{without}"


def _nothing_to_compare(table: Sequence[Subgroup], by: Sequence[str]) -> str:
    """Why there are no two subgroups, which needs two values of an attribute."""
    if not by:
        return "no attribute is configured by which images are parted into subgroups (gates.subgroups.by in dataset.yaml)"
    single = {item.attribute: item.value for item in table if item.standing != "not given"}
    silent = [name for name in by if name not in single]
    alike = [f"{name} is {value} wherever it is given" for name, value in single.items()]
    return "there are no subgroups to compare: " + joined([f"no image says its {', '.join(silent)}" if silent else "", *alike])


def _faults(
    evidence: Evidence, champion: Evidence | None, item: Subgroup, rules: SubgroupRules, level: float
) -> list[str]:
    found = []
    if champion is not None:
        paired = paired_difference(evidence, champion, "accuracy", level,
                                   within=values_of(evidence, item.attribute) == item.value)
        if paired.difference < -rules.margin and paired.upper < 0:
            found.append(f"accuracy {paired.candidate:.3f} against the champion's {paired.champion:.3f} there, worse by more "
                         f"than {rules.margin:g} and with {1 - level:.1%} confidence by at least {-paired.upper:.3f}")
    if item.gap is not None and item.gap_interval is not None and item.gap < -rules.gap and item.gap_interval.high < 0:
        found.append(f"accuracy {_compared(item)} where its mix of labels lets {item.expected or 0:.3f} expect, worse by "
                     f"more than {rules.gap:g} and with {1 - level:.1%} confidence by at least {-item.gap_interval.high:.3f}")
    return found


def _listed(few: Sequence[Subgroup]) -> str:
    return ", ".join(f"{item.name} (n = {item.n})" for item in few)

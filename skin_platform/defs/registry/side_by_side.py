"""Side by side: two versions on the same images, score by score, for a person who has to choose.

Here: the table. Not here: the images and answers (``comparing``), the statistics (``core.paired``).
"""

from dataclasses import asdict, dataclass
from typing import Any

from skin_platform.core.evidence import Evidence
from skin_platform.core.intervals import Interval, with_interval
from skin_platform.core.paired import Metric, PairedDifference, paired_difference
from skin_platform.core.report import Report, report_on
from skin_platform.defs.registry.comparing import rivalry
from skin_platform.defs.registry.registering import evidence_of
from skin_platform.storage.stores import Stores

PAIRED: tuple[tuple[str, Metric], ...] = (
    ("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"), ("macro F1", "macro_f1"))


@dataclass(frozen=True)
class Line:
    """One score of both with its 95 % interval, as text, and the paired difference where there is one.

    ``n`` images are what it is computed on: a recall on those of its label, everything else on all.
    """

    score: str
    n: int
    first: str
    second: str
    difference: PairedDifference | None


@dataclass(frozen=True)
class SideBySide:
    """Two versions on ``n`` images; ``left_out`` of the split were learnt from by one of them and do not count."""

    first: str
    second: str
    n: int
    left_out: int
    lines: tuple[Line, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def side_by_side(first: str, second: str, stores: Stores, by: str) -> SideBySide:
    """``first`` against ``second`` on the split that counted for the newer one.

    Raises ``KeyError`` for an unknown version, ``ValueError`` where one has learnt from every image of it.
    """
    newer, older = max(first, second), min(first, second)
    rows = evidence_of(newer, stores)
    match = rivalry(newer, rows, older, stores, by)
    if match.rival is None:
        raise ValueError(f"{older} has learnt from every image that {newer} was scored on: there is nothing to compare them by")
    answers = {newer: rows.only(match.fair), older: match.rival}
    ours, theirs = answers[first], answers[second]
    return SideBySide(first, second, ours.n, match.left_out, _lines(ours, theirs))


def _lines(ours: Evidence, theirs: Evidence) -> tuple[Line, ...]:
    mine, other = report_on(ours), report_on(theirs)
    lines = [Line(name, ours.n, _told(mine, metric), _told(other, metric), paired_difference(ours, theirs, metric))
             for name, metric in PAIRED]
    for label, n in mine.support.items():
        if n:
            lines.append(Line(f"recall {label}", n, _told_of(mine, "recall", label), _told_of(other, "recall", label),
                              paired_difference(ours, theirs, "recall", label=label)))
            lines.append(Line(f"AUC {label}", ours.n, _told_of(mine, "auc", label), _told_of(other, "auc", label), None))
    for name, field in (("Brier score", "brier"), ("calibration error", "ece_scaled")):
        lines.append(Line(name, ours.n, _told(mine, field), _told(other, field), None))
    return tuple(lines)


def _told(report: Report, field: str) -> str:
    return with_interval(getattr(report, field), getattr(report, f"{field}_interval"))


def _told_of(report: Report, field: str, label: str) -> str:
    value: float | None = getattr(report, field).get(label)
    interval: Interval | None = getattr(report, f"{field}_interval").get(label)
    return "unknown" if value is None else with_interval(value, interval)

"""Gate rules: what a hospital demands of a model before it may answer. Written in ``dataset.yaml``, section ``gates``.

Here: the demands as plain values, with the defaults. Not here: reading them (``dataset_config``), judging by them
(``core.gates``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
WhenTooFew = Literal["pass", "refuse"]  # what a verdict "too few" does


@dataclass(frozen=True)
class ChampionRules:
    """The candidate's ``metric`` may be worse than the champion's by less than ``margin``; errors happen at ``level``."""

    metric: Metric = "balanced_accuracy"
    margin: float = 0.05
    level: float = 0.05


@dataclass(frozen=True)
class LabelRules:
    """Whether a label is malignant, and the recall that it needs at least (None: none is demanded)."""

    malignant: bool = False
    recall_floor: float | None = None


@dataclass(frozen=True)
class MalignantRules:
    """Malignant labels with ``fewest`` images are judged; none may be missed more often than by the champion by ``margin``."""

    fewest: int = 20
    margin: float = 0.02
    when_too_few: WhenTooFew = "refuse"


@dataclass(frozen=True)
class SubgroupRules:
    """Values of the attributes ``by`` with ``fewest`` images are judged.

    ``margin`` is how much worse than the champion one may be, ``gap`` how much worse than the other images.
    """

    by: tuple[str, ...] = ("sex", "age_band", "skin_type", "site", "source")
    fewest: int = 20
    margin: float = 0.05
    gap: float = 0.15
    when_too_few: WhenTooFew = "pass"


@dataclass(frozen=True)
class CalibrationRules:
    """The calibration error above chance is at most ``ceiling``, judged on ``fewest`` images or more."""

    ceiling: float = 0.1
    fewest: int = 50
    when_too_few: WhenTooFew = "pass"


@dataclass(frozen=True)
class CoverageRules:
    """Sets hold the truth as often as ``coverage`` (``by_label``: for each label), judged on ``fewest`` images or more."""

    fewest: int = 50
    when_too_few: WhenTooFew = "pass"
    coverage: float = 0.9
    by_label: bool = False


@dataclass(frozen=True)
class GateRules:
    """All demands; ``labels`` are those that something is demanded of."""

    floor: float
    champion: ChampionRules = ChampionRules()
    labels: Mapping[str, LabelRules] = field(default_factory=dict)
    malignant: MalignantRules = MalignantRules()
    subgroups: SubgroupRules = SubgroupRules()
    calibration: CalibrationRules = CalibrationRules()
    coverage: CoverageRules = CoverageRules()

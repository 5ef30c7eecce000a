"""The sections ``gates`` and ``conformal`` of ``dataset.yaml``: what a model must show before it may answer.

Here: their entries and bounds. Not here: the rest of the file (``dataset_config``), judging (``core.gates``).
"""

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from skin_platform.core.gate_rules import (
    CalibrationRules,
    ChampionRules,
    CoverageRules,
    GateRules,
    LabelRules,
    MalignantRules,
    Metric,
    SubgroupRules,
    WhenTooFew,
)
from skin_platform.core.layout import composed

Attribute = Literal["sex", "age_band", "skin_type", "site", "source"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChampionConfig(_Entry):
    """How much worse than the champion a candidate may be, in which score, and how often chance may mislead."""

    metric: Metric = ChampionRules.metric
    margin: float = Field(default=ChampionRules.margin, ge=0, lt=1)
    level: float = Field(default=ChampionRules.level, gt=0, lt=0.5)


class LabelConfig(_Entry):
    """What is demanded of a label."""

    malignant: bool = False
    recall_floor: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _a_floor_is_for_malignant_labels(self) -> "LabelConfig":
        if self.recall_floor is not None and not self.malignant:
            raise ValueError("recall_floor holds for a malignant label: add `malignant: true`, or take recall_floor out")
        return self


class MalignantConfig(_Entry):
    """When malignant labels are judged, and against what."""

    fewest: int = Field(default=MalignantRules.fewest, ge=1)
    margin: float = Field(default=MalignantRules.margin, ge=0, lt=1)
    when_too_few: WhenTooFew = MalignantRules.when_too_few


class SubgroupsConfig(_Entry):
    """Which subgroups are judged, and against what."""

    by: list[Attribute] = ["sex", "age_band", "skin_type", "site", "source"]
    fewest: int = Field(default=SubgroupRules.fewest, ge=1)
    margin: float = Field(default=SubgroupRules.margin, ge=0, lt=1)
    gap: float = Field(default=SubgroupRules.gap, ge=0, lt=1)
    when_too_few: WhenTooFew = SubgroupRules.when_too_few

    @field_validator("by")
    @classmethod
    def _each_once(cls, by: list[str]) -> list[str]:
        if len(set(by)) < len(by):
            raise ValueError(f"an attribute is named twice: {', '.join(by)}")
        return by


class CalibrationConfig(_Entry):
    """How far confidence may be from being right."""

    ceiling: float = Field(default=CalibrationRules.ceiling, ge=0, le=1)
    fewest: int = Field(default=CalibrationRules.fewest, ge=1)
    when_too_few: WhenTooFew = CalibrationRules.when_too_few


class CoverageConfig(_Entry):
    """On how many images the coverage of the prediction sets is judged."""

    fewest: int = Field(default=CoverageRules.fewest, ge=1)
    when_too_few: WhenTooFew = CoverageRules.when_too_few


class ConformalConfig(_Entry):
    """How often a prediction set must hold the true label, on average or for each label; how large a share of images of the
    same kind may be flagged as of another."""

    coverage: float = Field(default=0.9, gt=0, lt=1)
    by_label: bool = False
    ood_level: float = Field(default=0.01, gt=0, le=0.2)


class GatesConfig(_Entry):
    """All gates; only the floor must be named."""

    floor: float = Field(ge=0, le=1)
    champion: ChampionConfig = ChampionConfig()
    labels: dict[str, LabelConfig] = {}
    malignant: MalignantConfig = MalignantConfig()
    subgroups: SubgroupsConfig = SubgroupsConfig()
    age_bands: list[int] = [30, 50, 70]
    calibration: CalibrationConfig = CalibrationConfig()
    coverage: CoverageConfig = CoverageConfig()

    @field_validator("age_bands")
    @classmethod
    def _bands_ascend(cls, bands: list[int]) -> list[int]:
        if not bands or bands[0] < 1 or any(later <= earlier for earlier, later in pairwise(bands)):
            raise ValueError(f"ages at which a band begins must ascend from 1 or more, as in [30, 50, 70], not {bands}")
        return bands

    def rules(self, conformal: ConformalConfig) -> GateRules:
        """The same demands as ``core`` takes them, with the coverage that is promised."""
        subgroups = self.subgroups.model_dump()
        return GateRules(
            self.floor, ChampionRules(**self.champion.model_dump()),
            {composed(name): LabelRules(**of.model_dump()) for name, of in self.labels.items()},
            MalignantRules(**self.malignant.model_dump()), SubgroupRules(**subgroups | {"by": tuple(subgroups["by"])}),
            CalibrationRules(**self.calibration.model_dump()),
            CoverageRules(**self.coverage.model_dump(), coverage=conformal.coverage, by_label=conformal.by_label))

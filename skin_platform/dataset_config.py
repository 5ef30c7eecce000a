"""The dataset configuration: ``dataset.yaml``, the words of a deployment.

Here: its entries and their rules, reading it with ``${VAR}`` replaced. Not here: the text of a new one (``dataset_template``),
where it lies and what the variables are (``settings``).
"""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from skin_platform.core.gate_rules import GateRules
from skin_platform.core.layout import Vocabulary, composed
from skin_platform.core.split_terms import SplitTerms
from skin_platform.dataset_entries import BackboneConfig, ConsentConfig, SplitConfig
from skin_platform.entry_names import unknown_entry
from skin_platform.gates_config import ConformalConfig, GatesConfig


class SettingsError(ValueError):
    """A setting is missing or malformed; the message names the variable or the file, and the remedy."""


class DatasetConfig(BaseModel):
    """``dataset.yaml``: labels, splits, backbone, source, bucket, database, gates, and what deliveries call our columns."""

    model_config = ConfigDict(extra="forbid")
    labels: list[str] = []
    splits: dict[str, SplitConfig]
    line: str = ""
    seed: int = 0
    backbone: BackboneConfig = BackboneConfig()
    source: str = "landing"
    bucket: str
    metadata_database: Path
    conformal: ConformalConfig = ConformalConfig()
    gates: GatesConfig
    columns: dict[str, list[str]]
    consent: ConsentConfig = ConsentConfig()

    @field_validator("labels")
    @classmethod
    def _labels_are_names(cls, labels: list[str]) -> list[str]:
        if len(set(labels)) < len(labels):
            raise ValueError(f"a label is named twice: {', '.join(labels)}")
        bad = [label for label in labels if "/" in label or not label.strip() or not label.isprintable()]
        if bad:
            raise ValueError(f"{bad[0]!r} cannot name a folder")
        return labels

    @field_validator("line", mode="before")
    @classmethod
    def _line_is_a_word(cls, line: object) -> object:
        return str(line) if isinstance(line, int | float | date) else line  # a bare number or date is a name here

    @model_validator(mode="after")
    def _shares_add_up(self) -> "DatasetConfig":
        total = sum(split.fraction for split in self.splits.values())
        if len(self.splits) < 2 or abs(total - 1) > 1e-6:
            raise ValueError(f"splits: at least two are needed and their fractions must add up to 1, not {total:g}")
        if self.metadata_database.stem in {"metadata", "main"}:
            raise ValueError("metadata_database: DuckDB cannot hold a schema named like its file; use skin.duckdb")
        return self

    @model_validator(mode="before")
    @classmethod
    def _gates_are_there(cls, given: object) -> object:
        if isinstance(given, dict) and "gates" not in given:
            raise ValueError("`gates` is missing, which says what a model must reach before it may answer: at least add "
                             "`gates: {floor: ${PERFORMANCE_THRESHOLD}}`; `skin home` writes a file with all of them")
        if isinstance(given, dict) and "conformal_coverage" in given:
            raise ValueError("`conformal_coverage: 0.9` is now written `conformal: {coverage: 0.9}`")
        return given

    @model_validator(mode="after")
    def _gates_are_for_labels_that_there_are(self) -> "DatasetConfig":
        known = {composed(label) for label in self.labels}
        unknown = [label for label in self.gates.labels if known and composed(label) not in known]
        if unknown:
            raise ValueError(f"gates.labels: {', '.join(unknown)} is none of the labels ({', '.join(self.labels)})")
        return self

    @model_validator(mode="after")
    def _only_the_last_split_is_locked(self) -> "DatasetConfig":
        names = list(self.splits)
        for name in [name for name in names if self.splits[name].locked]:
            if name in names[:2]:
                raise ValueError(f"splits: '{name}' cannot be locked: the first split is learnt from, the second is chosen by; "
                                 "lock a third one")
            if name != names[-1]:
                raise ValueError(f"splits: '{name}' is locked and must come last (most held out); only one can be locked")
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The same words as ``core`` takes them."""
        aliases = {alias.lower(): name for name, split in self.splits.items() for alias in (name, *split.also_called)}
        return Vocabulary(tuple(composed(label) for label in self.labels), aliases, self.columns)

    @property
    def gate_rules(self) -> GateRules:
        """What a model must show before it may answer, as ``core`` takes it."""
        return self.gates.rules(self.conformal)

    @property
    def fractions(self) -> dict[str, float]:
        """The share of each split, from least to most held out."""
        return {name: split.fraction for name, split in self.splits.items()}

    @property
    def terms(self) -> SplitTerms:
        """What a version is split by, as ``core`` takes it."""
        return SplitTerms(self.fractions, self.seed, self.locked_split, self.line)

    @property
    def train_split(self) -> str:
        """The split that is learnt from: the first."""
        return next(iter(self.splits))

    @property
    def validation_split(self) -> str:
        """The split that a checkpoint is chosen and calibrated by: the second."""
        return list(self.splits)[1]

    @property
    def locked_split(self) -> str | None:
        """The split that is opened for the final score alone, each time on record; None where none is locked."""
        return next((name for name, split in self.splits.items() if split.locked), None)


def read_dataset_config(path: Path, value_of: Callable[[str], str]) -> DatasetConfig:
    """Read ``path``, each ``${VAR}`` replaced by ``value_of(VAR)``; raises ``SettingsError`` that names file and fault."""
    if not path.is_file():
        raise SettingsError(f"{path} does not exist: run `skin home` to write one, or name it with --config")

    def value(match: re.Match[str]) -> str:
        try:
            return value_of(match[1])
        except LookupError as error:
            raise SettingsError(f"{path} uses ${{{match[1]}}}, {error.args[0]}") from None

    lines = (line if line.lstrip().startswith("#") else re.sub(r"\$\{(\w+)\}", value, line)
             for line in path.read_text(encoding="utf-8").split("\n"))
    try:
        return DatasetConfig.model_validate(yaml.safe_load("\n".join(lines)))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {faults(error, model=DatasetConfig)}") from None


def faults(error: ValidationError, name_of: Callable[[str], str] = str, model: type[BaseModel] | None = None) -> str:
    """Pydantic's complaints with the names that people set, and without the values that they set.

    ``model`` is the one that refused, where it forbids entries that it does not know.
    """
    parts = []
    for fault in error.errors(include_url=False, include_input=False):
        is_unknown = model is not None and fault["type"] == "extra_forbidden"
        name = name_of(".".join(str(part) for part in (fault["loc"][:-1] if is_unknown else fault["loc"])))
        message = unknown_entry(model, fault["loc"]) if model and is_unknown else fault["msg"].removeprefix("Value error, ")
        parts.append(f"{name}: {message}" if name else message)
    return "; ".join(parts)

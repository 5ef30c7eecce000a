"""The entries of ``dataset.yaml`` that have entries of their own: splits, backbone, consent.

Here: their fields and rules. Not here: the whole file (``dataset_config``), the gates (``gates_config``).
"""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from skin_platform.core.consent import ConsentWords


class SplitConfig(BaseModel):
    """A split: the share of each label that it gets, the other names that deliveries give it, and whether it is locked."""

    model_config = ConfigDict(extra="forbid")
    fraction: float = Field(ge=0, le=1)
    locked: bool = False
    also_called: list[str] = []


class BackboneConfig(BaseModel):
    """The feature extractor: its name, where its weights are (empty: untrained), and the commit that pins them on a hub."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(default="auto", min_length=1)
    weights: str = ""
    revision: str = ""

    @model_validator(mode="after")
    def _weights_are_pinned(self) -> "BackboneConfig":
        is_commit = re.fullmatch("[0-9a-f]{40}", self.revision)
        if self.weights and not Path(self.weights).expanduser().is_dir() and not is_commit:
            raise ValueError(f"weights '{self.weights}' is no folder here, and weights from a hub need `revision`: the commit "
                             f"that pins them, 40 hex digits (found: '{self.revision}')")
        if self.revision and not self.weights:
            raise ValueError("`revision` pins weights from a hub, and `weights` is empty: name them, or leave both empty")
        return self


class ConsentConfig(BaseModel):
    """What the values of the column ``consent`` mean; a bare yes or no, which YAML takes for a truth value, is a word here."""

    model_config = ConfigDict(extra="forbid")
    refused: list[str] = list(ConsentWords.refused)
    given: list[str] = list(ConsentWords.given)
    renewed: list[str] = list(ConsentWords.renewed)

    @field_validator("refused", "given", "renewed", mode="before")
    @classmethod
    def _words(cls, values: object) -> object:
        words = {True: ["yes", "true"], False: ["no", "false"]}
        parts = [words[value] if isinstance(value, bool) else [str(value).strip().lower()] for value in values] \
            if isinstance(values, list) else values
        return list(dict.fromkeys(word for part in parts for word in part)) if isinstance(parts, list) else parts

    @model_validator(mode="after")
    def _each_word_says_one_thing(self) -> "ConsentConfig":
        words = [*self.refused, *self.given, *self.renewed]
        doubled = sorted({word for word in words if words.count(word) > 1})
        if doubled or "" in words:
            raise ValueError(f"{', '.join(doubled)} stands in two lists" if doubled else "an empty value is no answer")
        return self

    @property
    def words(self) -> ConsentWords:
        """The same words as ``core`` takes them."""
        return ConsentWords(tuple(self.refused), tuple(self.given), tuple(self.renewed))

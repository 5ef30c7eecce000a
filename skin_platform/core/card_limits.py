"""The limits of a model, as its card names them: what was too little looked at, and what nobody looked at.

Here: the sentences, from the evidence. Not here: the rest of the card (``core.model_card``).
"""

from collections.abc import Mapping
from typing import Any

from skin_platform.core.card_tables import subgroup_name
from skin_platform.core.markdown import escaped

Fields = Mapping[str, Any]
ALWAYS = (
    "There is no external test set: the images that it was scored on came with those that it learnt from. In another clinic, "
    "with another camera or other patients, it may do worse.",
    "What its sets of labels promise holds for images that are exchangeable with those it was calibrated on; nobody "
    "has shown that yours are.",
    "The labels are taken as delivered. Where they are wrong, the model has learnt it, and the figures are off.",
)


def limits(evidence: Fields) -> list[str]:
    """The section: the limits that the figures show first, those that always hold after them."""
    evaluation, rules = evidence["evaluation"], (evidence.get("verdict") or {}).get("rules") or {}
    shown = [line for line in (_none_malignant(rules), _few_images(evaluation, rules), _never(evaluation),
                               _few_in_subgroups(evaluation), _not_given(evaluation), _not_locked(evaluation)) if line]
    return ["## Limits", "", *(f"- {line}" for line in (*shown, *ALWAYS))]


def _none_malignant(rules: Fields) -> str:
    demanded = rules.get("labels")
    if demanded is None or any(of.get("malignant") for of in demanded.values()):
        return ""
    return ("Nobody has told the platform which labels are malignant: nothing was demanded of them (gates.labels in "
            "dataset.yaml).")


def _few_images(evaluation: Fields, rules: Fields) -> str:
    fewest = (rules.get("malignant") or {}).get("fewest")
    few = [f"{escaped(label)} ({n})" for label, n in evaluation["support"].items() if fewest and n < fewest]
    return f"Labels that it was scored on with fewer than {fewest} images, too few to rely on: {', '.join(few)}." if few else ""


def _never(evaluation: Fields) -> str:
    answers = [sum(column) for column in zip(*evaluation["confusion"], strict=True)]
    never = [escaped(label) for label, said in zip(evaluation["labels"], answers, strict=True) if not said]
    return f"Labels that it never answered with: {', '.join(never)}." if never else ""


def _few_in_subgroups(evaluation: Fields) -> str:
    few = [f"{subgroup_name(row)} ({row['n']})" for row in evaluation.get("subgroups") or []
           if row["standing"] == "too few to judge"]
    return f"Subgroups with too few images to judge: {', '.join(few)}." if few else ""


def _not_given(evaluation: Fields) -> str:
    silent = [f"{escaped(str(row['attribute']).replace('_', ' '))} ({row['n']})" for row in evaluation.get("subgroups") or []
              if row["standing"] == "not given"]
    return f"Images that do not say to which subgroup they belong: {', '.join(silent)}." if silent else ""


def _not_locked(evaluation: Fields) -> str:
    return "" if evaluation["openings"] else ("It was scored on images that it was calibrated by: its figures, its calibration "
                                              "and its sets flatter.")

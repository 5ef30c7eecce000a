"""The tables of a model card, from the figures of an evaluation.

Here: data, scores, labels, confusion, subgroups, coverage. Not here: the card around them (``core.model_card``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from skin_platform.core.label_mix import left_out_note
from skin_platform.core.markdown import NOT_KNOWN, escaped, figure, signed, table, with_bounds

Fields = Mapping[str, Any]
SCORES = {
    "accuracy": "accuracy (share of right answers)",
    "balanced_accuracy": "balanced accuracy (mean of the labels' shares found)",
    "macro_f1": "macro F score (found and right when said in one, mean of the labels)",
    "brier": "Brier score (squared error of the probabilities; nought is best)",
    "ece": "calibration error before temperature scaling (nought is best)",
    "ece_scaled": "calibration error after it, as served",
}


def data_table(images: Fields) -> list[str]:
    """Images of each label and groups, by split."""
    by_split, by_label, groups = (images.get(name) or {} for name in ("by_split", "by_label", "groups"))
    if not by_split:
        return ["How many images there were is not on record."]
    splits = list(by_split)
    return table(["images of", *map(escaped, splits)], [
        *([escaped(label), *(of.get(split, 0) for split in splits)] for label, of in by_label.items()),
        ["**all labels**", *by_split.values()],
        ["*groups*", *(groups.get(split, NOT_KNOWN) for split in splits)]])


def scores_table(evaluation: Fields) -> list[str]:
    """The scores over all labels, with n and interval."""
    return table(["score", "value (interval)", "images"], [
        [told, with_bounds(evaluation.get(name), evaluation.get(f"{name}_interval")), evaluation["n"]]
        for name, told in SCORES.items()])


def labels_table(evaluation: Fields) -> list[str]:
    """What was found and what was right when said, by label, with counts and intervals."""
    return table(["label", "images", "found", "of images", "right when said", "of answers", "AUC"], [
        _of_label(evaluation, place, label) for place, label in enumerate(evaluation["labels"])])


def _of_label(evaluation: Fields, place: int, label: str) -> list[Any]:
    def of(name: str) -> str:
        return with_bounds((evaluation.get(name) or {}).get(label), (evaluation.get(f"{name}_interval") or {}).get(label))

    hits = evaluation["confusion"][place][place]
    asked, said = evaluation["support"][label], sum(row[place] for row in evaluation["confusion"])
    return [escaped(label), asked, of("recall"), f"{hits} of {asked}" if asked else NOT_KNOWN, of("precision"),
            f"{hits} of {said}" if said else NOT_KNOWN, of("auc")]


def confusion_table(evaluation: Fields) -> list[str]:
    """Counts of truth by answer."""
    labels = [escaped(label) for label in evaluation["labels"]]
    rows = zip(labels, evaluation["confusion"], strict=True)
    return table(["truth \\ answer", *labels], [[f"**{label}**", *counts] for label, counts in rows])


def subgroups_table(rows: Sequence[Fields]) -> list[str]:
    """Each subgroup with n, accuracy, what was to be expected, coverage, and whether it can be judged."""
    return table(["subgroup", "images", "groups", "accuracy", "expected", "difference", "sets hold the truth", "standing"],
                 [_of_subgroup(row) for row in rows])


def _of_subgroup(row: Fields) -> list[Any]:
    told = str(row["standing"])
    compared = {} if told == "nothing to compare with" else row  # hardly an image is left that could let anything expect
    gap = compared.get("gap")
    note = left_out_note(row["n"], compared.get("left_out") or 0, compared.get("comparable_accuracy"))
    return [subgroup_name(row), row["n"], row["groups"],
            with_bounds(row.get("accuracy"), row.get("accuracy_interval")), figure(compared.get("expected")),
            with_bounds(gap, compared.get("gap_interval"), signed(gap)) + note,
            with_bounds(row.get("coverage"), row.get("coverage_interval")),
            f"**{escaped(told)}**" if told == "too few to judge" else escaped(told)]


def subgroup_name(row: Fields) -> str:
    """``age band: under 30``."""
    return f"{escaped(str(row['attribute']).replace('_', ' '))}: {escaped(row['value'])}"


def coverage_table(found: Fields) -> list[str]:
    """How often the sets held the truth: of all images and by label."""
    parts = {"all images": found["overall"], **{escaped(label): of for label, of in found["labels"].items()}}
    lines = table(["images with the label", "images", "sets hold the truth"], [
        [f"*{name}*" if name == "all images" else name, of["n"], with_bounds(of.get("share"), _bounds(of))]
        for name, of in parts.items()])
    size = found.get("mean_set_size")
    if size is None:
        return lines
    return [*lines, "", f"A set holds {figure(size)} labels on average; in {found['abstained']} of {found['overall']['n']} "
            "images it held none or all of them, which is no answer."]


def _bounds(of: Fields) -> Fields | None:
    return None if of.get("low") is None else of

"""The model card: what a version is, what it scored on whom, and what it is not for, written so that a clinician reads it.

Here: the card as Markdown, from the version's evidence alone (Mitchell et al. 2019, Model Cards for Model Reporting). Not
here: its tables (``core.card_tables``), its detector (``core.card_detection``), what was decided (``core.card_decisions``), its
limits (``core.card_limits``), whether a card says what the evidence says (``core.card_check``), gathering the evidence and
keeping the card (``defs.registry.model_card``).

No sentence of a card holds a number of its own: every number comes from the evidence.
"""

from collections.abc import Mapping
from typing import Any

from skin_platform.core.card_decisions import gates, history, loud, standing
from skin_platform.core.card_detection import detection
from skin_platform.core.card_limits import limits
from skin_platform.core.card_tables import (
    confusion_table,
    coverage_table,
    data_table,
    labels_table,
    scores_table,
    subgroups_table,
)
from skin_platform.core.markdown import code, escaped, moment, percent, table

Fields = Mapping[str, Any]
INTENDED = (
    "To show people who learn or do research how such an image was labelled in the data that this model learnt from, with its "
    "uncertainty, beside their own judgement.")
NOT_INTENDED = (
    "**This is not a medical device.** It is not for diagnosis, triage or treatment, not for deciding that a lesion needs no "
    "examination, and not for images of another kind than those it learnt from. It always answers with one of its own labels, "
    "also where a picture shows none of them.")


def render_card(evidence: Fields) -> str:
    """The card of a version, the same text for the same evidence.

    ``evidence`` holds, as they are stored: ``manifest``, ``evaluation``, ``verdict``, ``origin`` (``EvaluationReference``),
    ``moves`` (of both aliases, to or from this version), ``verdict_sha256``, and ``words`` with a ``floor_note`` where the
    floor was lowered. Only the first two must be there.
    """
    parts = (_head(evidence), _what(evidence), ["## What it is for, and what not", "", INTENDED, "", NOT_INTENDED],
             _data(evidence), _scores(evidence), _by_label(evidence), _subgroups(evidence), _coverage(evidence),
             detection(evidence), gates(evidence), history(evidence), limits(evidence), _chain(evidence))
    return "\n".join(line for part in parts for line in (*part, "")).rstrip("\n") + "\n"


def _head(evidence: Fields) -> list[str]:
    version = evidence["manifest"]["version"]
    return [f"# Model card: {code(version)}", "", *loud(evidence), "**Not a medical device.** A classifier of images of skin "
            f"lesions. Standing: {standing(evidence)}."]


def _what(evidence: Fields) -> list[str]:
    manifest, size = evidence["manifest"], (evidence["manifest"].get("preprocessing") or {}).get("size_px")
    return ["## What it is", "", *table(["what", "value"], [
        ["version", code(manifest["version"])],
        ["registered at", moment(manifest.get("created_at"))],
        ["trained until", moment(_checkpoint(evidence).get("created_at"))],
        ["architecture", f"{escaped(manifest['architecture'])}{f', images of {size} pixels a side' if size else ''}"],
        ["labels", ", ".join(escaped(label) for label in manifest["labels"])],
        ["training", f"epoch {manifest['best_epoch']} of {manifest['total_epochs']} kept, {escaped(manifest['optimizer'])}"],
    ])]


def _data(evidence: Fields) -> list[str]:
    evaluation = evidence["evaluation"]
    opened, split = evaluation["openings"], escaped(evaluation["split"])
    held = (f"The figures below are from the locked split *{split}*, by which nothing was learnt or chosen. Locked images had "
            f"been opened {opened} time(s) when this version was scored, this time included: the more often one looks and "
            "keeps the best, the more a score flatters."
            if opened else
            f"**No split is locked.** The figures below are from *{split}*, by whose images this model was calibrated and may "
            "have been chosen: they flatter.")
    return ["## Data and evaluation", "", f"Dataset {code(evaluation['dataset_digest'])}, frozen. A group is what stays "
            "together in one split, as all images of one patient.", "", *data_table(evaluation.get("images") or {}), "", held]


def _scores(evidence: Fields) -> list[str]:
    evaluation = evidence["evaluation"]
    levels = [of["level"] for name, of in evaluation.items() if name.endswith("_interval") and of and "level" in of]
    told = f"In brackets stands its {percent(levels[0])} interval: " if levels else "In brackets stands its interval: "
    return ["## What it scored", "", f"On {evaluation['n']} images of {evaluation['groups']} groups. {told}where the figure "
            "may well lie for many such images. Whole groups are drawn for it, since images of one patient are alike.", "",
            *scores_table(evaluation)]


def _by_label(evidence: Fields) -> list[str]:
    evaluation = evidence["evaluation"]
    return ["### By label", "", "Found: of the images with this label, the share that the model called so (recall). Right when "
            "said: of the images that it called so, the share that has the label (precision). AUC: how well the label's "
            "probability parts its images from all others; a half is chance.", "", *labels_table(evaluation), "",
            "### Which label is taken for which", "", "A row is the true label, a column the model's answer.", "",
            *confusion_table(evaluation)]


def _subgroups(evidence: Fields) -> list[str]:
    rows = evidence["evaluation"].get("subgroups") or []
    if not rows:
        return ["## Subgroups", "", "No subgroups are configured."]
    fewest = (((evidence.get("verdict") or {}).get("rules") or {}).get("subgroups") or {}).get("fewest")
    told = f" A subgroup of fewer than {fewest} images is too small to judge." if fewest else ""
    return ["## Subgroups", "", "Expected: the accuracy that the other images let expect for this subgroup's own mix of "
            "labels; the difference is the accuracy minus that. Images with a label that no other image has cannot be "
            "compared: they are left out of expected and difference, and where there are any the row says how many, and the "
            f"accuracy of the rest, from which the difference was made.{told}", "", *subgroups_table(rows)]


def _coverage(evidence: Fields) -> list[str]:
    found = evidence["evaluation"].get("coverage") or {}
    if not found:
        return ["## Sets of labels", "", "How often its sets of labels hold the truth was not measured."]
    scope = "for each label" if found["by_label"] else "on average over all images"
    return ["## Sets of labels", "", f"Beside its answer the model gives a set of labels, made to hold the true one in "
            f"{percent(found['configured'])} of cases, {scope}. How often it did:", "", *coverage_table(found), "",
            escaped(found["assumption"])]


def _chain(evidence: Fields) -> list[str]:
    manifest, evaluation, checkpoint = evidence["manifest"], evidence["evaluation"], _checkpoint(evidence)
    digests = {
        "checkpoint, the file": manifest["checksum"], "its weights": checkpoint.get("weights_sha256"),
        "dataset": evaluation["dataset_digest"], "its locked images": (checkpoint.get("dataset") or {}).get("locked_digest"),
        "rows behind the figures (predictions.parquet)": evaluation.get("evidence_sha256"),
        "figures (evaluation.json)": (evidence.get("origin") or {}).get("report_sha256"),
        "verdict (verdict.json)": evidence.get("verdict_sha256"),
        "demands of the gates": (evidence.get("verdict") or {}).get("rules_sha256"),
        "code version": manifest["code_version"], "Dagster run": manifest["dagster_run_id"],
        "MLflow run": checkpoint.get("mlflow_run_id")}
    rows = [[name, code(of)] for name, of in digests.items()]
    return ["## Where every figure comes from", "", "Digests of what this card rests on; `skin trace` follows them from an "
            "answer back to the images.", "", *table(["link", "digest or id"], rows)]


def _checkpoint(evidence: Fields) -> Fields:
    return (evidence.get("origin") or {}).get("checkpoint") or {}

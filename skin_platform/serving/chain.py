"""The chain of a prediction: from its row to the bundle, the version, the evaluation, the dataset and the code.

Here: which bundle it was, and each link held against the next, with what is in the bundle itself. Not here: the links that need
the object store (``lineage``), the route (``serving.tracing``).
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skin_platform.serving.bundle import BENTO_NAME, Bundle
from skin_platform.serving.bundle_files import BundleError, provenance_of, read_bundle
from skin_platform.settings import Settings

ROW = ("prediction_id", "predicted_at", "request_id", "mode", "outcome", "code", "delivered_sha256", "image_sha256",
       "is_image_kept", "label", "probabilities", "abstained", "ood_p_value", "is_ood", "engine")


@dataclass(frozen=True)
class Link:
    """One step of a chain: ``is_verified`` is None where what would show it is not here; ``how`` says what was compared."""

    link: str
    is_verified: bool | None
    how: str


def chain(row: Mapping[str, Any], bundle: Bundle | None) -> dict[str, Any]:
    """The chain of a prediction's ``row`` as JSON, as far as its ``bundle`` knows it (None: that is not here any more)."""
    told: dict[str, Any] = {"prediction": _plain({name: row.get(name) for name in ROW}), "bundle": None, "version": None,
                            "evaluation": None, "dataset": None, "code": None}
    if bundle is None:
        return told | {"links": [asdict(link) for link in links(row, None)]}
    origin, rows = bundle.provenance, list(_rows(bundle))
    found = [of for of in rows if of["sha256"] == row.get("image_sha256")]
    return told | {
        "bundle": {"tag": origin.tag, "serving_code_sha256": origin.serving_code_sha256, "files": dict(origin.files)},
        "version": {"version": origin.model_version, "created_at": origin.created_at, "checkpoint": origin.checkpoint_key,
                    "checkpoint_sha256": origin.checkpoint_sha256, "weights_sha256": origin.weights_sha256},
        "evaluation": {"sha256": origin.report_sha256, "split": origin.evaluated_on, "accuracy": origin.accuracy,
                       "macro_f1": origin.macro_f1, "images": bundle.figures.get("n")},
        "dataset": {"digest": origin.dataset_digest, "images": dict(origin.dataset_images),
                    "this_image": found[0] if found else None},
        "code": {"version": origin.code_version, "dagster_run_id": origin.dagster_run_id,
                 "mlflow_run_id": origin.mlflow_run_id},
        "links": [asdict(link) for link in links(row, bundle)]}


def links(row: Mapping[str, Any], bundle: Bundle | None) -> list[Link]:
    """Each link of the chain that a prediction's row and its bundle can show."""
    if bundle is None:
        why = "the image was refused, no model answered" if row.get("outcome") == "refused" else (
            f"the bundle {row.get('bundle')} is not here any more")
        return [Link("prediction → bundle", None, why)]
    origin = bundle.provenance
    return [
        Link("prediction → bundle", row["bundle"] == origin.tag, f"its tag {origin.tag}; every file in it is the one recorded"),
        Link("bundle → version", row["checkpoint_sha256"] == origin.checkpoint_sha256,
             "SHA-256 of the checkpoint, in the prediction's row and in the bundle"),
        _hashed("version → evaluation", bundle.evaluation, origin.report_sha256, "SHA-256 of evaluation.json"),
        Link("version → dataset", row["dataset_digest"] == origin.dataset_digest,
             "digest of the dataset, in the prediction's row and in the bundle"),
        _hashed("dataset → images", bundle.dataset_manifest.encode(), origin.dataset_digest,
                "SHA-256 of the canonical manifest, a line an image")]


def bundle_of(row: Mapping[str, Any], settings: Settings, answering: Bundle | None = None) -> Bundle | None:
    """The bundle that gave a prediction: the one ``answering`` now, that of its bento, or one that is exported; None where none
    of them is here, or whole."""
    if answering is not None and _is_of(row, asdict(answering.provenance)):
        return answering
    for folder in _folders(str(row.get("model_version")), settings):
        with suppress(OSError, ValueError, KeyError, BundleError):
            if _is_of(row, provenance_of(folder)):
                return read_bundle(folder)
    return None


def _folders(version: str, settings: Settings) -> Iterator[Path]:
    home = settings.home
    yield from (home.bentoml / "bentos" / BENTO_NAME / version / "src" / "bundle", home.export, home.challenger)
    yield from sorted(home.export.parent.glob(f"*{version}-*"))
    if settings.skin_bundle is not None:
        yield settings.skin_bundle


def _is_of(row: Mapping[str, Any], provenance: Mapping[str, Any]) -> bool:
    """By the checkpoint, too: another home may have given the same name in the same second."""
    return (row.get("model_version"), row.get("checkpoint_sha256")) == (
        provenance.get("model_version"), provenance.get("checkpoint_sha256"))


def _rows(bundle: Bundle) -> Iterator[dict[str, str]]:
    names = ("sha256", "label", "group_id", "split")
    for line in bundle.dataset_manifest.split("\n")[:-1]:
        yield dict(zip(names, line.split("\t"), strict=True))


def _hashed(link: str, data: bytes, expected: str, how: str) -> Link:
    if not data:
        return Link(link, None, f"{how}: not in this bundle")
    return Link(link, hashlib.sha256(data).hexdigest() == expected, how)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}

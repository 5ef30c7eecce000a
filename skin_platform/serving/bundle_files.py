"""The files of a bundle: the folder inside a bento that holds all that serving needs.

    model.onnx  class_index.json  signature.json  preprocessing.json  calibration.json  golden.json  golden/<sha256>
    manifest.tsv.gz  the dataset's canonical text, whose SHA-256 is the digest, so that the service itself can tell its lineage
    model_card.md, evaluation.json, ood.npz  where the version has a card, figures, a detector
    precisions.json  the verdicts on lower precisions of it, where there are any
    bundle.json    where it comes from, and the SHA-256 of every other file

Here: reading and writing them. Not here: what they mean (``serving.bundle``), where the folder lies (``serving.packing``,
``serving.exporting``).
"""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from skin_platform.core.calibration import Calibration
from skin_platform.core.ood import OutOfDistribution
from skin_platform.core.precisions import PrecisionVerdict
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.serving.bundle import Bundle, GoldenImage, Provenance, dumped

CARD = "model_card.md"
OOD, EVALUATION, MANIFEST = "ood.npz", "evaluation.json", "manifest.tsv.gz"
PRECISIONS = "precisions.json"
RECORD = "bundle.json"


class BundleError(RuntimeError):
    """The folder is no usable bundle; the message says what is missing or damaged."""


def write_bundle(bundle: Bundle, folder: Path) -> str:
    """Write the bundle into the empty ``folder``; returns the SHA-256 of ``bundle.json``, which pins every other file."""
    files = {
        "model.onnx": bundle.model,
        "class_index.json": dumped({str(i): label for i, label in enumerate(bundle.labels)}),
        "signature.json": dumped(bundle.signature),
        "preprocessing.json": dumped(bundle.preprocessing.as_dict()),
        "calibration.json": dumped(asdict(bundle.calibration)),
        "golden.json": dumped([{"sha256": g.sha256, "probabilities": list(g.probabilities)} for g in bundle.golden]),
        **_given({CARD: bundle.model_card.encode(), OOD: bundle.ood.as_npz() if bundle.ood else b"",
                  EVALUATION: bundle.evaluation, MANIFEST: bundle.manifest,
                  PRECISIONS: dumped([asdict(verdict) for verdict in bundle.precisions]) if bundle.precisions else b""}),
        **{f"golden/{image.sha256}": image.data for image in bundle.golden}}
    pinned = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = dumped(asdict(replace(bundle.provenance, files=pinned)))
    (folder / "golden").mkdir(parents=True)
    for name, data in (files | {RECORD: record}).items():
        (folder / name).write_bytes(data)
    return hashlib.sha256(record).hexdigest()


def read_bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``; raises ``BundleError`` where a file is missing or not the one that ``bundle.json`` records."""
    provenance, files = _pinned(folder)
    try:
        index = json.loads(files["class_index.json"])
        golden = tuple(GoldenImage(entry["sha256"], files[f"golden/{entry['sha256']}"], tuple(entry["probabilities"]))
                       for entry in json.loads(files["golden.json"]))
        return Bundle(files["model.onnx"], tuple(index[str(i)] for i in range(len(index))),
                      Preprocessing.from_dict(json.loads(files["preprocessing.json"])),
                      Calibration(**json.loads(files["calibration.json"])), provenance, golden, files.get(CARD, b"").decode(),
                      OutOfDistribution.from_npz(files[OOD]) if OOD in files else None, files.get(EVALUATION, b""),
                      files.get(MANIFEST, b""),
                      tuple(PrecisionVerdict(**entry) for entry in json.loads(files.get(PRECISIONS, b"[]"))))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{_shown(folder)} is no bundle of this release: {error}") from error


def _pinned(folder: Path) -> tuple[Provenance, dict[str, bytes]]:
    """``bundle.json`` and every file that it records, as recorded. Callers are told: no path of this machine in an error."""
    shown = _shown(folder)
    try:
        provenance = Provenance(**provenance_of(folder))
        files = {name: (folder / name).read_bytes() for name in provenance.files}
    except OSError as error:
        name = os.path.relpath(error.filename or folder / RECORD, folder)
        raise BundleError(f"{shown}/{name} " + ("is missing" if isinstance(error, FileNotFoundError) else
                                                f"cannot be read ({error.strerror})")) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{shown}/{RECORD} is damaged, or of another release: {error}") from error
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != provenance.files[name]:
            raise BundleError(f"{shown}/{name} is damaged: it is not the file that {RECORD} records")
    return provenance, files


def _shown(folder: Path) -> str:
    return "/".join(folder.parts[-2:])


def bundle_digest(folder: Path) -> str:
    """The SHA-256 of ``bundle.json``; raises ``OSError`` where there is none."""
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()


def provenance_of(folder: Path) -> dict[str, Any]:
    """``bundle.json`` alone, for those who only trace; raises ``OSError`` or ``ValueError`` where it cannot be read."""
    found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return found


def _given(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if data}

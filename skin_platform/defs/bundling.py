"""Bundling: from a model version in the object store to its bento here, and from the champion to the export.

Here: what the assets of the room ``bundles`` and the commands call. Not here: the files of a bundle and of a bento
(``serving``), who becomes champion (``defs.registry``).
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress

from pydantic import TypeAdapter, ValidationError

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import BundleReference, EvaluationReference
from skin_platform.serving.bento_store import PackingError, bento_folder, building
from skin_platform.serving.bundle import BENTO_NAME, CARD, Bundle, BundleError, GoldenImage, Provenance, bundle_digest
from skin_platform.serving.exporting import Promotion, exporting, replace_export
from skin_platform.storage.moves import Move
from skin_platform.storage.stores import Stores

GOLDEN_IMAGES = 8  # answered at every start, about 5 ms each


class BundleFault(RuntimeError):  # noqa: N818  it is the version that is at fault
    """A version gets no bento; the message says why: what it was made of is not there, or its model answers otherwise."""


def ensure_bundle(version: str, stores: Stores) -> BundleReference:
    """The bento of a version: the one that is here, or one built of what the object store has.

    Built where there is none yet, or one that is damaged, of another checkpoint, calibration or model card, or of other serving
    code. Several processes may ask at once: one builds. Raises ``BundleFault``, ``PackingError`` where BentoML fails,
    ``KeyError`` for an unknown version, ``StorageError``.
    """
    from skin_platform.serving.packing import pack

    origin, card = origin_of(version, stores), _card_of(version, stores)
    home, tag = stores.settings.home.bentoml, f"{BENTO_NAME}:{version}"
    sha256 = _packed(tag, origin, card, stores)
    if sha256 is None:
        with building(home) as folder:
            sha256 = _packed(tag, origin, card, stores) or pack(_bundle(version, origin, card, stores), home, folder)[1]
    return BundleReference(tag, sha256, version, origin)


def export_champion(stores: Stores) -> str | None:
    """Bring the export in step with the champion that the log of moves names now; returns its version (None: there is none).

    What a promotion that was killed has left undone is done here. Raises what ``ensure_bundle`` does; the export is then what
    it was before.
    """
    home = stores.settings.home
    while True:
        move = stores.moves.current("champion")
        tag = ensure_bundle(move.version, stores).tag if move else ""
        with exporting(home.export):
            if stores.moves.current("champion") != move:
                continue
            if move is None:
                home.export.unlink(missing_ok=True)
                return None
            replace_export(bento_folder(tag, home.bentoml) / "src" / "bundle", home.export, _promotion(move, stores))
            return move.version


def origin_of(version: str, stores: Stores) -> EvaluationReference:
    """What a version was made of; raises ``KeyError`` for an unknown one, ``BundleFault`` where that cannot be read."""
    try:
        return TypeAdapter(EvaluationReference).validate_json(stores.versions.read_file(version, "origin.json"))
    except ValidationError as error:
        raise BundleFault(f"origin.json of model version {version} is not of this release: {error}") from None


def provenance_of_version(version: str, origin: EvaluationReference, stores: Stores) -> Provenance:
    """Where the bundle of a version comes from, but for the files and the code that are packed."""
    checkpoint = origin.checkpoint
    return Provenance(
        model_version=version, created_at=stores.versions.read_manifest(version)["created_at"], checkpoint_key=checkpoint.key,
        checkpoint_sha256=checkpoint.sha256, weights_sha256=checkpoint.weights_sha256,
        dataset_digest=checkpoint.dataset.digest, dataset_images=dict(checkpoint.dataset.images),
        code_version=checkpoint.code_version, dagster_run_id=checkpoint.dagster_run_id,
        mlflow_run_id=checkpoint.mlflow_run_id, accuracy=origin.accuracy, macro_f1=origin.macro_f1)


def _packed(tag: str, origin: EvaluationReference, card: str, stores: Stores) -> str | None:
    """The digest of the bundle in the bento of ``tag``, None where a bento must be built."""
    from skin_platform.serving.packing import packed_bundle

    home = stores.settings.home.bentoml
    with suppress(PackingError, BundleError, OSError):
        bundle = packed_bundle(tag, home)
        found = (bundle.provenance.checkpoint_sha256, bundle.calibration, bundle.model_card)
        if found == (origin.checkpoint.sha256, origin.calibration, card):
            return bundle_digest(bento_folder(tag, home) / "src" / "bundle")
    return None


def _bundle(version: str, origin: EvaluationReference, card: str, stores: Stores) -> Bundle:
    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.export import to_onnx
    from skin_platform.ml.predictor import Predictor
    from skin_platform.serving.engine import Engine

    data = stores.versions.download_model(version)
    if hashlib.sha256(data).hexdigest() != origin.checkpoint.sha256:
        raise BundleFault(f"origin.json of model version {version} is of another checkpoint than its model.ckpt: materialize "
                          "registry/model_version anew")
    checkpoint = load_checkpoint(data)
    golden = list(itertools.islice(_golden_images(origin.checkpoint.dataset.digest, stores), GOLDEN_IMAGES))
    answers = Predictor(checkpoint).probabilities([image for _, image in golden], origin.calibration.temperature)
    bundle = Bundle(
        to_onnx(checkpoint), checkpoint.labels, checkpoint.preprocessing, origin.calibration,
        provenance_of_version(version, origin, stores),
        tuple(GoldenImage(sha256, image, tuple(float(p) for p in row))
              for (sha256, image), row in zip(golden, answers, strict=True)), card)
    fault = Engine(bundle).golden_fault()
    if fault:
        raise BundleFault(f"the exported model of version {version} does not answer as its checkpoint did: {fault}. It gets no "
                          "bento; train anew")
    return bundle


def _golden_images(digest: str, stores: Stores) -> Iterator[tuple[str, bytes]]:
    """Images of the validation split with their SHA-256: the first of each label, then the second…; those that are there."""
    split = stores.settings.dataset.validation_split
    for row in _label_by_label(row for row in stores.datasets.read(digest) if row.split == split):
        with suppress(KeyError):  # the object is gone, so that another image speaks for its label
            yield row.sha256, stores.cache.image(row.sha256, row.s3_uri)


def _label_by_label(rows: Iterable[DatasetRow]) -> list[DatasetRow]:
    ordered = sorted(rows, key=lambda row: (row.label, row.sha256))
    ranked = [(rank, label, row) for label, found in itertools.groupby(ordered, key=lambda row: row.label)
              for rank, row in enumerate(found)]
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])]


def _card_of(version: str, stores: Stores) -> str:
    """The model card; empty where it was not written yet."""
    try:
        return stores.versions.read_file(version, CARD).decode()
    except KeyError:
        return ""


def _promotion(move: Move, stores: Stores) -> Promotion:
    """What the service tells of a move, with the floor of the verdict that it rests on."""
    floor = None
    with suppress(KeyError):
        verdict = stores.versions.read_file(move.version, "verdict.json")
        if hashlib.sha256(verdict).hexdigest() == move.verdict_sha256:
            floor = float(json.loads(verdict)["rules"]["floor"])
    return Promotion(move.version, move.kind, move.by, move.why, move.at, move.number, floor)

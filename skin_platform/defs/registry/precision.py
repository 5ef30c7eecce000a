"""Precision: the verdict on a version that is computed less exactly, by the same gates on the same images as the version.

Here: asking the exported model in that precision about the split that counted, and judging what it answers. Not here: the
gates (``core.gates``), the version's own verdict (``judging``), what the service makes of this one (``core.precisions``).

What a lower precision may lose is asked of the version's own f32 answers, which are its rival; where another version is the
champion, that is one, too, and of two verdicts the worse one counts.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import cross_scaled
from skin_platform.core.conformal import sets_of
from skin_platform.core.evidence import Evidence
from skin_platform.core.gates import Verdict
from skin_platform.core.precisions import PrecisionVerdict
from skin_platform.core.references import EvaluationReference
from skin_platform.defs.bundling import BundleFault, ensure_bundle, export_challenger, export_champion
from skin_platform.defs.checkpoints.scoring import open_locked
from skin_platform.defs.exported_model import withdrawn
from skin_platform.defs.precisions import keep_precision, lower_precisions
from skin_platform.defs.registry.comparing import Rivalry, rivalry
from skin_platform.defs.registry.judging import SEVERITY, rules_digest, verdicts_on
from skin_platform.defs.registry.registering import evidence_of, origin_of
from skin_platform.serving.bento_store import bento_folder
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.runtimes import RuntimeUnavailableError
from skin_platform.storage.stores import Stores


@dataclass(frozen=True)
class _Answers:
    """Logits (n, C) in one precision, and which images are flagged as of another kind (n,), None without a detector."""

    logits: NDArray[np.float32]
    flags: NDArray[np.bool_] | None


def judge_precision(version: str, engine: str, precision: str, stores: Stores, by: str) -> PrecisionVerdict:
    """Judge a version in a lower precision; the verdict is kept with the version, and with its bundle and export from now on.

    Opens the locked split, on record. Images that were withdrawn since the version was evaluated are left out. Raises
    ``KeyError`` for an unknown version, ``RuntimeUnavailableError`` where this machine cannot compute so, ``BundleFault``,
    ``ValueError`` where no image is left, ``StorageError``.
    """
    if (engine, precision) not in lower_precisions():
        known = " or ".join(" ".join(pair) for pair in lower_precisions())
        raise RuntimeUnavailableError(f"a verdict on {engine} {precision} is none on a lower precision, which are: {known}")
    origin, own, bundle = origin_of(version, stores), evidence_of(version, stores), _bundle_of(version, stores)
    asked, exact = Engine(bundle, engine, precision), Engine(bundle, engine)
    fault = exact.golden_fault()
    if fault:
        raise BundleFault(f"model version {version} cannot be judged in {precision}: {fault}")
    gone = withdrawn(stores)
    wanted = own.only(np.array([sha256 not in gone for sha256 in own.sha256]))
    low, high = _answers(wanted, origin, (asked, exact), stores, by)
    evidence = _evidence(wanted, low.logits, bundle, is_held_out=origin.split != stores.settings.dataset.validation_split)
    champion = stores.moves.current("champion")
    rival = champion.version if champion and champion.version != version else None
    images = [image.data for image in bundle.golden]
    golden = asked.probabilities(images)
    temperature = bundle.calibration.temperature
    worst = max(_apart(softmax(low.logits, temperature), softmax(high.logits, temperature)),
                _apart(golden, exact.probabilities(images)))
    verdict = PrecisionVerdict(
        version, bundle.subject_sha256, engine, precision, origin.split, origin.checkpoint.dataset.locked_digest, wanted.n,
        own.n - wanted.n, float((low.logits.argmax(1) == high.logits.argmax(1)).mean()), worst,
        None if low.flags is None or high.flags is None else float((low.flags != high.flags).mean()),
        [asdict(gate) for gate in _gates(evidence, wanted, version, rival, stores, by)],
        rules_digest(stores.settings.dataset.gate_rules), rival,
        {image.sha256: row.tolist() for image, row in zip(bundle.golden, golden, strict=True)}, asked.place,
        datetime.now(UTC).isoformat(), by)
    keep_precision(verdict, stores)
    ensure_bundle(version, stores)
    export_champion(stores)
    export_challenger(stores)
    return verdict


def _bundle_of(version: str, stores: Stores) -> Bundle:
    tag = ensure_bundle(version, stores).tag
    return read_bundle(bento_folder(tag, stores.settings.home.bentoml) / "src" / "bundle")


def _answers(
    wanted: Evidence, origin: EvaluationReference, engines: tuple[Engine, Engine], stores: Stores, by: str
) -> list[_Answers]:
    """What either engine gives for the images of ``wanted``, each of which is fetched and decoded once."""
    dataset, bundle = origin.checkpoint.dataset, engines[0].bundle
    if dataset.locked_digest:
        open_locked(dataset, origin.checkpoint.sha256, stores, by, f"verdict on {engines[0].name} of {wanted.n} images")
    uris = {row.sha256: row.s3_uri for row in stores.datasets.read(dataset.digest)}
    outputs = [[engine.outputs(pixels) for engine in engines] for pixels in _passes(wanted, uris, engines[0], stores)]
    found = []
    for of in zip(*outputs, strict=True):
        logits, features = (np.concatenate([output[name] for output in of]) for name in ("logits", "features"))
        flags = np.array([answer.flagged for answer in bundle.ood.judge(features)]) if bundle.ood else None
        found.append(_Answers(logits, flags))
    return found


def _passes(wanted: Evidence, uris: dict[str, str], engine: Engine, stores: Stores) -> Iterator[NDArray[np.uint8]]:
    """The preprocessed pixels, as many images at once as the engine takes at best."""
    waiting: list[NDArray[np.uint8]] = []
    for data in stores.cache.fetch((sha256, uris[sha256]) for sha256 in wanted.sha256):
        waiting.append(engine.bundle.preprocessing.pixels(data))
        if len(waiting) == engine.batch:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def _evidence(wanted: Evidence, logits: NDArray[np.float32], bundle: Bundle, *, is_held_out: bool) -> Evidence:
    """The rows of ``wanted`` with the answers that the version's own evaluation would make of these logits (n, C)."""
    scaled = softmax(logits, bundle.calibration.temperature) if is_held_out else cross_scaled(logits, wanted.truth)
    return replace(wanted, probabilities=scaled, raw=softmax(logits), sets=sets_of(scaled, bundle.calibration.thresholds))


def _gates(evidence: Evidence, own: Evidence, version: str, rival: str | None, stores: Stores, by: str) -> Iterator[Verdict]:
    """What each gate says, against the version's own answers and against the version ``rival``, where there is one."""
    origin = origin_of(version, stores)
    itself = Rivalry(np.ones(own.n, dtype=bool), own)
    against_itself = [_in_words_of_f32(verdict) for verdict in verdicts_on(evidence, itself, origin, stores)]
    if rival is None:
        yield from against_itself
        return
    match = rivalry(version, evidence, rival, stores, by)
    for ours, theirs in zip(against_itself, verdicts_on(evidence, match, origin, stores), strict=True):
        yield max((ours, theirs), key=lambda verdict: (verdict.blocks, SEVERITY.index(verdict.status)))


def _in_words_of_f32(verdict: Verdict) -> Verdict:
    """The rival is no champion here, and is not to be called one."""
    return replace(verdict, reason=verdict.reason.replace("the champion's", "f32's").replace("the champion", "f32"))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).max(initial=0.0))

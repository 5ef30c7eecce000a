"""Judging: the verdict on a version, from its rows, the champion's answers on them, and the gates of ``dataset.yaml``.

Here: gathering what the gates need, keeping their verdicts. Not here: the gates (``core.gates``), what follows from a verdict
(``promoting``).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from skin_platform.core.evidence import Evidence
from skin_platform.core.gate_rules import GateRules
from skin_platform.core.gates import GATES, Verdict, judge
from skin_platform.core.references import EvaluationReference
from skin_platform.defs.registry.comparing import Rivalry, rivalry
from skin_platform.defs.registry.registering import evidence_of, origin_of
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import Move
from skin_platform.storage.stores import Stores

PAIRED = ("champion", "malignant recall", "subgroups")  # gates that hold a candidate against the champion
OF_CALIBRATION = ("calibration", "coverage")  # gates that only images can judge which did not calibrate
SEVERITY = ("not judged", "passed", "too few", "failed")


@dataclass(frozen=True)
class Judgement:
    """The verdict on a version, as it is kept: ``record`` is ``verdict.json``, ``sha256`` its digest."""

    record: dict[str, Any]
    sha256: str

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """What each gate says, in order."""
        found: list[dict[str, Any]] = self.record["verdicts"]
        return found

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The verdicts that stand against a promotion."""
        return [verdict for verdict in self.verdicts if verdict["blocks"]]


def judge_version(version: str, stores: Stores, by: str) -> Judgement:
    """Judge a version against the present champion by the present gates, and keep the verdict beside it.

    The champion itself is judged without a rival, and keeps the verdict that it was promoted on. Raises ``KeyError`` for an
    unknown version, ``StorageError`` where its evidence is damaged.
    """
    origin, evidence = origin_of(version, stores), evidence_of(version, stores)
    rules, champion = stores.settings.dataset.gate_rules, stores.moves.current("champion")
    reigns = champion is not None and champion.version == version
    match = rivalry(version, evidence, champion.version, stores, by) if champion and not reigns else None
    verdicts = verdicts_on(evidence, match, origin, stores)
    if reigns:
        verdicts = tuple(replace(verdict, reason="it is the champion itself") if verdict.gate == "champion" else verdict
                         for verdict in verdicts)
    record = {
        "version": version, **_subject(origin), "rules": asdict(rules), "rules_sha256": rules_digest(rules),
        "champion": {"version": champion.version, "number": champion.number} if champion else None,
        "compared": {"n": int(match.fair.sum()), "left_out": match.left_out} if match else None,
        "verdicts": [asdict(verdict) for verdict in verdicts], "judged_at": datetime.now(UTC).isoformat(), "judged_by": by}
    data = json.dumps(record, indent=1, ensure_ascii=False).encode()
    if reigns and _has_verdict(version, stores):
        return Judgement(json.loads(data), hashlib.sha256(data).hexdigest())
    return Judgement(json.loads(data), stores.versions.write_file(version, "verdict.json", data))


def verdicts_on(evidence: Evidence, match: Rivalry | None, origin: EvaluationReference, stores: Stores) -> tuple[Verdict, ...]:
    """What the present gates say of ``evidence``, on the split that ``origin`` names, against the rival of ``match``."""
    rules = stores.settings.dataset.gate_rules
    verdicts = _verdicts(evidence, match, rules)
    if origin.split == stores.settings.dataset.validation_split:
        return tuple(_not_held_out(verdict, origin, rules) for verdict in verdicts)
    return verdicts


def read_judgement(version: str, stores: Stores, sha256: str = "") -> Judgement:
    """The verdict that is kept of a version (that of ``sha256`` where one is named); raises ``KeyError`` where none is."""
    data = stores.versions.read_file(version, "verdict.json", sha256)
    return Judgement(json.loads(data), hashlib.sha256(data).hexdigest())


def _has_verdict(version: str, stores: Stores) -> bool:
    try:
        read_judgement(version, stores)
    except (KeyError, StorageError):
        return False
    return True


def faults_of(judgement: Judgement, version: str, champion: Move | None, stores: Stores) -> list[str]:
    """Why a verdict says nothing of this version now: of other weights, another dataset, other gates, another champion."""
    record, origin = judgement.record, origin_of(version, stores)
    manifest = stores.versions.read_manifest(version)
    faults = [f"the verdict is of another {name.replace('_', ' ')}" for name, value in _subject(origin).items()
              if record.get(name) != value]
    if record.get("version") != version or manifest["checksum"] != origin.checkpoint.sha256:
        faults.append(f"the verdict is of {record.get('version')}, whose weights are not those of {version}")
    if manifest["dataset_digest"] != origin.checkpoint.dataset.digest:
        faults.append("its evidence is from another dataset than the one that it learnt from")
    if record.get("rules_sha256") != rules_digest(stores.settings.dataset.gate_rules):
        faults.append("the gates of dataset.yaml are others now")
    now = {"version": champion.version, "number": champion.number} if champion else None
    if record.get("champion") != now:
        before, after = (found["version"] if found else "none" for found in (record.get("champion"), now))
        faults.append(f"it was held against the champion {before}, and the champion has moved since, "
                      f"{'and back' if before == after else f'to {after}'}")
    if [verdict.get("gate") for verdict in record.get("verdicts", [])] != list(GATES):
        faults.append(f"it does not hold a verdict of each gate ({', '.join(GATES)})")
    return faults


def rules_digest(rules: GateRules) -> str:
    """SHA-256 (hex) of what the gates demand."""
    return hashlib.sha256(json.dumps(asdict(rules), sort_keys=True).encode()).hexdigest()


def _subject(origin: EvaluationReference) -> dict[str, str]:
    """What a verdict is about."""
    dataset = origin.checkpoint.dataset
    return {"checkpoint_sha256": origin.checkpoint.sha256, "dataset_digest": dataset.digest,
            "locked_digest": dataset.locked_digest, "evidence_sha256": origin.evidence_sha256}


def _verdicts(evidence: Evidence, match: Rivalry | None, rules: GateRules) -> tuple[Verdict, ...]:
    """Each gate on all images; those that compare, on the fair ones besides, and the worse of the two counts."""
    if match is None or (match.rival is not None and not match.left_out):
        return judge(evidence, match.rival if match else None, rules)
    alone = judge(evidence, None, rules)
    if match.rival is None:
        reason = "the champion has learnt from every image of the split that counts: nothing shows that this one is not worse"
        return tuple(Verdict("champion", "failed", True, reason, {"left_out": match.left_out})
                     if verdict.gate == "champion" else verdict for verdict in alone)
    paired = judge(evidence.only(match.fair), match.rival, rules)
    return tuple(_worse(*both, match.left_out) if both[0].gate in PAIRED else both[0]
                 for both in zip(alone, paired, strict=True))


def _worse(alone: Verdict, paired: Verdict, left_out: int) -> Verdict:
    """The verdict that says more against the candidate; of equal ones the one that compares."""
    if SEVERITY.index(alone.status) > SEVERITY.index(paired.status):
        return alone
    note = f"{paired.reason}; {left_out} images that the champion learnt from, or their group, are left out"
    return Verdict(paired.gate, paired.status, paired.blocks, note, {**paired.figures, "left_out": left_out})


def _not_held_out(verdict: Verdict, origin: EvaluationReference, rules: GateRules) -> Verdict:
    """Images that calibrated cannot judge the calibration: without a locked split those gates say so."""
    if verdict.gate not in OF_CALIBRATION:
        return verdict
    policy = rules.calibration.when_too_few if verdict.gate == "calibration" else rules.coverage.when_too_few
    reason = f"the images of '{origin.split}' calibrated this model and cannot judge it: lock a third split in dataset.yaml"
    return Verdict(verdict.gate, "too few", policy == "refuse", reason, {"n": 0})

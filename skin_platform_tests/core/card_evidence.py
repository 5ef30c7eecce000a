"""Evidence as a version has it in store, made by the rules themselves from drawn answers."""

import json
from dataclasses import asdict

import numpy as np

from skin_platform.core.calibration import Calibration
from skin_platform.core.evidence import Evidence
from skin_platform.core.gate_rules import GateRules, LabelRules
from skin_platform.core.gates import judge
from skin_platform.core.ood import ASSUMPTION
from skin_platform.core.report import report_on
from skin_platform.core.subgroups import subgroup_table
from skin_platform.defs.checkpoints.figures import coverage_of

VERSION, CHAMPION = "v20260501_120000", "v20260430_120000"
LABELS = ("rot | *fett*", "blau_é <b>", "grade 2\n# title", "zart `x` [l](http://a.b)")


def drawn(labels=LABELS, n=160, seed=0):
    """Answers of a model that is often right, a third of the images with sex and a few with a rare site."""
    rng = np.random.default_rng(seed)
    classes = len(labels)
    truth = rng.choice(classes, n, p=[0.5, 0.3, 0.17, 0.03][:classes] if classes == 4 else None)
    scores = rng.normal(size=(n, classes)) + 1.6 * np.eye(classes)[truth]
    raw = np.exp(2 * scores) / np.exp(2 * scores).sum(1, keepdims=True)
    scaled = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    attributes = {"sex": tuple(rng.choice(["F", "M", ""], n)), "age_band": tuple(rng.choice(["under 30", "70 and over"], n)),
                  "skin_type": tuple(rng.choice(["1", "2", "3"], n, p=[0.05, 0.5, 0.45])),
                  "site": tuple(["ohr|links"] * 3 + ["arm"] * (n - 3)), "source": ("klinik ä",) * n}
    return Evidence(tuple(f"{i:064x}" for i in range(n)), tuple(f"p{i // 3}" for i in range(n)), tuple(labels),
                    truth.astype(np.int64), scaled, raw, scaled >= 0.1, attributes)


def stored(rows=None, moves=(), floor=0.8, **changed):
    """All that a card is made of; ``changed`` replaces whole entries."""
    rows = rows or drawn()
    labels = rows.labels
    rules = GateRules(floor, labels={labels[0]: LabelRules(malignant=True, recall_floor=0.6)})
    calibration = Calibration(1.31, (0.9,) * len(labels), 0.9, False, 90, (90, *(0,) * (len(labels) - 1)))
    evaluation = report_on(rows).as_dict() | {
        "split": "test", "openings": 3, "validation": report_on(rows).as_dict(), "calibration": asdict(calibration),
        "checkpoint_sha256": "c" * 64, "dataset_digest": "d4" * 32, "evidence_sha256": "e5" * 32,
        "subgroups": [asdict(item) for item in subgroup_table(rows, rules.subgroups.by, rules.subgroups.fewest)],
        "coverage": coverage_of(rows, 0.9, by_label=False),
        "ood": {"level": 0.01, "level_in_force": 1 / 91, "calibration_images": 90, "fewest": 19, "assumption": ASSUMPTION,
                "flagged": {"n": rows.n, "images": 3, "share": 3 / rows.n, "low": 0.0064, "high": 0.0538, "level": 0.95}},
        "images": {"by_split": {"train": 700, "val": 151, "test": rows.n},
                   "by_label": {label: {"train": 170 + i, "test": int((rows.truth == i).sum())}
                                for i, label in enumerate(labels)},
                   "groups": {"train": 233, "val": 51, "test": 54}}}
    verdict = {
        "version": VERSION, "checkpoint_sha256": "c" * 64, "dataset_digest": "d4" * 32, "evidence_sha256": "e5" * 32,
        "rules": asdict(rules), "rules_sha256": "a1" * 32, "champion": {"version": CHAMPION, "number": 4},
        "compared": {"n": rows.n, "left_out": 0}, "verdicts": [asdict(item) for item in judge(rows, None, rules)],
        "judged_at": "2026-05-01T12:01:07.345678+00:00", "judged_by": "a-run"}
    manifest = {
        "version": VERSION, "created_at": "2026-05-01T12:00:00+00:00", "architecture": "resnet18", "num_classes": len(labels),
        "best_epoch": 7, "total_epochs": 9, "optimizer": "AdamW", "labels": list(labels), "checksum": "c" * 64,
        "preprocessing": {"size_px": 112}, "dataset_digest": "d4" * 32, "code_version": "0.1.0+ab12cd3",
        "dagster_run_id": "5b0b6b6e-3c5f-4f0e-9a53-0f4b7f0a1c55"}
    origin = {"report_sha256": "f6" * 32, "checkpoint": {
        "weights_sha256": "b7" * 32, "mlflow_run_id": "0123456789abcdef0123456789abcdef",
        "created_at": "2026-05-01T11:58:31+00:00", "dataset": {"locked_digest": "98" * 32}}}
    whole = {"manifest": manifest, "evaluation": evaluation, "verdict": verdict, "origin": origin, "moves": list(moves),
             "verdict_sha256": "77" * 32, "words": {}}
    return json.loads(json.dumps(whole | changed))


def move(alias="champion", version=VERSION, number=5, **changed):
    """A move as the log has it."""
    return {"alias": alias, "version": version, "former": CHAMPION if version == VERSION else VERSION, "kind": "promoted",
            "by": "ann", "why": "it is better", "at": f"2026-05-02T08:00:{number:02d}+00:00", "number": number,
            "verdict_sha256": "77" * 32, "rests_on": number - 1} | changed

"""Homes with model versions, made without a walk: a tiny network that learnt from noise, under many names."""

import functools
import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from skin_platform.core.calibration import Calibration
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.intervals import Interval
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.core.references import CheckpointReference, DatasetReference, EvaluationReference
from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.storage.versions import ModelFacts
from skin_platform_tests.ml.examples import pictures, png, tiny
from skin_platform_tests.storage.frozen import freeze_rows

NAMES = ("blau é", "zart")
CALIBRATION = Calibration(1.5, (0.9, 0.9), 0.9, False, 8, (4, 4))
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def new_home(root: Path, **settings: object) -> Stores:
    """A home whose dataset is twelve pictures of noise, without a version."""
    opened = load_settings(skin_home=root, **settings)
    root.mkdir(parents=True, exist_ok=True)
    opened.home.dataset_config.write_text(render_dataset_config(list(NAMES)), encoding="utf-8")
    prepare_home(opened)
    stores = Stores(opened)
    held = pictures(12, 1)
    rows = []
    for number, (pixels, target) in enumerate(zip(held.pixels, held.targets, strict=True)):
        data = png(pixels)
        sha256 = hashlib.sha256(data).hexdigest()
        stores.objects.upload_file(stores.images_bucket, f"images/{sha256}.png", data)
        rows.append(DatasetRow(sha256, NAMES[target], f"g{number}", "val" if number % 3 else "train",
                               f"s3://{stores.images_bucket}/images/{sha256}.png"))
    freeze_rows(stores.datasets, rows)
    return stores


def register(stores: Stores, seconds: int = 0, *, seed: int = 3, card: str = "# Model card\n", model: bytes = b"") -> str:
    """A version that was made ``seconds`` after noon, with its origin and card; its name.

    ``model`` stands for a checkpoint where nobody is going to load it.
    """
    digest = stores.datasets.latest()
    data, history = (model, ()) if model else checkpoint(seed)
    key, sha256 = stores.models.write(f"run-{seed}", "model.ckpt", data)
    trained = CheckpointReference(
        key, sha256, "w" * 64,
        DatasetReference(digest, f"datasets/{digest}/manifest.tsv", "c" * 64, NAMES, {"train": 4, "val": 8}),
        "1+abc", "run-1", "", NOON.isoformat())
    interval = Interval(0.5, 0.9, 0.95)
    origin = EvaluationReference(trained, "report", "r" * 64, "evidence", "e" * 64, "val", 8, 0.75, interval, 0.7, interval,
                                 CALIBRATION)
    facts = ModelFacts("resnet18", 2, 1, 0.8, 0.75, 0.5, 0.6, 1, "AdamW", {"split": "val", "n": 8, "accuracy": 0.75}, digest,
                       "1+abc", f"run-{seconds}", NAMES, {"size_px": 32}, {"temperature": 1.5})
    version = stores.versions.upload_model(data, history, facts, lambda: NOON + timedelta(seconds=seconds))
    stores.versions.write_file(version, "origin.json", json.dumps(asdict(origin)).encode())
    if card:
        stores.versions.write_file(version, "model_card.md", card.encode())
    return version


def promote(stores: Stores, version: str, kind: str = "promoted", *, floor: float | None = None) -> int:
    """Move the champion in the log alone, as a promotion that was killed before anything followed; the move's number."""
    last = stores.moves.current("champion")
    sha256 = "" if floor is None else stores.versions.write_file(
        version, "verdict.json", json.dumps({"rules": {"floor": floor}}).encode())
    return stores.moves.move("champion", version, expected=last.number if last else 0, kind=kind, by="Ärztin",
                             why="as agreed", verdict_sha256=sha256).number


@functools.cache
def checkpoint(seed: int) -> tuple[bytes, tuple[dict[str, float], ...]]:
    """The file of a trained network, and its history."""
    from skin_platform.ml.checkpoints import dump_checkpoint
    from skin_platform.ml.fit import fit

    fitted = fit(pictures(24, seed), pictures(8, seed + 1), 2, tiny(24, epochs=1, seed=seed), Preprocessing(32))
    return dump_checkpoint(fitted, NAMES, Preprocessing(32), {"dataset_digest": "d" * 64}, CALIBRATION), fitted.history

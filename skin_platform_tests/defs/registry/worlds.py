"""A generated world, delivered and frozen by the real rooms; versions whose answers on its locked images a test decides."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from skin_platform.core.calibration import Calibration
from skin_platform.core.conformal import sets_of
from skin_platform.core.evidence import Evidence
from skin_platform.core.references import CheckpointReference, DatasetReference, EvaluationReference
from skin_platform.core.report import report_on
from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.checkpoints.figures import coverage_of, images_of
from skin_platform.defs.registry.judging import judge_version
from skin_platform.defs.registry.registering import register
from skin_platform.defs.resources import default_resources
from skin_platform.defs.walk import instance_in, walk_batches
from skin_platform.settings import load_settings
from skin_platform.storage.evidence import attributes_of, dump_evidence
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World
from skin_platform_tests.defs.bundles.registered import CALIBRATION, NAMES, checkpoint
from skin_platform_tests.defs.registry.versions import told_fit

SPLITS = (("fraction: 0.7, also", "fraction: 0.2, also"), ("val: {fraction: 0.15", "val: {fraction: 0.2"),
          ("test: {fraction: 0.15", "test: {fraction: 0.6"))


def deliver(folder: Path, images: int = 300, floor: float = 0.5, *, seed: int = 3, weak_subgroup: float = 0.0) -> Stores:
    """A home with a frozen dataset of a generated world, six tenths of it locked away."""
    settings = load_settings(skin_home=folder / "home")
    prepare_home(settings)
    text = render_dataset_config(sorted(NAMES), floor=floor)
    for change in SPLITS:
        assert change[0] in text
        text = text.replace(*change)
    settings.home.dataset_config.write_text(text, encoding="utf-8")
    settings = load_settings(skin_home=settings.home.root)
    generate(World(images=images, patients=images // 3, labels=NAMES, seed=seed, size_px=224, weak_subgroup=weak_subgroup),
             folder / "world")
    stores = Stores(settings)
    batches = [batch.batch_id for batch in stores.claim(folder / "world", "clinic", settle_seconds=0)]
    with instance_in(settings.home.dagster) as instance:
        definitions = build_definitions(default_resources(settings))
        walk_batches(definitions, instance, batches, lambda told: None)
        frozen = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["datasets", "version"])])
        assert frozen.success
    return stores


def rewrite(stores: Stores, *changes: tuple[str, str]) -> Stores:
    """The stores with another ``dataset.yaml``."""
    path = stores.settings.dataset_config_path
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return Stores(load_settings(skin_home=stores.settings.home.root))


def locked_rows(stores: Stores) -> dict[str, NDArray[np.str_]]:
    """The attributes of the locked images, in the order of the dataset."""
    rows = [row for row in stores.datasets.read(stores.datasets.latest()) if row.split == "test"]
    table = pa.table({"sha256": [row.sha256 for row in rows], "label": [row.label for row in rows]})
    return {name: np.array(values) for name, values in attributes_of(stores.catalogue, table, [30, 50, 70]).items()}


def answered(
    stores: Stores, number: int, right: Callable[[NDArray[np.float64]], NDArray[np.bool_]], *, by: str = "a test",
    changed: Callable[[Evidence], Evidence] = lambda evidence: evidence, judge: bool = True,
) -> str:
    """A version that answers right where ``right`` (given a random number in 0..1 an image) says so; registered and judged."""
    labels = list(NAMES)
    truth = np.array([labels.index(row.label) for row in stores.datasets.read(stores.datasets.latest()) if row.split == "test"])
    said = np.where(right(np.random.default_rng(7).random(len(truth))), truth, 1 - truth)
    probabilities = np.where(np.arange(2) == said[:, None], 0.85, 0.15)
    return registered(stores, number, (probabilities, probabilities), CALIBRATION, by=by, changed=changed, judge=judge)


def registered(
    stores: Stores, number: int, answers: tuple[NDArray[np.float64], NDArray[np.float64]], calibration: Calibration, *,
    by: str = "a test", changed: Callable[[Evidence], Evidence] = lambda evidence: evidence, judge: bool = True,
) -> str:
    """A version with ``answers`` (N, C), probabilities of the locked images after and before scaling; registered and judged."""
    dataset = TypeAdapter(DatasetReference).validate_python(stores.references.read(["datasets", "version"]))
    rows = [row for row in stores.datasets.read(dataset.digest) if row.split == "test"]
    labels = tuple(dataset.labels)
    truth = np.array([labels.index(row.label) for row in rows])
    table = pa.table({"sha256": [row.sha256 for row in rows], "label": [row.label for row in rows]})
    evidence = changed(Evidence(
        tuple(row.sha256 for row in rows), tuple(row.group_id for row in rows), labels, truth, *answers,
        sets_of(answers[0], calibration.thresholds), attributes_of(stores.catalogue, table, [30, 50, 70])))
    report = report_on(evidence)
    data, _ = checkpoint(3)
    run_key = f"run {number}"
    told_fit(stores, number)
    key, sha256 = stores.models.write(run_key, "model.ckpt", data)
    evidence_file = stores.models.write(run_key, "predictions.parquet", dump_evidence(evidence, ["test"] * report.n))
    figures = report.as_dict() | {
        "split": "test", "openings": 1, "validation": report.as_dict(), "calibration": vars(calibration) | {"number": number},
        "subgroups": [], "coverage": coverage_of(evidence, 0.9, by_label=False), "images": images_of(rows),
        "checkpoint_sha256": sha256, "dataset_digest": dataset.digest, "evidence_sha256": evidence_file[1]}
    report_file = stores.models.write(run_key, "evaluation.json", json.dumps(figures).encode())
    trained = CheckpointReference(
        key, sha256, "w" * 64, dataset, f"{number}+abc", f"run-{number}", "", "2026-05-01T12:00:00+00:00")
    reference = EvaluationReference(trained, *report_file, *evidence_file, "test", report.n, report.accuracy,
                                    report.accuracy_interval, report.macro_f1, report.macro_f1_interval, calibration)
    version = register(reference, stores, by)
    if judge:
        judge_version(version, stores, by)
    return version


def only(evidence: Evidence, keep: NDArray[np.bool_]) -> Evidence:
    """The evidence with an attribute blanked where ``keep`` is false."""
    return replace(evidence, attributes={
        name: tuple(value if kept else "" for value, kept in zip(values, keep, strict=True))
        for name, values in evidence.attributes.items()})

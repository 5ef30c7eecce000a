"""The verdict on a lower precision: a real network, computed once more on its locked images, by the gates of the version."""

import hashlib
import io
import json

import pytest
import torch
from typer.testing import CliRunner

from skin_platform.commands.models import app
from skin_platform.core.datasets import DatasetRow
from skin_platform.core.gates import GATES
from skin_platform.core.references import CheckpointReference, DatasetReference, EvaluationReference
from skin_platform.defs.bundling import export_champion
from skin_platform.defs.checkpoints.figures import figures_of
from skin_platform.defs.checkpoints.scoring import score
from skin_platform.defs.precisions import precisions_of
from skin_platform.defs.registry.precision import judge_precision
from skin_platform.defs.registry.registering import evidence_of, register
from skin_platform.ml.checkpoints import load_checkpoint
from skin_platform.serving.exporting import exported_version
from skin_platform.serving.loading import loaded
from skin_platform.settings import load_settings
from skin_platform.storage.evidence import dump_evidence
from skin_platform_tests.defs.bundles.registered import NAMES, checkpoint, new_home, promote
from skin_platform_tests.ml.examples import pictures, png
from skin_platform_tests.serving.judged import has
from skin_platform_tests.storage.frozen import freeze_rows

pytestmark = pytest.mark.slow
LOWER = {"skin_engine": "openvino", "skin_precision": "bf16"}
SHIFT = 8.0  # to each weight of the head, for every label alike: f32 answers the same, but bf16 has steps of 1/16 there


def rows_in(stores, split, n, seed):
    held, rows = pictures(n, seed), []
    for number, (pixels, target) in enumerate(zip(held.pixels, held.targets, strict=True)):
        data = png(pixels)
        sha256 = hashlib.sha256(data).hexdigest()
        stores.objects.upload_file(stores.images_bucket, f"images/{sha256}.png", data)
        rows.append(DatasetRow(sha256, NAMES[target], f"{split}{number}", split,
                               f"s3://{stores.images_bucket}/images/{sha256}.png"))
    return rows


def remade(data, *, is_frail):
    """The checkpoint, as sure as it is right; a frail one is as right in f32, and has a head that bf16 cannot hold."""
    content = torch.load(io.BytesIO(data), weights_only=True)
    content["record"]["calibration"]["temperature"] = 1.5 if is_frail else 0.1
    if is_frail:
        content["state_dict"]["head.linear.weight"].mul_(0.05).add_(SHIFT)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def evaluated(stores, dataset, name, data):
    """A version of the checkpoint, scored on the locked split as an evaluation scores it; its name."""
    key, sha256 = stores.models.write(name, "model.ckpt", data)
    trained = CheckpointReference(key, sha256, "w" * 64, dataset, "1+abc", name, "", "2026-05-01T12:00:00+00:00")
    scores = score(load_checkpoint(data), trained, stores, "run")
    rows = stores.models.write(name, "predictions.parquet", dump_evidence(scores.evidence, ["test"] * scores.report.n))
    figures = figures_of(scores, trained, stores.datasets.read(dataset.digest), stores.settings.dataset.gate_rules.subgroups,
                         rows[1], {})
    report = stores.models.write(name, "evaluation.json", json.dumps(figures).encode())
    of = scores.report
    return register(EvaluationReference(trained, *report, *rows, "test", of.n, of.accuracy, of.accuracy_interval, of.macro_f1,
                                        of.macro_f1_interval, scores.calibration), stores, "a test")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A home with a sound version, which is the champion, and a frail one."""
    if not has("bf16"):
        pytest.skip("this processor has no bf16")
    stores = new_home(tmp_path_factory.mktemp("precision") / "home")
    rows = [*rows_in(stores, "val", 12, 1), *rows_in(stores, "test", 120, 2)]
    digest = freeze_rows(stores.datasets, rows)
    locked = "\n".join(sorted(row.sha256 for row in rows if row.split == "test"))
    dataset = DatasetReference(digest, f"datasets/{digest}/manifest.tsv", "c" * 64, NAMES, {"val": 12, "test": 120}, "test",
                               hashlib.sha256(locked.encode()).hexdigest())
    data, _ = checkpoint(3)
    sound, weak = (evaluated(stores, dataset, name, remade(data, is_frail=name == "frail")) for name in ("sound", "frail"))
    promote(stores, sound)
    export_champion(stores)
    return stores, sound, weak


def test_what_passes_is_kept_with_the_version_and_served_from_then_on(world):
    stores, sound, _ = world
    settings = load_settings(skin_home=stores.settings.home.root, **LOWER)
    assert "has no verdict on openvino bf16" in loaded(settings.home.export, settings).fault
    opened = len(stores.openings.all())
    done = CliRunner(env={"COLUMNS": "120"}).invoke(
        app, ["judge", sound, "--precision", "bf16", "--json", "--home", str(settings.home.root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told, [kept] = json.loads(done.stdout), precisions_of(sound, stores)
    assert (told["passed"], told["n"], told["agreement"], kept.against) == (True, 120, 1.0, [])
    assert [opening.why for opening in stores.openings.all()[opened:]] == ["verdict on openvino bf16 of 120 images"]
    assert 1e-5 < told["worst"] <= told["tolerance"]
    assert [gate["gate"] for gate in kept.gates] == list(GATES)
    assert "against f32's" in kept.gates[1]["reason"]
    found = loaded(settings.home.export, settings)
    assert (found.version, found.fault, found.engine.bundle.precisions) == (sound, None, (kept,))
    assert exported_version(settings.home.export) == sound
    assert loaded(settings.home.export, load_settings(skin_home=settings.home.root)).fault is None
    listed = CliRunner().invoke(app, ["list", "--json", "--home", str(settings.home.root)], catch_exceptions=False).stdout
    assert {item["version"]: item["precisions"] for item in json.loads(listed)}[sound] == {"openvino bf16": "passed"}


def test_a_network_that_bf16_cannot_hold_fails_the_gates_and_goes_on_in_f32(world):
    stores, _, weak = world
    assert evidence_of(weak, stores).right.mean() > 0.95
    verdict = judge_precision(weak, "openvino", "bf16", stores, "a test")
    assert verdict.agreement < 0.8
    assert {line.partition(":")[0] for line in verdict.against} >= {"floor", "champion"}
    assert verdict.champion == world[1]
    promote(stores, weak)
    export_champion(stores)
    settings = load_settings(skin_home=stores.settings.home.root, **LOWER)
    fault = loaded(settings.home.export, settings).fault
    assert "may not answer in openvino bf16" in fault
    assert "floor: accuracy" in fault
    assert loaded(settings.home.export, load_settings(skin_home=settings.home.root)).fault is None

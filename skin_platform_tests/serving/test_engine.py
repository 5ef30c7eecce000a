"""Promises of the engine: every runtime and every kind of pass answers as the checkpoint was recorded to."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skin_platform.ml.ood import fit_detector
from skin_platform.serving.engine import Engine
from skin_platform.serving.runtimes import RUNTIMES, RuntimeUnavailableError, open_runtime
from skin_platform_tests.serving.tiny_bundles import picture, spoilt, tiny_bundle


@pytest.fixture(params=RUNTIMES)
def engine(request) -> Engine:
    return Engine(tiny_bundle(), request.param, threads=2)


def test_the_golden_images_are_answered_as_recorded(engine):
    assert engine.golden_fault() is None


def test_an_image_gets_the_same_answer_in_every_pass(engine):
    pixels = np.stack([engine.bundle.preprocessing.pixels(picture(seed)) for seed in range(9)])
    together = engine.score(pixels)
    for at, scored in enumerate(together):
        for is_alone in (True, False):
            alone = engine.score(pixels[at:at + 1], is_alone=is_alone)[0]
            assert alone.prediction_set.labels == scored.prediction_set.labels
            assert list(alone.probabilities.values()) == pytest.approx(list(scored.probabilities.values()), abs=1e-6)
        assert sum(scored.probabilities.values()) == pytest.approx(1, abs=1e-9)


def test_encoded_images_are_answered_in_order_however_many(engine):
    images = [picture(seed) for seed in range(engine.batch * 2 + 1)]
    found = engine.probabilities(images)
    assert found.shape == (len(images), len(engine.bundle.labels))
    assert found[-1] == pytest.approx(engine.probabilities(images[-1:])[0], abs=1e-6)
    assert engine.probabilities([]).shape == (0, len(engine.bundle.labels))


def test_runtimes_agree_with_each_other():
    images = [picture(seed) for seed in range(5)]
    first, second = (Engine(tiny_bundle(), name).probabilities(images) for name in RUNTIMES)
    assert np.abs(first - second).max() < 1e-5


def test_a_model_that_answers_otherwise_is_named_with_its_engine():
    fault = Engine(spoilt(tiny_bundle())).golden_fault()
    assert fault is not None
    assert spoilt(tiny_bundle()).golden[0].sha256[:12] in fault
    assert "onnxruntime f32" in fault


def test_no_golden_image_is_a_fault():
    assert "no golden images" in str(Engine(replace(tiny_bundle(), golden=())).golden_fault())


def test_every_image_is_judged_by_its_own_features():
    bundle = tiny_bundle()
    images = np.stack([bundle.preprocessing.pixels(picture(seed)) for seed in range(80)])
    features = open_runtime("onnxruntime", bundle.model, bundle.preprocessing, "f32", 2).run(images, is_alone=True)["features"]
    detector = fit_detector(features[:40], np.arange(40) % 3, [str(number) for number in range(40)], features[40:], 0.1)
    found = [scored.ood for scored in Engine(replace(bundle, ood=detector)).score(images)]
    for mine, expected in zip(found, detector.judge(features), strict=True):
        assert (mine.score, mine.flagged) == (pytest.approx(expected.score, rel=1e-3), expected.flagged)
    assert Engine(bundle).score(images[:1])[0].ood is None


@pytest.mark.parametrize(("runtime", "precision", "remedy"), [
    ("tensorrt", "f32", "SKIN_ENGINE is one of"), ("openvino", "int8", "SKIN_PRECISION is one of"),
    ("onnxruntime", "bf16", "SKIN_ENGINE=openvino")])
def test_what_cannot_be_had_is_refused_with_what_can(runtime, precision, remedy):
    with pytest.raises(RuntimeUnavailableError, match=remedy):
        Engine(tiny_bundle(), runtime, precision)


SWAPPED = """
import gc, os, signal
from skin_platform.serving.engine import Engine
from skin_platform_tests.serving.tiny_bundles import tiny_bundle
came = []
signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
old = Engine(tiny_bundle(), "openvino", threads=1)
new = Engine(tiny_bundle(), "openvino", threads=1)
del old
gc.collect()
del new
gc.collect()
os.kill(os.getpid(), signal.SIGTERM)
print(came)
"""


def test_a_process_whose_openvino_models_were_swapped_still_hears_signals():
    done = subprocess.run([sys.executable, "-c", SWAPPED], capture_output=True, text=True, timeout=120, check=False,
                          cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout) == (0, "[15]\n"), done.stderr


def test_openvino_comes_without_what_reports_its_use():
    code = ("import sys; from skin_platform.serving.runtimes import _openvino; _openvino(); "
            "print([name for name in sys.modules if 'telemetry' in name and 'ov' in name])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Calibration helps where there is something to help, and comes back from JSON as it was."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration, calibrate, cross_scaled, fit_temperature
from skin_platform.core.figures import calibration_error


def test_temperature_scaling_mends_overconfidence():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, 600)
    logits = (rng.normal(size=(600, 3)) + 1.2 * np.eye(3)[targets]).astype(np.float32)
    assert fit_temperature(logits * 5, targets) == pytest.approx(5 * fit_temperature(logits, targets), rel=0.15)
    scaled = cross_scaled(logits * 5, targets)
    assert calibration_error(scaled, targets) < calibration_error(softmax(logits * 5), targets) / 2


@pytest.mark.parametrize("by_label", [False, True])
def test_few_calibration_images_give_every_label(by_label):
    found = calibrate(np.array([[2, 0, 0], [0, 2, 0]], np.float32), np.array([0, 1]), 0.9, by_label=by_label)
    assert found.thresholds == (1.0, 1.0, 1.0)
    assert (found.images, found.images_by_label) == (2, (1, 1, 0))


def test_a_calibration_is_the_same_after_json():
    found = Calibration(1.5, (0.9, 0.8), 0.9, True, 8, (4, 4))
    assert Calibration(**json.loads(json.dumps(asdict(found)))) == found

"""Evaluation: every figure is scikit-learn's, and calibration helps where there is something to help."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, recall_score, roc_auc_score

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import calibrate, cross_scaled, fit_temperature
from skin_platform.ml.evaluation import evaluate


def judged(logits, targets, labels):
    groups = [str(i) for i in range(len(targets))]
    return evaluate(logits, targets.tolist(), list(labels), groups, cross_scaled(logits, targets))


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 300)
    logits = (rng.normal(size=(300, 4)) + 1.5 * np.eye(4)[targets]).astype(np.float32)
    report = judged(logits, targets, "abcd")
    guess = logits.argmax(1)
    assert report.accuracy == pytest.approx((guess == targets).mean(), abs=1e-6)
    assert report.macro_f1 == pytest.approx(f1_score(targets, guess, average="macro"), abs=1e-6)
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, guess), abs=1e-6)
    np.testing.assert_allclose(list(report.recall.values()), recall_score(targets, guess, average=None), atol=1e-6)
    np.testing.assert_array_equal(report.confusion, confusion_matrix(targets, guess))
    expected = roc_auc_score(np.eye(4)[targets], softmax(logits), average=None)
    np.testing.assert_allclose(list(report.auc.values()), expected, atol=1e-5)
    json.dumps(report.as_dict())


def test_a_label_without_held_back_images_is_not_judged():
    report = judged(np.array([[2, 0, 0], [0, 2, 0]], np.float32), np.array([0, 1]), "abc")
    assert report.recall["c"] is None
    assert report.auc["c"] is None
    assert report.macro_f1 == 1.0
    assert report.recall_interval["c"] is None


def test_temperature_scaling_mends_overconfidence():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, 600)
    logits = (rng.normal(size=(600, 3)) + 1.2 * np.eye(3)[targets]).astype(np.float32)
    assert fit_temperature(logits * 5, targets) == pytest.approx(5 * fit_temperature(logits, targets), rel=0.15)
    report = judged(logits * 5, targets, "abc")
    assert report.ece_scaled < report.ece / 2


def test_every_interval_holds_its_score():
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 3, 90)
    report = judged((rng.normal(size=(90, 3)) + np.eye(3)[targets]).astype(np.float32), targets, "abc")
    pairs = [(report.accuracy, report.accuracy_interval), (report.balanced_accuracy, report.balanced_accuracy_interval),
             (report.macro_f1, report.macro_f1_interval), *((report.recall[k], report.recall_interval[k]) for k in "abc")]
    for value, found in pairs:
        assert found.low < value < found.high


def test_few_calibration_images_give_every_label():
    assert calibrate(np.array([[2, 0, 0], [0, 2, 0]], np.float32), np.array([0, 1]), 0.9).thresholds == (1.0, 1.0, 1.0)

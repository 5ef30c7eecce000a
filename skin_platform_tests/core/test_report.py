"""The report: every figure is scikit-learn's or torchmetrics', and every interval holds what it says."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from skin_platform.core.figures import (
    auc_replicates,
    calibration_error_interval,
    chance_calibration_error,
    reliability,
    roc_points,
)
from skin_platform.core.intervals import REPLICATES, drawn
from skin_platform.core.report import report_on
from skin_platform_tests.core.answered import evidence_of, learnt


@pytest.mark.parametrize("seed", range(8))
def test_scores_agree_with_scikit_learn_and_torchmetrics(seed):
    labels = "abcdefg"[:2 + seed % 5]
    given = learnt(61 + 40 * seed, seed, labels=labels, strength=0.5 + 0.3 * (seed % 4), per_group=1 + seed % 3)
    report, truth, said = report_on(given), given.truth, given.predicted
    one_hot = np.eye(len(given.labels))[truth]
    assert report.accuracy == pytest.approx((said == truth).mean())
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, said))
    assert report.macro_f1 == pytest.approx(f1_score(truth, said, average="macro"))
    assert list(report.recall.values()) == pytest.approx(list(recall_score(truth, said, average=None)))
    never = [value is None for value in report.precision.values()]
    expected = precision_score(truth, said, average=None, zero_division=np.nan)
    assert np.isnan(expected).tolist() == never
    assert [value for value in report.precision.values() if value is not None] == pytest.approx(expected[~np.isnan(expected)])
    assert list(report.auc.values()) == pytest.approx(
        [roc_auc_score(one_hot[:, i], given.probabilities[:, i]) for i in range(len(given.labels))])
    assert report.confusion == tuple(map(tuple, confusion_matrix(truth, said).tolist()))
    assert report.brier == pytest.approx(((given.probabilities - one_hot) ** 2).sum() / given.n)
    for value, answers in ((report.ece, given.raw), (report.ece_scaled, given.probabilities)):
        error = multiclass_calibration_error(torch.from_numpy(answers), torch.from_numpy(truth), answers.shape[1], n_bins=15)
        assert value == pytest.approx(float(error), abs=1e-6)
    assert (report.n, report.groups) == (given.n, len(set(given.groups)))
    json.dumps(report.as_dict())


@pytest.mark.parametrize("seed", range(3))
def test_the_area_of_a_drawn_sample_is_scikit_learns_with_weights(seed):
    rng = np.random.default_rng(seed)
    given = learnt(90, seed, per_group=3)
    scores = given.probabilities.round(1 + seed)  # with ties
    found = auc_replicates(given.truth, scores, given.groups, seed=seed)
    weights = np.concatenate(list(drawn(len(set(given.groups)), seed=seed)))
    assert found.shape == (REPLICATES, 3)
    _, member = np.unique(given.groups, return_inverse=True)
    for replicate in rng.integers(0, REPLICATES, 20):
        for label in range(3):
            expected = roc_auc_score(given.truth == label, scores[:, label], sample_weight=weights[replicate][member])
            assert found[replicate, label] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_scikit_learns(seed):
    given = learnt(200, seed)
    scores = given.probabilities[:, 1].round(2)
    false, recall, _ = roc_curve(given.truth == 1, scores, drop_intermediate=False)
    assert np.array(roc_points(given.truth == 1, scores)) == pytest.approx(np.stack([false, recall], axis=1))


def test_a_curve_of_many_images_is_thinned_and_still_ends_at_both_corners():
    given = learnt(5000, 0)
    points = roc_points(given.truth == 0, given.probabilities[:, 0])
    assert len(points) <= 1001
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert roc_points(np.ones(3, bool), np.arange(3.0)) == ()


def test_a_label_without_images_is_not_judged_and_counts_in_no_mean():
    report = report_on(evidence_of([0, 1], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert (report.recall["c"], report.precision["c"], report.auc["c"]) == (None, None, None)
    assert (report.recall_interval["c"], report.precision_interval["c"], report.auc_interval["c"]) == (None, None, None)
    assert (report.macro_f1, report.balanced_accuracy) == (1.0, 1.0)


def test_images_of_one_label_alone_have_no_area():
    report = report_on(evidence_of([1, 1], [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]))
    assert set(report.auc.values()) == {None}


def test_every_interval_holds_its_score_and_the_same_rows_give_the_same_report():
    given = learnt(90, 3, strength=1.0, per_group=2)
    told = report_on(given).as_dict()
    assert told == report_on(given).as_dict()
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "brier", "ece", "ece_scaled"):
        assert told[f"{name}_interval"]["low"] <= told[name] <= told[f"{name}_interval"]["high"]
    for name in ("recall", "precision", "auc"):
        for label in given.labels:
            assert told[f"{name}_interval"][label]["low"] < told[name][label] < told[f"{name}_interval"][label]["high"]


def test_a_perfect_area_on_few_images_is_not_certainty():
    report = report_on(evidence_of([0] * 5 + [1] * 5, [[0.8, 0.1, 0.1]] * 5 + [[0.1, 0.8, 0.1]] * 5))
    assert report.auc["a"] == 1.0
    assert report.auc_interval["a"].low < 0.7


def test_a_calibrated_model_is_not_called_miscalibrated():
    held, beyond = 0, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        answers = rng.dirichlet((2.0, 1.0, 1.0), 150)
        truth = (answers.cumsum(axis=1) < rng.random((150, 1))).sum(axis=1)
        given = evidence_of(truth, answers)
        held += calibration_error_interval(answers, truth, given.groups).low == 0.0
        beyond.append(report_on_calibration(given) - chance_calibration_error(answers))
    assert held >= 90  # its true error is 0
    # on average nothing is left once chance is taken off; the error of one model spreads by some 0.02
    assert abs(np.mean(beyond)) < 0.008


def report_on_calibration(given):
    return sum(part.n * abs(part.confidence - part.accuracy) for part in bins_of(given)) / given.n


def bins_of(given):
    return reliability(given.probabilities, given.truth, given.groups)


def test_the_bins_of_the_picture_are_those_of_the_error():
    given = learnt(300, 5)
    assert report_on_calibration(given) == pytest.approx(report_on(given).ece_scaled)
    assert sum(part.n for part in bins_of(given)) == 300
    for part in bins_of(given):
        assert part.low <= part.confidence <= part.high
        assert part.interval.low <= part.accuracy <= part.interval.high

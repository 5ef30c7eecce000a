"""Conformal sets hold the true label as often as stated: on average, and by label where that is asked for."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from skin_platform.core.answers import prediction_set
from skin_platform.core.conformal import ASSUMPTION, conformal_thresholds, coverage_interval, sets_of
from skin_platform_tests.core.answered import evidence_of, learnt

DRAWS, CALIBRATION, IMAGES, MIX = 500, 300, 40, np.array([0.6, 0.3, 0.1])


def _draw(rng, n):
    """Answers of a model that is good at the frequent label and poor at the rare one."""
    truth = rng.choice(3, n, p=MIX)
    logits = rng.normal(size=(n, 3)) + np.eye(3)[truth] * np.array([3.0, 1.5, 0.5])[truth][:, None]
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True), truth


def _covered(by_label, coverage=0.9):
    """Whether a fresh image's set holds its label, one image of each label (DRAWS, 3) and on average (DRAWS,)."""
    rng = np.random.default_rng(5)
    by, overall = np.zeros((DRAWS, 3), bool), np.zeros(DRAWS, bool)
    for draw in range(DRAWS):
        thresholds = conformal_thresholds(*_draw(rng, CALIBRATION), coverage, by_label=by_label)
        probabilities, truth = _draw(rng, IMAGES * 5)
        held = sets_of(probabilities, thresholds)[np.arange(len(truth)), truth]
        overall[draw] = held[0]
        by[draw] = [held[truth == label][0] for label in range(3)]
    return by, overall


def _within_chance(hits, low, high):
    """Whether ``hits`` of DRAWS is within the 99 % binomial interval of a rate from ``low`` to ``high``."""
    return binom.ppf(0.005, DRAWS, low) <= hits <= binom.ppf(0.995, DRAWS, high)


def test_sets_hold_the_label_as_often_as_stated_on_average():
    by, overall = _covered(by_label=False)
    assert _within_chance(overall.sum(), 0.9, 0.9 + 1 / (CALIBRATION + 1))
    # an average hides the rare label, which is why there is the other way
    assert by[:, 2].mean() < 0.8


def test_sets_hold_each_label_as_often_as_stated_by_label():
    by, _ = _covered(by_label=True)
    for label in range(3):
        fewest = binom.ppf(0.001, CALIBRATION, MIX[label])  # rank statistics: at most 1 / (n + 1) above the coverage
        assert _within_chance(by[:, label].sum(), 0.9, 0.9 + 1 / (fewest + 1)), label


def test_a_label_without_calibration_images_is_in_every_set():
    probabilities = np.array([[0.7, 0.2, 0.1]] * 30)
    truth = np.repeat([0, 1], 15)
    thresholds = conformal_thresholds(probabilities, truth, 0.9, by_label=True)
    assert thresholds == pytest.approx((0.3, 0.8, 1.0))
    assert sets_of(np.array([[0.99, 0.01, 0.0]]), thresholds).tolist() == [[True, False, True]]


def test_the_service_and_the_evidence_have_the_same_sets():
    given = learnt(200, 4)
    thresholds = conformal_thresholds(given.probabilities, given.truth, 0.8, by_label=True)
    held = sets_of(given.probabilities, thresholds)
    by_name = dict(zip(given.labels, thresholds, strict=True))
    for row, kept in zip(given.probabilities, held, strict=True):
        told = prediction_set(dict(zip(given.labels, row.tolist(), strict=True)), by_name)
        assert set(told.labels) == {label for label, inside in zip(given.labels, kept, strict=True) if inside}


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (10, 12), (45, 50), (90, 100), (50, 50)])
def test_the_interval_of_the_coverage_is_near_the_exact_binomial_one(hits, n):
    sets = np.zeros((n, 3), bool)
    sets[:hits, 0] = True
    given = evidence_of(np.zeros(n, int), np.full((n, 3), 1 / 3), sets=sets)
    found = coverage_interval(given)
    exact = (beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0, beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0)
    assert (found.low, found.high) == pytest.approx(exact, abs=0.05)
    assert found.low <= hits / n <= found.high


def test_the_coverage_of_no_image_has_no_interval():
    assert coverage_interval(learnt(5, 0), np.zeros(5, bool)) is None


def test_the_assumption_is_told_with_its_papers():
    assert "exchangeable" in ASSUMPTION
    assert "Vovk" in ASSUMPTION
    assert "Sadinle" in ASSUMPTION

"""Promises of answers: probabilities, the best labels, and prediction sets that keep their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_platform.core.answers import prediction_set, softmax, top_k_predictions
from skin_platform.core.conformal import conformal_threshold

PROBABILITIES = {"a": 0.2, "c": 0.4, "b": 0.4}


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.05, 20))
def test_probabilities_add_up_to_one_and_keep_the_order_of_the_logits(logits, temperature):
    values = np.array(logits, np.float32)
    probabilities = softmax(values, temperature)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (np.take_along_axis(probabilities, values.argmax(axis=1)[:, None], 1)[:, 0] == probabilities.max(axis=1)).all()


def test_a_higher_temperature_is_less_sure():
    logits = np.array([[2.0, 1.0, 0.0]], np.float32)
    assert softmax(logits, 0.5).max() > softmax(logits).max() > softmax(logits, 5.0).max()
    assert np.allclose(softmax(logits)[0], np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum())


def test_equal_labels_are_ordered_by_name():
    assert top_k_predictions(PROBABILITIES, 2) == [("b", 0.4), ("c", 0.4)]


def test_more_labels_than_there_are_gives_all():
    assert [label for label, _ in top_k_predictions(PROBABILITIES, 9)] == ["b", "c", "a"]


@pytest.mark.parametrize("k", [0, -1])
def test_asking_for_no_label_is_refused(k):
    with pytest.raises(ValueError, match="at least 1"):
        top_k_predictions(PROBABILITIES, k)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [20, 99])
def test_sets_hold_the_true_label_as_often_as_stated(coverage, rows):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(600):
        draws = rng.dirichlet((4.0, 2.0, 1.0, 1.0), rows + 10)
        true = np.array([rng.choice(4, p=row) for row in draws])
        of_true = draws[np.arange(len(draws)), true]
        threshold = conformal_threshold(of_true[:rows].tolist(), coverage)
        held += (1.0 - of_true[rows:] <= threshold).tolist()
    # exchangeable rows: at least the coverage and at most 1/(n+1) above it; 0.012 is three deviations of the simulation
    assert coverage - 0.012 <= np.mean(held) <= coverage + 1 / (rows + 1) + 0.012


def test_the_threshold_is_the_rank_that_split_conformal_prediction_names():
    assert conformal_threshold([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 0.9) == pytest.approx(0.9)
    assert conformal_threshold([0.9, 0.8, 0.7], 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize("scores", [[], [0.9], [0.9] * 8])
def test_too_few_rows_for_the_coverage_exclude_no_label(scores):
    assert conformal_threshold(scores, 0.9) == 1.0


def test_a_set_holds_the_labels_within_the_threshold_best_first():
    found = prediction_set(PROBABILITIES, dict.fromkeys("abc", 0.6))
    assert (found.labels, found.abstained, found.reason) == (("b", "c"), False, None)


def test_no_label_within_the_threshold_abstains():
    found = prediction_set(PROBABILITIES, dict.fromkeys("abc", 0.5))
    assert (found.labels, found.abstained) == ((), True)
    assert "no label is probable enough" in found.reason


def test_every_label_within_the_threshold_abstains():
    found = prediction_set(PROBABILITIES, dict.fromkeys("abc", 1.0))
    assert (found.labels, found.abstained) == (("b", "c", "a"), True)
    assert "no label can be excluded" in found.reason


def test_a_single_label_that_holds_is_an_answer():
    assert prediction_set({"a": 1.0}, {"a": 0.0}).abstained is False

"""Paired comparison: the difference is that of the scores, and its bounds hold on few images, too."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from skin_platform.core.evidence import Evidence, widened
from skin_platform.core.paired import paired_difference
from skin_platform_tests.core.answered import answering, evidence_of, learnt

SCORES = {"accuracy": accuracy_score, "balanced_accuracy": balanced_accuracy_score,
          "macro_f1": lambda truth, said: f1_score(truth, said, average="macro")}


def _two(seed, n=150):
    """Two models on the same images."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    return tuple(answering(truth, rng.random(n) < share, groups=np.arange(n) // 3) for share in (0.8, 0.6))


@pytest.mark.parametrize("metric", SCORES)
@pytest.mark.parametrize("seed", range(3))
def test_the_difference_is_that_of_scikit_learns_scores(metric, seed):
    ours, theirs = _two(seed)
    found = paired_difference(ours, theirs, metric)
    values = [SCORES[metric](of.truth, of.predicted) for of in (ours, theirs)]
    assert (found.candidate, found.champion) == pytest.approx(tuple(values))
    assert found.difference == pytest.approx(values[0] - values[1])
    assert found.interval.low < found.lower < found.difference < found.upper < found.interval.high
    assert (found.n, found.groups) == (150, 50)
    assert paired_difference(theirs, ours, metric).difference == -found.difference


def test_the_recall_of_a_label_and_a_part_are_compared_alone():
    ours, theirs = _two(1)
    found = paired_difference(ours, theirs, "recall", label="b")
    expected = [recall_score(of.truth, of.predicted, average=None)[1] for of in (ours, theirs)]
    assert (found.candidate, found.champion) == pytest.approx(tuple(expected))
    assert (found.metric, found.n) == ("recall of b", int((ours.truth == 1).sum()))
    part = np.arange(150) < 60
    assert paired_difference(ours, theirs, "accuracy", within=part).candidate == ours.right[part].mean()


def test_other_images_or_labels_are_not_compared():
    ours, theirs = _two(2)
    with pytest.raises(ValueError, match="same images in the same order"):
        paired_difference(ours, theirs.only(np.arange(150) > 0), "accuracy")
    with pytest.raises(ValueError, match="another true label"):
        paired_difference(ours, learnt(150, 0), "accuracy")
    with pytest.raises(ValueError, match="no image of 'd'"):
        paired_difference(ours, theirs, "recall", label="d")


def test_a_champion_that_does_not_know_a_label_is_wrong_there():
    truth = np.array([0, 1, 2] * 20)
    ours = answering(truth, np.ones(60, bool))
    knows = np.where(truth == 1, 0.1, 0.9)[:, None] * [1, 0] + np.where(truth == 1, 0.9, 0.1)[:, None] * [0, 1]
    theirs = evidence_of(truth, widened(knows, ("a", "b"), ("a", "b", "c")))
    assert paired_difference(ours, theirs, "balanced_accuracy").champion == pytest.approx(2 / 3)


def test_labels_in_another_order_are_the_same_labels():
    ours, theirs = _two(3)
    order = [2, 0, 1]
    turned = Evidence(theirs.sha256, theirs.groups, ("c", "a", "b"), np.argsort(order)[theirs.truth],
                      theirs.probabilities[:, order], theirs.raw[:, order], theirs.sets[:, order])
    for metric in SCORES:
        assert paired_difference(ours, turned, metric) == paired_difference(ours, theirs, metric)


@pytest.mark.parametrize("metric", SCORES)
def test_equal_answers_on_few_images_show_little(metric):
    same = answering(np.arange(30) % 3, np.arange(30) % 5 > 0)
    found = paired_difference(same, same, metric)
    assert found.difference == 0.0
    # 30 images on which two models agree are compatible with a disagreement on one of them
    assert found.lower < -1 / 30
    many = answering(np.arange(3000) % 3, np.arange(3000) % 5 > 0)
    assert paired_difference(many, many, metric).lower > -0.001


def test_one_patient_is_no_evidence_however_many_images():
    truth = np.arange(40) % 3
    ours, theirs = (answering(truth, np.full(40, right), groups=["p"] * 40) for right in (False, True))
    found = paired_difference(ours, theirs, "accuracy")
    assert found.difference == -1.0
    assert found.upper > 0

"""Promises of the catalogue's verdicts: each says what is odd, and nothing is called odd on too few images."""

import numpy as np
import pytest

from skin_platform.core.soundness import correlation_ratio, label_shift, quality_by_label, volume


@pytest.mark.parametrize(("images", "before", "passed"), [
    (100, [100] * 5, True), (11, [100] * 9, True), (9, [100] * 9, False), (1001, [90, 100, 110, 100, 100], False),
    (1, [100] * 4, True), (0, [0] * 6, True), (5000, [], True)])
def test_a_batch_of_unusual_size_is_noticed_once_there_is_a_usual_size(images, before, passed):
    verdict = volume(images, before)
    assert verdict.passed is passed
    assert verdict.is_judged is (len(before) >= 5) is not verdict.reason.startswith("not judged yet: ")


@pytest.mark.parametrize(("new", "before", "passed"), [
    ({"a": 50, "b": 50}, {"a": 500, "b": 500}, True), ({"a": 100}, {"a": 500, "b": 500}, False),
    ({"a": 79, "b": 21}, {"a": 50, "b": 50}, True), ({"a": 81, "b": 19}, {"a": 50, "b": 50}, False),
    ({"c": 60}, {"a": 60}, False), ({"c": 49}, {"a": 6000}, True), ({"c": 60}, {}, True)])
def test_labels_that_come_in_other_shares_are_noticed(new, before, passed):
    assert label_shift(new, before).passed is passed


def test_the_label_that_shifted_most_is_named():
    assert "most in 'b': 100% of this batch, 50% before" in label_shift({"b": 80}, {"a": 50, "b": 50}).reason


def test_the_correlation_ratio_is_the_share_of_variance_between_groups():
    rng = np.random.default_rng(3)
    values, labels = rng.normal(size=600), rng.integers(0, 3, 600)
    values += labels
    groups = [(int((labels == k).sum()), float(values[labels == k].mean()), float(values[labels == k].var())) for k in range(3)]
    means = np.array([groups[k][1] for k in labels])
    assert correlation_ratio(groups) == pytest.approx(means.var() / values.var())
    assert correlation_ratio([]) == correlation_ratio([(5, 0.3, 0.0), (7, 0.3, 0.0)]) == 0.0
    assert correlation_ratio([(5, 0.0, 0.0), (5, 1.0, 0.0)]) == 1.0


def test_quality_that_goes_with_the_label_is_noticed_by_name():
    verdict = quality_by_label({"sharpness": 0.5, "exposure": 0.01}, 200)
    assert not verdict.passed
    assert "sharpness 0.50" in verdict.reason
    assert "exposure" not in verdict.reason
    assert quality_by_label({"sharpness": 0.1}, 200).passed
    assert quality_by_label({"sharpness": 0.9}, 20).passed

"""Promises of the probe and of what is concluded from it, on features whose truth is known."""

import numpy as np
import pytest

from skin_platform.ml.label_errors import doubted
from skin_platform.ml.probe import grouped_folds, out_of_fold, projected
from skin_platform.ml.split_comparison import compare_splits


def world(patients, photos, signal, personal, seed=0):
    """Features (n, 40), labels and groups: ``photos`` a patient; what is ``personal`` is alike in all photos of one."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(rng.permutation(np.arange(patients) % 3), photos)
    person = np.repeat(rng.normal(0, personal, (patients, 40)), photos, axis=0)
    features = rng.normal(0, 1, (len(targets), 40)) + person
    features[np.arange(len(targets)), targets] += signal
    return features.astype(np.float32), targets.astype(np.int64), [f"P{number // photos}" for number in range(len(targets))]


def test_no_group_is_asked_about_by_a_probe_that_learnt_from_it():
    _, targets, groups = world(40, 3, 1, 1)
    folds = grouped_folds(targets, groups, 0)
    assert set(folds) == set(range(5))
    assert all(len({folds[at] for at, group in enumerate(groups) if group == name}) == 1 for name in set(groups))


def test_probabilities_are_the_same_each_time_and_know_labels_that_a_fold_lacks():
    features, targets, groups = world(40, 3, 3, 0)
    targets[:2] = 3  # the one patient of a rare label is in one fold
    targets[2] = 3
    folds = grouped_folds(targets, groups, 0)
    one, two = (out_of_fold(projected(features), targets, 4, folds) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one.sum(1), 1)
    assert (one[:3, 3] == 0).all()


def test_features_that_never_vary_are_no_trouble():
    assert projected(np.ones((6, 4), np.float32)).shape == (6, 1)


def test_a_random_split_flatters_where_photos_of_a_patient_are_alike_and_not_where_they_are_not():
    alike = compare_splits(*world(50, 4, 1, 2))
    assert alike.flatters
    assert alike.difference.interval.low > 0.05
    assert alike.verdict.startswith("a random split flatters")
    for seed in range(3):
        clean = compare_splits(*world(200, 1, 1, 2, seed))
        assert not clean.flatters
        assert "leaks nothing" in clean.verdict


def test_wrong_labels_come_first():
    features, targets, groups = world(60, 4, 6, 0.5)
    wrong = np.random.default_rng(1).permutation(len(targets))[:12]
    targets[wrong] = (targets[wrong] + 1) % 3
    found = doubted(features, targets, groups)
    assert sorted(item.position for item in found) == list(range(len(targets)))
    worst = found[:12]
    assert np.mean([item.position in wrong for item in worst]) >= 0.75
    assert sum(item.is_issue for item in worst) >= 6
    assert found == doubted(features, targets, groups)


def test_too_few_groups_are_told():
    features, targets, _ = world(20, 1, 1, 1)
    for find in (compare_splits, doubted):
        with pytest.raises(ValueError, match="too few"):
            find(features, targets, ["P1"] * 20)

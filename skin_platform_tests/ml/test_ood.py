"""Promises of fitting the detector: what is far is flagged, one odd image does not blind it, no patient can be seen in it."""

import numpy as np

from skin_platform.ml.ood import fit_detector

RNG = np.random.default_rng(7)
MIXING = RNG.normal(size=(12, 300))


def features(n, seed, shift=0.0):
    """Activations as a network has them: a few causes, long tails, none below zero."""
    rng = np.random.default_rng(seed)
    return np.log1p(np.exp(rng.normal(size=(n, 12)) @ MIXING / 3 + rng.normal(0, 0.3, (n, 300)) + shift)).astype(np.float32)


LEARNT, TARGETS = features(200, 1), np.arange(200) % 3
GROUPS = [f"p{i // 2}" for i in range(200)]


def flagged(detector, some):
    return float(np.mean([answer.flagged for answer in detector.judge(some)]))


def test_of_the_same_kind_about_the_level_is_flagged_and_of_other_kinds_all():
    detector = fit_detector(LEARNT, TARGETS, GROUPS, features(300, 2), 0.01)
    assert flagged(detector, features(1000, 3)) < 0.03
    assert flagged(detector, features(50, 4, shift=3.0)) == 1.0
    assert flagged(detector, np.abs(np.random.default_rng(5).normal(size=(50, 300))).astype(np.float32)) == 1.0
    assert flagged(detector, np.zeros((1, 300), np.float32)) == 1.0


def test_one_odd_calibration_image_does_not_blind_it():
    calibration = features(90, 2)
    calibration[0, :5] *= 200  # a few of its numbers are wild
    detector = fit_detector(LEARNT, TARGETS, GROUPS, calibration, 0.01)
    assert flagged(detector, features(50, 4, shift=3.0)) == 1.0


def test_the_same_features_give_the_same_detector():
    calibration = features(50, 2)
    first, second = (fit_detector(LEARNT, TARGETS, GROUPS, calibration, 0.01) for _ in range(2))
    assert first.as_npz() == second.as_npz()


def test_too_few_calibration_images_give_none():
    assert fit_detector(LEARNT, TARGETS, GROUPS, features(18, 2), 0.01) is None
    assert fit_detector(LEARNT[:9], TARGETS[:9], GROUPS[:9], features(50, 2), 0.01) is None


def test_a_label_of_few_patients_has_no_mean_of_its_own():
    targets = TARGETS.copy()
    targets[targets == 2] = 1
    targets[:8] = 2  # eight images of four patients
    detector = fit_detector(LEARNT, targets, GROUPS, features(50, 2), 0.01)
    alone = fit_detector(LEARNT, TARGETS, GROUPS, features(50, 2), 0.01)
    assert len(detector.means) == len(alone.means) == 3  # two labels and one mean of all, three labels
    assert not any(np.allclose(detector.means[2], mean) for mean in detector.means[:2])
    everything = np.concatenate([np.asarray(value).ravel() for value in vars(detector).values()])
    assert len(everything) < LEARNT.size / 1.5, "what is kept is less than the features it was fitted on"


def test_what_rounding_does_to_features_of_few_numbers_counts_nothing():
    few = features(100, 9)[:, :3]
    detector = fit_detector(few[:60], np.arange(60) % 2, GROUPS[:60], few[60:], 0.01)
    moved = detector.scores(few + np.float32(1e-6))
    np.testing.assert_allclose(moved, detector.scores(few), atol=1e-3)


def test_features_that_never_change_break_nothing():
    dead = np.zeros((60, 20), np.float32)
    detector = fit_detector(dead, np.arange(60) % 2, [str(i) for i in range(60)], dead[:30], 0.01)
    assert flagged(detector, dead[:5]) == 0.0
    assert flagged(detector, dead[:5] + 1) == 1.0

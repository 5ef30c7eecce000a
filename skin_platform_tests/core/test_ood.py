"""Promises of the detector: its p-values are ranks, its level is kept, nothing that is no number passes, nothing in it runs."""

from dataclasses import replace

import numpy as np
import pytest

from skin_platform.core.ood import OutOfDistribution, why_there_is_none


def detector(calibration, level=0.01, width=6):
    """Distances from zero in ``width`` numbers, two of them the directions."""
    one = np.ones(width, np.float32)
    return OutOfDistribution(0 * one, one, 0 * one, np.eye(width, 2, dtype=np.float32), np.eye(2, dtype=np.float32),
                             np.zeros((1, 2), np.float32), 1.0, np.sort(np.asarray(calibration, float)), level)


def at_distance(found, *distances):
    """Features whose scores are ``distances``."""
    features = np.zeros((len(distances), len(found.centre)), np.float32)
    features[:, 3] = np.expm1(np.sinh(distances))  # what squashing makes a distance of
    return features


def test_the_p_value_is_the_rank_among_the_calibration_scores():
    found = detector(np.arange(1, 100) / 100)
    answers = found.judge(at_distance(found, 0.005, 0.505, 0.985, 1.5))
    assert [answer.p_value for answer in answers] == pytest.approx([1.0, 0.5, 0.02, 0.01])
    assert [answer.flagged for answer in answers] == [False, False, False, True]
    assert [answer.score for answer in answers] == pytest.approx([0.005, 0.505, 0.985, 1.5], abs=1e-4)


@pytest.mark.parametrize(("images", "level", "in_force"), [
    (99, 0.01, 0.01), (400, 0.01, 0.01), (19, 0.01, 0.05), (90, 0.05, 0.05)])
def test_the_level_is_the_configured_one_or_the_least_that_so_few_images_can_tell(images, level, in_force):
    found = detector(np.linspace(0.1, 1, images), level)
    assert found.level_in_force == pytest.approx(in_force)
    assert found.judge(at_distance(found, 2.0))[0].flagged


def test_of_images_of_the_same_kind_the_level_is_flagged():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30_000, 6)).astype(np.float32)
    found = detector([0.0], 0.05)
    shares = []
    for part in features.reshape(30, 1000, 6):
        calibrated = replace(found, calibration_scores=np.sort(found.scores(part[:200])))
        shares.append(np.mean([answer.flagged for answer in calibrated.judge(part[200:])]))
    assert 0.04 < np.mean(shares) < 0.055


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_flagged_with_a_score_that_is_one(strange):
    found = detector(np.arange(100.0))
    features = at_distance(found, 0.1)
    features[0, 0] = strange
    [answer] = found.judge(features)
    assert answer.flagged
    assert np.isfinite(answer.score)


def test_no_images_are_judged_as_none():
    assert detector([1.0] * 20).judge(np.empty((0, 6), np.float32)) == []


def test_it_is_stored_and_read_as_it_is():
    found = detector(np.arange(50.0), 0.03)
    again = OutOfDistribution.from_npz(found.as_npz())
    assert again.as_npz() == found.as_npz()
    assert again.judge(at_distance(found, 0.2, 4)) == found.judge(at_distance(found, 0.2, 4))


class Payload:
    """An object that would run code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("it ran",))


def test_other_bytes_are_refused_and_none_of_them_is_executed(tmp_path):
    np.savez(tmp_path / "evil.npz", **{name: np.array([Payload()], dtype=object) for name in vars(detector([1.0]))})
    np.savez(tmp_path / "short.npz", centre=np.zeros(3))
    for data in (b"", b"PK\x03\x04", (tmp_path / "evil.npz").read_bytes(), (tmp_path / "short.npz").read_bytes()):
        with pytest.raises(ValueError, match="detector"):
            OutOfDistribution.from_npz(data)


@pytest.mark.parametrize(("found", "told"), [
    (None, "tells of no detector"), ({"calibration_images": 12, "fewest": 19}, "12 images can calibrate that, 19 are needed"),
    ({"calibration_images": 40, "fewest": 19}, "too few images that it learnt from")])
def test_why_a_version_has_no_detector_is_said(found, told):
    assert told in why_there_is_none(found)

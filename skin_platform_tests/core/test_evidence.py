"""Evidence is sound or refused by name, and a part of it is evidence again."""

from dataclasses import fields

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from skin_platform.core.evidence import Evidence, widened
from skin_platform_tests.core.answered import evidence_of, learnt


def _changed(**other):
    given = learnt(4, 0, sex=["f", "m", "", "f"])
    return Evidence(**{field.name: getattr(given, field.name) for field in fields(Evidence)} | other)


@pytest.mark.parametrize(("other", "named"), [
    ({"sha256": ("a", "b", "a", "c")}, "stands in it twice"),
    ({"groups": ("g",)}, "there are 4 images, and groups has 1 values"),
    ({"attributes": {"sex": ("f",)}}, "sex has 1"),
    ({"truth": np.array([0, 1, 2, 3])}, "truth must be 0 to 2"),
    ({"labels": ("a", "b", "a")}, "a label is named twice"),
    ({"probabilities": np.full((4, 3), 0.4)}, "probabilities must be at least 0 and add up to 1"),
    ({"raw": np.full((4, 3), np.nan)}, "raw must be at least 0 and add up to 1"),
    ({"raw": np.full((4, 2), 0.5)}, r"raw has the shape \(4, 2\), not \(4, 3\)"),
    ({"sets": np.ones((3, 3), bool)}, "sets has the shape"),
])
def test_rows_that_are_not_sound_are_refused_with_the_fault(other, named):
    with pytest.raises(ValueError, match=named):
        _changed(**other)


def test_no_rows_are_no_evidence():
    with pytest.raises(ValueError, match="no rows"):
        learnt(4, 0).only(np.zeros(4, bool))


def test_a_part_keeps_the_rows_together():
    found = _changed().only(np.array([False, True, False, True]))
    whole = _changed()
    assert found.sha256 == (whole.sha256[1], whole.sha256[3])
    assert found.attributes == {"sex": ("m", "f")}
    assert (found.probabilities == whole.probabilities[[1, 3]]).all()


def test_the_confusion_matrix_is_scikit_learns():
    given = learnt(200, 1, labels="abcd")
    assert (given.confusion == confusion_matrix(given.truth, given.predicted, labels=range(4))).all()
    assert given.right.sum() == np.trace(given.confusion)


def test_the_set_of_an_image_covers_its_true_label_or_not():
    given = evidence_of([0, 2], [[0.6, 0.3, 0.1]] * 2, sets=np.array([[True, False, False]] * 2))
    assert given.covered.tolist() == [True, False]


def test_a_model_that_does_not_know_a_label_gives_it_no_probability():
    wide = widened(np.array([[0.7, 0.3]]), ("b", "c"), ("a", "b", "c"))
    assert wide.tolist() == [[0.0, 0.7, 0.3]]
    with pytest.raises(ValueError, match="the model answers with c"):
        widened(np.array([[0.7, 0.3]]), ("b", "c"), ("a", "b"))

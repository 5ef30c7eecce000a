"""Pictures of an evaluation: whatever the labels are called, however few images there are, one comes out that can be read."""

import dataclasses
import io
import warnings

import numpy as np
import pytest
from PIL import Image

from skin_platform.ml.lettering import NAME_CHARS, shown_names
from skin_platform.ml.pictures import confusion_matrix, reliability_diagram, roc_curves
from skin_platform_tests.core.card_evidence import drawn

LONG = tuple(f"ungewöhnlich langer Name einer Läsion, Nummer {i} von vielen" for i in range(12))
ODD = ("_leer", "$x", "a^{b}$ %", "色素", "मूना", "zwei\nZeilen", "пигмент")


def opened(data):
    """The picture, of so many pixels and in so many grey values that something was drawn."""
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert len(np.unique(np.asarray(image.convert("L")))) > 20
    return image


@pytest.mark.parametrize(("labels", "n"), [(("a", "b"), 6), (ODD, 300), (LONG, 300), (tuple(map(str, range(16))), 400)],
                         ids=["few", "odd", "long", "many"])
def test_every_picture_can_be_read_at_800_pixels(labels, n):
    evidence = drawn(labels, n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter without a glyph, a legend that leaves a label out
        pictures = [roc_curves(evidence, "test"), reliability_diagram(evidence, "test")]
        confusion_matrix(evidence.labels, evidence.confusion.tolist(), "test")
    for data in pictures:
        assert 780 <= opened(data).width <= 820


def test_one_label_alone_gives_pictures_too():
    evidence = drawn(("a", "b"), 30)
    alone = dataclasses.replace(evidence, truth=np.zeros(30, dtype=np.int64))
    opened(roc_curves(alone, "test"))
    opened(reliability_diagram(alone, "test"))


def test_the_same_answers_give_the_same_picture():
    assert roc_curves(drawn(n=80), "t") == roc_curves(drawn(n=80), "t")
    assert roc_curves(drawn(n=80), "t") != roc_curves(drawn(n=80, seed=1), "t")


def test_names_stay_different_and_fit():
    names = shown_names(LONG)
    assert len(set(names.values())) == len(LONG)
    assert max(map(len, names.values())) <= NAME_CHARS + len("12: ")
    odd = shown_names(ODD)
    assert (odd["zwei\nZeilen"], odd["пигмент"], odd["_leer"]) == ("zwei Zeilen", "пигмент", "_leer")
    twins = shown_names((LONG[0] + "x" * 40 + LONG[0], LONG[0] + "y" * 40 + LONG[0]))
    assert [name[:3] for name in twins.values()] == ["1: ", "2: "]

"""Promises of datasets: a digest that anyone can check, and a reason where nothing can be learnt."""

import subprocess
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_platform.core.datasets import DatasetRow, canonical_manifest, dataset_digest, images_digest, judge_trainable

ROWS = [DatasetRow(f"{number:064x}", label, f"g{number}", split, f"s3://b/{number}")
        for number, (label, split) in enumerate([("a", "train"), ("ü b", "train"), ("a", "val"), ("ü b", "val")])]


def test_the_digest_is_what_sha256sum_says_of_the_canonical_manifest(tmp_path):
    path = tmp_path / "manifest.tsv"
    path.write_text(canonical_manifest(ROWS), encoding="utf-8", newline="")
    assert subprocess.check_output(["sha256sum", path], text=True).split()[0] == dataset_digest(ROWS)
    assert path.read_text(encoding="utf-8").splitlines()[1] == f"{1:064x}\tü b\tg1\ttrain"


@given(st.permutations(ROWS))
def test_the_order_of_rows_and_where_the_bytes_lie_are_not_in_the_digest(rows):
    assert dataset_digest([replace(row, s3_uri="s3://elsewhere/x") for row in rows]) == dataset_digest(ROWS)
    assert images_digest(row.sha256 for row in rows) == images_digest(row.sha256 for row in ROWS) != images_digest([])


@pytest.mark.parametrize("change", [{"sha256": "0"}, {"label": "c"}, {"group_id": "g9"}, {"split": "test"}])
def test_everything_else_is_in_the_digest(change):
    assert dataset_digest([replace(ROWS[0], **change), *ROWS[1:]]) != dataset_digest(ROWS)
    assert dataset_digest(ROWS[1:]) != dataset_digest(ROWS)


def test_two_labels_to_learn_and_one_image_held_back_are_enough():
    assert judge_trainable(_counts(ROWS[:3]), "train", "val") is None


@pytest.mark.parametrize(("rows", "word"), [
    ([], "there is none"), (ROWS[2:], "there is none"), ([ROWS[0], ROWS[2]], "there is a"),
    (ROWS[:2], "no image is left for 'val'"),
])
def test_too_little_is_rejected_with_the_remedy(rows, word):
    rejection = judge_trainable(_counts(rows), "train", "val")
    assert word in rejection.reason
    assert "deliver" in rejection.reason


def test_labels_that_stand_in_other_splits_alone_are_named():
    rejection = judge_trainable(_counts([*ROWS[:1], *ROWS[2:]]), "train", "val")
    assert rejection.reason == ("a classifier needs two labels in 'train', there is a: images of ü b are in other splits "
                                "alone; deliver more patients with them")


def _counts(rows):
    return Counter((row.label, row.split) for row in rows)

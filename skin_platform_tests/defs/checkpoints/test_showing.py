"""What the UI shows of a subgroup: figures that add up, or the reason why they do not."""

from dataclasses import asdict

import numpy as np

from skin_platform.core.subgroups import subgroup_table
from skin_platform.defs.checkpoints.showing import _per_subgroup
from skin_platform_tests.core.answered import answering


def test_a_gap_says_of_which_accuracy_it_is_where_images_are_left_out():
    truth = np.array([0] * 60 + [2] * 30)
    given = answering(truth, truth == 0, site=["arm"] * 30 + ["leg"] * 60)
    arm, leg = _per_subgroup([asdict(item) for item in subgroup_table(given, ["site"], 20)])
    assert leg["accuracy"].startswith("0.500 (")
    assert leg["expected"] == "1.000"
    assert leg["gap"].startswith("0.000 (")
    assert leg["gap"].endswith("); accuracy 1.000 with 30 of 60 left out")
    assert "left out" not in arm["gap"]


def test_a_subgroup_of_which_nothing_can_be_compared_says_so():
    given = answering(np.repeat([0, 1], 30), np.ones(60, bool), site=["arm"] * 30 + ["leg"] * 30)
    rows = _per_subgroup([asdict(item) for item in subgroup_table(given, ["site"], 20)])
    assert [(row["expected"], row["gap"]) for row in rows] == [(None, "none; all left out")] * 2

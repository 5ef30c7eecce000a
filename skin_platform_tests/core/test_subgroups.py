"""Subgroups: bands, n's, and an expectation that allows for a harder mix of labels."""

import numpy as np
import pytest

from skin_platform.core.subgroups import NOT_GIVEN, age_band, skin_type, subgroup_table
from skin_platform_tests.core.answered import answering, learnt


@pytest.mark.parametrize(("text", "band"), [
    ("0", "under 30"), ("29.9", "under 30"), ("30", "30 to 49"), (" 49 ", "30 to 49"), ("50.0", "50 to 69"),
    ("70", "70 and over"), ("101", "70 and over"), ("", ""), ("old", ""), ("nan", ""), ("inf", ""), ("-3", ""), ("30-39", "")])
def test_ages_fall_into_bands(text, band):
    assert age_band(text, [30, 50, 70]) == band


def test_one_bound_makes_two_bands():
    assert [age_band(age, [18]) for age in ("17", "18")] == ["under 18", "18 and over"]


@pytest.mark.parametrize(("given", "told"), [
    *((text, "II") for text in ("2", "2.0", "2.00", " ii ", "II", "type II", "Type 2", "FST 2", "fst2",
                                "Fitzpatrick skin type II", "fitzpatrick_2", "Skin-Type: 2.0")),
    ("1", "I"), ("iii", "III"), ("4", "IV"), ("v", "V"), ("6.0", "VI"), ("vi", "VI"),
    *((text, text) for text in ("", "0", "7", "2.5", "-2", "II-III", "3/4", "dark", "vii", "iiii", "type", "22"))])
def test_a_fitzpatrick_type_is_one_however_it_is_written_and_anything_else_stays(given, told):
    assert skin_type(given) == told


def test_one_skin_type_is_one_subgroup_named_as_people_write_it():
    given = learnt(80, 0, skin_type=["2", "2.0", "II", "fst 2"] * 10 + ["4.0", "iv"] * 15 + ["Dark"] * 10)
    assert [(item.value, item.n) for item in subgroup_table(given, ["skin_type"], 20)] == [("II", 40), ("IV", 30), ("dark", 10)]


def test_each_value_has_its_n_its_interval_and_its_standing():
    given = learnt(100, 0, per_group=2, sex=["F "] * 30 + ["f"] * 30 + ["m"] * 37 + [""] * 3, site=["arm"] * 100)
    found = {item.name: item for item in subgroup_table(given, ["sex", "site"], 20)}
    assert {name: (item.n, item.groups, item.standing) for name, item in found.items()} == {
        "sex f": (60, 30, "judged"), "sex m": (37, 19, "judged"), f"sex {NOT_GIVEN}": (3, 2, "not given"),
        "site arm": (100, 50, "nothing to compare with")}
    for name, item in found.items():
        assert item.accuracy_interval.low <= item.accuracy <= item.accuracy_interval.high, name
        assert item.coverage_interval.low <= item.coverage <= item.coverage_interval.high, name
    women = np.arange(100) < 60
    assert found["sex f"].accuracy == given.right[women].mean()
    assert found["sex f"].coverage == given.covered[women].mean()
    assert found["site arm"].gap is None


def test_too_few_beside_a_large_one_leave_nothing_to_compare():
    given = learnt(60, 0, sex=["f"] * 57 + ["m"] * 3)
    assert [(item.value, item.standing) for item in subgroup_table(given, ["sex"], 20)] == [
        ("f", "nothing to compare with"), ("m", "too few to judge")]


def test_bands_stand_in_the_order_of_age():
    bands = ["70 and over", "", "under 30", "50 to 69", "30 to 49"] * 4
    found = [item.value for item in subgroup_table(learnt(20, 0, age_band=bands), ["age_band"], 1)]
    assert found == ["under 30", "30 to 49", "50 to 69", "70 and over", NOT_GIVEN]


def test_a_harder_mix_of_labels_is_no_gap():
    # label 0 is always recognised, label 1 in half of all cases, in both places alike; one place has more of label 1
    truth = np.array([0] * 80 + [1] * 20 + [0] * 20 + [1] * 80)
    given = answering(truth, (truth == 0) | (np.arange(200) % 2 == 0), site=["arm"] * 100 + ["leg"] * 100)
    arm, leg = subgroup_table(given, ["site"], 20)
    assert (arm.accuracy, leg.accuracy) == (0.9, 0.6)
    assert leg.expected == pytest.approx(0.2 + 0.8 * 0.5)
    assert leg.gap == pytest.approx(0.0)
    assert leg.gap_interval.low < 0 < leg.gap_interval.high


def test_a_label_that_only_one_place_has_is_left_out_of_its_expectation():
    truth = np.array([0] * 60 + [2] * 30)
    given = answering(truth, truth == 0, site=["arm"] * 30 + ["leg"] * 60)
    leg = subgroup_table(given, ["site"], 20)[1]
    assert (leg.accuracy, leg.expected, leg.gap) == (0.5, 1.0, 0.0)
    assert (leg.left_out, leg.comparable_accuracy) == (30, 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_comparable_accuracy_expected_and_gap_add_up_and_the_images_left_out_are_counted(seed):
    rng = np.random.default_rng(seed)
    truth, site = rng.integers(0, 8, 60), rng.choice(["arm", "leg", "ear", ""], 60, p=[0.5, 0.2, 0.1, 0.2])
    truth[np.flatnonzero(site == "leg")[:2]] = 8
    given = answering(truth, rng.random(60) < 0.7, classes=9, site=site.tolist())
    rows = subgroup_table(given, ["site"], 20)
    for row in rows:
        inside = site == ("" if row.value == NOT_GIVEN else row.value)
        kept = inside & np.isin(truth, truth[~inside])
        assert row.left_out == (inside & ~kept).sum()
        assert row.comparable_accuracy == pytest.approx(given.right[kept].mean())
        assert row.gap == pytest.approx(row.comparable_accuracy - row.expected)
    assert any(row.left_out for row in rows)


def test_where_all_images_are_left_out_there_is_no_gap():
    given = answering(np.repeat([0, 1], 20), np.ones(40, bool), site=["arm"] * 20 + ["leg"] * 20)
    assert [(row.left_out, row.comparable_accuracy, row.expected, row.gap) for row in subgroup_table(given, ["site"], 20)] == [
        (20, None, None, None)] * 2


def test_an_attribute_that_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"no attribute 'skin_type' \(there are: sex\): see gates.subgroups.by"):
        subgroup_table(learnt(4, 0, sex=["f"] * 4), ["skin_type"], 20)

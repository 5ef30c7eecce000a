"""Gates: one table of cases each, and the rates that their margins and levels promise."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import binom, norm

from skin_platform.core.gate_rules import CalibrationRules, ChampionRules, CoverageRules, GateRules, LabelRules, SubgroupRules
from skin_platform.core.gates import GATES, judge
from skin_platform.core.noninferiority import champion_finding
from skin_platform.core.worst_subgroup import subgroups_finding
from skin_platform_tests.core.answered import answering, evidence_of, learnt

TRUTH = np.arange(300) % 3
BY = {"sex": ["f", "m"] * 150, "age_band": ["under 30"] * 300, "skin_type": [""] * 300, "site": ["arm", "arm", "leg"] * 100,
      "source": ["roma"] * 300}
RULES = GateRules(0.7)


def _right(share, truth=TRUTH):
    """Right on this share of each label's images, spread evenly."""
    right = np.zeros(len(truth), bool)
    for label in np.unique(truth):
        of = np.flatnonzero(truth == label)
        right[of] = np.floor((np.arange(len(of)) + 1) * share + 1e-9) > np.floor(np.arange(len(of)) * share + 1e-9)
    return right


def _verdict(gate, candidate, champion=None, rules=RULES):
    return next(verdict for verdict in judge(candidate, champion, rules) if verdict.gate == gate)


def test_every_gate_says_something_in_order_and_in_one_sentence():
    candidate = learnt(300, 0, per_group=2, **BY)
    found = judge(candidate, candidate, GateRules(0.5, labels={"a": LabelRules(True, 0.5)}))
    assert tuple(verdict.gate for verdict in found) == GATES
    assert all(verdict.reason and "\n" not in verdict.reason for verdict in found)
    json.dumps([asdict(verdict) for verdict in found], allow_nan=False)


def test_the_same_evidence_is_judged_the_same():
    candidate, champion = (answering(TRUTH, _right(share), **BY) for share in (0.82, 0.8))
    assert judge(candidate, champion, RULES) == judge(candidate, champion, RULES)


def test_a_champion_on_other_images_is_no_comparison():
    with pytest.raises(ValueError, match="same images"):
        judge(learnt(60, 0, **{name: of[:60] for name, of in BY.items()}), learnt(61, 0), RULES)


@pytest.mark.parametrize(("share", "status", "told"), [
    (0.8, "passed", "accuracy 0.800 (0.75 to 0.84) on 300 images of 300 groups reaches the floor of 0.7"),
    (0.7, "passed", "reaches the floor of 0.7"),
    (0.69, "failed", "accuracy 0.690 (0.64 to 0.74) on 300 images of 300 groups is under the floor of 0.7"),
])
def test_the_floor(share, status, told):
    found = _verdict("floor", answering(TRUTH, _right(share), **BY))
    assert (found.status, found.blocks) == (status, status == "failed")
    assert told in found.reason


@pytest.mark.parametrize(("ours", "theirs", "metric", "status"), [
    (0.9, 0.8, "balanced_accuracy", "passed"), (0.8, 0.8, "accuracy", "passed"), (0.8, 0.8, "macro_f1", "passed"),
    (0.75, 0.8, "balanced_accuracy", "failed"), (0.7, 0.8, "macro_f1", "failed"), (0.7, 0.8, "accuracy", "failed"),
])
def test_not_worse_than_the_champion(ours, theirs, metric, status):
    candidate, champion = (answering(TRUTH, _right(share), **BY) for share in (ours, theirs))
    found = _verdict("champion", candidate, champion, replace(RULES, champion=ChampionRules(metric)))
    assert (found.status, found.blocks) == (status, status == "failed")
    assert f"{metric.replace('_', ' ')} {ours:.3f} against the champion's {theirs:.3f}" in found.reason
    assert "the margin of 0.05" in found.reason


@pytest.mark.parametrize(("wrong", "told"), [(1, ": the images are too few to tell"), (4, " the margin of 0.05")])
def test_what_too_few_images_cannot_tell_is_told_from_what_is_worse(wrong, told):
    truth = np.arange(30) % 3
    champion, candidate = (answering(truth, np.arange(30) >= number) for number in (0, wrong))
    found = champion_finding(candidate, champion, ChampionRules("accuracy"))
    assert found.status == "failed"
    assert found.reason.endswith(told)


def test_the_first_model_has_no_champion_to_be_worse_than():
    found = _verdict("champion", learnt(300, 0, **BY))
    assert (found.status, found.blocks, found.reason) == ("not judged", False, "there is no champion yet")


def _malignant(recall, n=100, champion=None, when_too_few="refuse", **labels):
    """The verdict on a label with ``n`` images of which this share is found, 400 others all right."""
    truth = np.array([0] * n + [1] * 400)

    def of(share):
        return answering(truth, np.concatenate([_right(share, truth[:n]), np.ones(400, bool)]),
                         **{name: ["x"] * len(truth) for name in BY})

    rules = replace(RULES, labels=labels or {"a": LabelRules(True, 0.8)},
                    malignant=replace(RULES.malignant, when_too_few=when_too_few))
    return _verdict("malignant recall", of(recall), None if champion is None else of(champion), rules)


@pytest.mark.parametrize(("given", "status", "blocks", "told"), [
    ({"recall": 0.8}, "passed", False, "the recall of a is 0.800 (80 of 100), its floor is 0.8"),
    ({"recall": 0.79}, "failed", True, "the recall of a is 0.790 (79 of 100), under its floor of 0.8"),
    ({"recall": 0.9, "champion": 0.92}, "passed", False, "the champion's is 0.920"),
    ({"recall": 0.82, "champion": 0.95}, "failed", True, "worse than the champion's 0.950 by more than 0.02"),
    ({"recall": 0.2, "a": LabelRules(True)}, "passed", False, "the recall of a is 0.200"),
    ({"recall": 0.9, "n": 19}, "too few", True, "a has 19 images, too few to judge its recall (fewest: 20)"),
    ({"recall": 0.9, "n": 19, "when_too_few": "pass"}, "too few", False, "a has 19 images"),
    ({"recall": 0.9, "a": LabelRules(True), "zz": LabelRules(True)}, "failed", True, "does not know the malignant label zz"),
    ({"recall": 0.1, "a": LabelRules()}, "not judged", False, "no label is configured as malignant"),
])
def test_malignant_labels_are_found(given, status, blocks, told):
    found = _malignant(**given)
    assert (found.status, found.blocks) == (status, blocks)
    assert told in found.reason


def _weak(n_weak, seed=0, n=900):
    """A champion right on 80 % everywhere; a candidate right on 90 %, but on 40 % of the first ``n_weak`` images' sex."""
    rng = np.random.default_rng(seed)
    truth, weak = np.arange(n) % 3, np.arange(n) < n_weak
    given = {**{name: ["x"] * n for name in BY}, "sex": np.where(weak, "other", np.where(np.arange(n) % 2, "f", "m")).tolist()}
    candidate = answering(truth, rng.random(n) < np.where(weak, 0.4, 0.9), groups=np.arange(n) // 2, **given)
    return candidate, answering(truth, rng.random(n) < 0.8, groups=np.arange(n) // 2, **given)


def test_a_candidate_better_on_average_and_worse_for_a_subgroup_is_refused_by_its_name():
    candidate, champion = _weak(60)
    assert candidate.right.mean() > champion.right.mean() + 0.03
    assert _verdict("champion", candidate, champion).status == "passed"
    found = _verdict("subgroups", candidate, champion)
    assert (found.status, found.blocks) == ("failed", True)
    assert "sex other (n = 60)" in found.reason
    assert "against the champion's" in found.reason
    assert "where its mix of labels lets" in found.reason
    assert "sex f" not in found.reason


def test_without_a_champion_the_others_show_how_weak_it_is():
    candidate, _ = _weak(60)
    found = _verdict("subgroups", candidate)
    assert found.status == "failed"
    assert "sex other (n = 60)" in found.reason


def test_a_weak_subgroup_of_three_images_is_too_few_to_judge():
    candidate, champion = _weak(3)
    found = _verdict("subgroups", candidate, champion)
    assert (found.status, found.blocks) == ("passed", False)  # by the two others
    assert "too few to judge: sex other (n = 3) (fewest: 20)" in found.reason
    assert {item["value"]: item["verdict"] for item in found.figures["subgroups"] if item["attribute"] == "sex"} == {
        "other": "too few", "f": "passed", "m": "passed"}
    refusing = replace(RULES, subgroups=SubgroupRules(when_too_few="refuse"))
    found = _verdict("subgroups", candidate, champion, refusing)
    assert (found.status, found.blocks) == ("too few", True)
    assert "sex other (n = 3) (fewest: 20), which gates.subgroups.when_too_few refuses; none of 2 subgroups" in found.reason


def test_three_images_beside_one_other_value_are_too_few_to_judge_at_all():
    given = {**{name: ["x"] * 300 for name in BY}, "sex": ["f"] * 3 + ["m"] * 297}
    candidate = answering(TRUTH, np.arange(300) >= 3, **given)
    found = _verdict("subgroups", candidate)
    assert (found.status, found.blocks) == ("too few", False)
    assert found.reason == "too few to judge: sex f (n = 3) (fewest: 20)"


def test_values_that_were_not_given_are_never_judged():
    given = {**{name: [""] * 300 for name in BY}}
    found = _verdict("subgroups", answering(TRUTH, _right(0.8), **given),
                     rules=replace(RULES, subgroups=SubgroupRules(when_too_few="refuse")))
    assert (found.status, found.blocks) == ("not judged", False)
    assert found.reason == ("there are no subgroups to compare: no image says its sex, age_band, skin_type, site, source")


@pytest.mark.parametrize(("by", "reason"), [
    ((), "no attribute is configured by which images are parted into subgroups (gates.subgroups.by in dataset.yaml)"),
    (("skin_type", "source"), "there are no subgroups to compare: no image says its skin_type; source is roma wherever it is "
                              "given")])
def test_where_there_are_no_two_subgroups_nothing_is_judged_and_the_reason_says_why(by, reason):
    for champion in (None, answering(TRUTH, _right(0.8), **BY)):
        rules = replace(RULES, subgroups=SubgroupRules(by))
        found = _verdict("subgroups", answering(TRUTH, _right(0.8), **BY), champion, rules)
        assert (found.status, found.blocks, found.reason) == ("not judged", False, reason)


def test_the_reason_names_the_accuracy_that_was_compared_and_the_images_that_could_not_be():
    truth = np.array([0] * 90 + [1] * 30)
    rules = replace(RULES, subgroups=SubgroupRules(("site",)))
    better = answering(truth, (np.arange(120) != 89) | (truth == 1), site=["arm"] * 30 + ["leg"] * 90)
    assert "site leg: accuracy 0.983 without 30 image(s) whose label no other image has, expected 1.000, n = 90" in (
        _verdict("subgroups", better, rules=rules).reason)
    worse = answering(truth, (np.arange(120) < 30) | (truth == 1), site=["arm"] * 30 + ["leg"] * 90)
    assert "accuracy 0.000 without 30 image(s) whose label no other image has where its mix of labels lets 1.000 expect" in (
        _verdict("subgroups", worse, rules=rules).reason)


def test_subgroups_that_share_no_label_let_expect_nothing_of_each_other():
    given = answering(np.repeat([0, 1], 30), np.ones(60, bool), sex=["f"] * 30 + ["m"] * 30)
    rules = replace(RULES, subgroups=SubgroupRules(("sex",)))
    found = _verdict("subgroups", given, rules=rules)
    assert (found.status, found.reason) == ("not judged", "no label of a subgroup occurs outside it: nothing can be compared")
    found = _verdict("subgroups", given, given, rules)
    assert (found.status, found.reason) == ("passed", "none of 2 subgroups is credibly worse than with the champion; no label "
                                                      "of a subgroup occurs outside it: they cannot be compared with others")


@pytest.mark.parametrize(("sure", "share", "n", "status", "told"), [
    (0.8, 0.8, 300, "passed", "is within the ceiling of 0.1"), (0.99, 0.6, 300, "failed", "is above the ceiling of 0.1"),
    (0.4, 0.9, 300, "failed", "is above the ceiling of 0.1"),
    (0.99, 0.6, 49, "too few", "49 images are too few to judge the calibration (fewest: 50)"),
])
def test_confidence_is_near_the_share_of_right_answers(sure, share, n, status, told):
    truth = np.arange(n) % 3
    given = answering(truth, _right(share, truth), sure=sure, **{name: of[:n] for name, of in BY.items()})
    found = _verdict("calibration", given, rules=replace(RULES, calibration=CalibrationRules(0.1, 50, "refuse")))
    assert (found.status, found.blocks) == (status, status != "passed")
    assert told in found.reason


@pytest.mark.parametrize(("share", "n", "by_label", "status", "told"), [
    (0.9, 300, False, "passed", "the sets of all images hold the truth in 0.900"), (0.87, 300, False, "passed", "0.870"),
    (0.8, 300, False, "failed", "below the 0.9 that is configured"), (0.99, 300, False, "passed", "0.99"),
    (0.5, 30, False, "too few", "too few to judge: all images (n = 30) (fewest: 50)"),
    (0.9, 300, True, "passed", "the sets of c hold the truth in 0.900"),
    (0.9, 120, True, "too few", "too few to judge: a (n = 40), b (n = 40), c (n = 40) (fewest: 50)"),
])
def test_prediction_sets_hold_the_truth_as_often_as_configured(share, n, by_label, status, told):
    truth = np.arange(n) % 3
    sets = np.zeros((n, 3), bool)
    sets[np.arange(n), truth] = _right(share, truth)
    given = evidence_of(truth, np.full((n, 3), 1 / 3), sets=sets, **{name: of[:n] for name, of in BY.items()})
    found = _verdict("coverage", given, rules=replace(RULES, coverage=CoverageRules(50, "refuse", 0.9, by_label)))
    assert (found.status, found.blocks) == (status, status != "passed")
    assert told in found.reason


def test_an_average_coverage_does_not_hide_a_label_where_each_is_promised():
    sets = np.zeros((300, 3), bool)
    sets[np.arange(300), TRUTH] = (TRUTH > 0) | (np.arange(300) % 4 > 0)
    given = evidence_of(TRUTH, np.full((300, 3), 1 / 3), sets=sets, **BY)
    assert _verdict("coverage", given).status == "passed"
    found = _verdict("coverage", given, rules=replace(RULES, coverage=CoverageRules(by_label=True)))
    assert found.status == "failed"
    assert "the sets of a hold the truth in 0.75" in found.reason
    assert "the sets of b" not in found.reason


PAIRS, IMAGES, DISAGREE = 1000, 150, 0.2
MARGIN = 12.5 / IMAGES  # scores come in steps of an image: a bound never falls on the margin itself


def _pairs(difference, seed):
    """Simulated pairs of models that disagree on a fifth of all images, the candidate truly better by ``difference``."""
    rng = np.random.default_rng(seed)
    shares = [(DISAGREE + difference) / 2, (DISAGREE - difference) / 2, 0.6, 0.2]  # better, worse, both right, both wrong
    truth = np.arange(IMAGES) % 2
    for _ in range(PAIRS):
        kind = rng.choice(4, IMAGES, p=shares)
        yield tuple(answering(truth, np.isin(kind, right), classes=2) for right in ((0, 2), (1, 2)))


def _passed(difference, seed, metric):
    rules = ChampionRules(metric, MARGIN, 0.05)
    return sum(champion_finding(*pair, rules).status == "passed" for pair in _pairs(difference, seed))


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy"])
def test_equally_good_models_pass_as_often_as_margin_and_level_promise(metric):
    # a difference of mean 0 and variance DISAGREE / IMAGES must lie above -MARGIN + z * its error, with two groups more
    error, spread = np.sqrt(IMAGES * DISAGREE + 2) / (IMAGES + 2), np.sqrt(IMAGES * DISAGREE) / (IMAGES + 2)
    promised = norm.cdf((MARGIN - norm.ppf(0.95) * error) / spread)
    low, high = binom.ppf([0.005, 0.995], PAIRS, promised)
    assert low <= _passed(0.0, 1, metric) <= high


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy"])
def test_a_model_worse_by_the_margin_passes_no_more_often_than_the_level_says(metric):
    assert _passed(-MARGIN, 2, metric) <= binom.ppf(0.995, PAIRS, 0.05)


@pytest.mark.slow
def test_equally_good_models_are_seldom_refused_for_a_subgroup_by_chance():
    rules = SubgroupRules(margin=0.0, gap=0.0)  # so that the level alone decides
    refused = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        patient = np.arange(200) // 2
        given = {name: rng.choice(list("pqr"), 100)[patient].tolist() for name in BY}
        hard, truth = rng.random(100)[patient], rng.integers(0, 3, 200)
        candidate, champion = (answering(truth, rng.random(200) < 0.6 + 0.3 * hard, groups=patient, **given) for _ in range(2))
        refused += subgroups_finding(candidate, champion, rules, 0.05).status == "failed"
    assert refused <= binom.ppf(0.995, 80, 0.05)

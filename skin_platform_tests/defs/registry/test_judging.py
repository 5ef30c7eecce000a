"""The verdict on a version: by name of the subgroup, of the present champion and gates, on images that nobody learnt from."""

import json
import shutil

import numpy as np
import pytest

from skin_platform.defs.registry.judging import faults_of, judge_version, read_judgement
from skin_platform.defs.registry.promoting import against, promote
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.registry.worlds import answered, deliver, locked_rows, rewrite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Stores:
    return deliver(tmp_path_factory.mktemp("world"))


@pytest.fixture
def stores(world, tmp_path) -> Stores:
    shutil.copytree(world.settings.home.root, tmp_path / "home", symlinks=True)
    return Stores(load_settings(skin_home=tmp_path / "home"))


def of(judgement, gate):
    return next(verdict for verdict in judgement.verdicts if verdict["gate"] == gate)


def crown(stores, version):
    """The champion, without the bento that these tests do not ask."""
    last = stores.moves.current("champion")
    stores.moves.move("champion", version, expected=last.number if last else 0, kind="promoted", by="ann", why="first")


def test_a_candidate_better_on_average_and_worse_in_a_subgroup_is_refused_by_name(stores):
    scalp = locked_rows(stores)["site"] == "scalp"
    assert 20 <= scalp.sum() < 40
    former = answered(stores, 1, lambda chance: chance < 0.55)
    crown(stores, former)
    weak = answered(stores, 2, lambda chance: np.where(scalp, chance < 0.1, chance < 0.95))
    judgement = read_judgement(weak, stores)
    assert stores.versions.read_manifest(weak)["score"]["accuracy"] > stores.versions.read_manifest(former)["score"]["accuracy"]
    assert of(judgement, "champion")["status"] == "passed"
    verdict = of(judgement, "subgroups")
    assert (verdict["status"], verdict["blocks"]) == ("failed", True)
    assert "site scalp" in verdict["reason"].split(";")[0]
    assert "site chest" not in verdict["reason"].split(";")[0]
    assert "subgroups: site scalp" in against(weak, stores)[0]


def test_three_images_are_too_few_to_judge_a_subgroup(stores):
    sex = locked_rows(stores)["sex"]
    three = np.isin(np.arange(len(sex)), np.flatnonzero(sex == "female")[:3])

    def few_women(evidence):
        women = tuple("female" if kept else "" if value == "female" else value
                      for value, kept in zip(evidence.attributes["sex"], three, strict=True))
        object.__setattr__(evidence, "attributes", {**evidence.attributes, "sex": women})
        return evidence

    crown(stores, answered(stores, 1, lambda chance: chance < 0.9, changed=few_women))
    weak = answered(stores, 2, lambda chance: np.where(three, False, chance < 0.95), changed=few_women)
    judged = read_judgement(weak, stores)
    rows = {(row["attribute"], row["value"]): row for row in of(judged, "subgroups")["figures"]["subgroups"]}
    assert rows[("sex", "female")]["verdict"] == "too few"
    assert "sex female (n = 3)" in of(judged, "subgroups")["reason"]
    assert of(judged, "subgroups")["status"] != "failed"


def test_a_verdict_says_nothing_of_other_gates_another_champion_or_another_dataset(stores):
    first = answered(stores, 1, lambda chance: chance < 0.9)
    assert against(first, stores) == []
    assert any("the gates of dataset.yaml are others now" in reason
               for reason in against(first, rewrite(stores, ("floor: 0.5", "floor: 0.6"))))
    stores = rewrite(stores, ("floor: 0.6", "floor: 0.5"))
    second = answered(stores, 2, lambda chance: chance < 0.9)
    crown(stores, first)
    assert any("has moved since" in reason and first in reason for reason in against(second, stores))
    judgement = judge_version(second, stores, "a test")
    assert against(second, stores) == []
    for name, what in (("dataset_digest", "another dataset"), ("checkpoint_sha256", "another checkpoint"),
                       ("evidence_sha256", "another evidence"), ("version", "whose weights are not those")):
        stores.versions.write_file(second, "verdict.json", json.dumps(judgement.record | {name: "f" * 64}).encode())
        assert any(what in reason for reason in against(second, stores)), name
    stores.versions.write_file(second, "verdict.json", json.dumps(judgement.record | {"verdicts": []}).encode())
    assert any("a verdict of each gate" in reason for reason in against(second, stores))
    third = answered(stores, 3, lambda chance: chance < 0.9, judge=False)
    assert "verdict.json" in against(third, stores)[0]


def test_the_champions_own_images_do_not_judge_its_rival(stores):
    """A patient that the champion learnt from is not asked about, nor is any other image of that patient."""
    crown(stores, answered(stores, 1, lambda chance: chance < 0.9))
    everything = stores.datasets.read(stores.datasets.latest())
    judged = judge_version(answered(stores, 2, lambda chance: chance < 0.9), stores, "a test")
    assert judged.record["compared"] == {"n": sum(row.split == "test" for row in everything), "left_out": 0}
    assert of(judged, "champion")["status"] == "passed"


def test_without_a_locked_split_the_calibration_is_not_judged_by_what_calibrated(stores):
    version = answered(stores, 1, lambda chance: chance < 0.9)
    origin = json.loads(stores.versions.read_file(version, "origin.json")) | {"split": "val"}
    stores.versions.write_file(version, "origin.json", json.dumps(origin).encode())
    judged = judge_version(version, stores, "a test")
    for gate in ("calibration", "coverage"):
        assert of(judged, gate)["status"] == "too few"
        assert "lock a third split" in of(judged, gate)["reason"]


def test_the_same_version_is_judged_alike_and_its_verdict_names_the_rows(stores):
    version = answered(stores, 1, lambda chance: chance < 0.9)
    before = read_judgement(version, stores)
    again = judge_version(version, stores, "a test")
    assert {**again.record, "judged_at": ""} == {**before.record, "judged_at": ""}
    assert faults_of(again, version, None, stores) == []
    with pytest.raises(Exception, match="is not promoted"):
        promote(answered(stores, 2, lambda chance: chance < 0.3), stores, by="ann", why="try", warn=print)

"""A planted weak subgroup: what fitted models get wrong there is named by the verdict on them.

The models learn from what was delivered and answer for themselves: no answer here is made up.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import calibrate
from skin_platform.defs.registry.judging import read_judgement
from skin_platform.defs.registry.promoting import against
from skin_platform.storage.evidence import attributes_of
from skin_platform.storage.objects import parse_uri
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import NAMES
from skin_platform_tests.defs.registry.worlds import deliver, registered

pytestmark = pytest.mark.slow

COLOURS = slice(0, 18)  # of the features (ml.scattering): light and two contrasts of colour, mean and spread in three rings
EVERYTHING = slice(None)


@dataclass(frozen=True)
class Exam:
    """All N images of a frozen dataset: features (N, D), targets (N,), splits (N,), which are of the planted subgroup (N,)."""

    subgroup: str
    features: NDArray[np.float32]
    targets: NDArray[np.int64]
    splits: NDArray[np.str_]
    inside: NDArray[np.bool_]

    def logits(self, columns: slice, pupils: NDArray[np.bool_]) -> NDArray[np.float32]:
        """What a logistic regression on ``columns`` answers on all images, which learnt from ``pupils`` of the train split."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        seen = (self.splits == "train") & pupils
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(self.features[seen][:, columns], self.targets[seen])
        return model.predict_log_proba(self.features[:, columns]).astype(np.float32)

    def accuracy(self, logits: NDArray[np.float32], of: NDArray[np.bool_]) -> float:
        """The share of right answers on the locked images ``of`` the mask."""
        return float((logits.argmax(axis=1) == self.targets)[of & (self.splits == "test")].mean())

    def register(self, stores: Stores, number: int, logits: NDArray[np.float32], most: int | None = None) -> str:
        """A version that answers so, calibrated on the validation split; asked about at ``most`` so many of the subgroup."""
        held, locked = self.splits == "val", self.splits == "test"
        calibration = calibrate(logits[held], self.targets[held], 0.9)
        answers = softmax(logits[locked], calibration.temperature), softmax(logits[locked])
        inside = self.inside[locked]
        kept = ~inside | (np.cumsum(inside) <= (inside.sum() if most is None else most))
        return registered(stores, number, answers, calibration, changed=lambda evidence: evidence.only(kept))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("weak")


@pytest.fixture(scope="module")
def frozen(folder) -> Stores:
    return deliver(folder, seed=4, weak_subgroup=0.16)


@pytest.fixture(scope="module")
def exam(folder, frozen) -> Exam:
    from skin_platform.ml.embedder import Embedder

    with (folder / "world" / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        (subgroup,) = {row["weak_subgroup"] for row in csv.DictReader(manifest)} - {""}
    attribute, value = subgroup.split(" ", 1)
    rows = frozen.datasets.read(frozen.datasets.latest())
    table = pa.table({"sha256": [row.sha256 for row in rows], "label": [row.label for row in rows]})
    images = (frozen.objects.download_file(*parse_uri(row.s3_uri)) for row in rows)
    return Exam(subgroup, np.concatenate(list(Embedder.of_nothing_learnt().embed(images))),
                np.array([NAMES.index(row.label) for row in rows]), np.array([row.split for row in rows]),
                np.array(attributes_of(frozen.catalogue, table, [30, 50, 70])[attribute]) == value)


@pytest.fixture(scope="module")
def stores(exam, frozen) -> Stores:
    """The home with a champion that learnt from everyone, but colours alone: weak, and nowhere weaker."""
    version = exam.register(frozen, 1, exam.logits(COLOURS, exam.inside | True))
    frozen.moves.move("champion", version, expected=0, kind="promoted", by="ann", why="the first")
    return frozen


def subgroups_verdict(version: str, stores: Stores):
    judged = {verdict["gate"]: verdict for verdict in read_judgement(version, stores).verdicts}
    assert judged["champion"]["status"] == "passed"
    found = judged["subgroups"]
    return found, {f"{row['attribute']} {row['value']}": row for row in found["figures"]["subgroups"]}


def test_a_fitted_model_is_worse_in_the_planted_subgroup_and_not_elsewhere(exam):
    learnt = exam.logits(EVERYTHING, exam.inside | True)
    assert exam.accuracy(learnt, ~exam.inside) > 0.85
    assert exam.accuracy(learnt, exam.inside) < exam.accuracy(learnt, ~exam.inside) - 0.15


def test_a_fitted_candidate_better_on_average_and_worse_in_the_planted_subgroup_is_refused_by_its_name(exam, stores):
    everyone = exam.inside | True
    champion, candidate = exam.logits(COLOURS, everyone), exam.logits(EVERYTHING, ~exam.inside)
    assert exam.accuracy(candidate, everyone) > exam.accuracy(champion, everyone) + 0.1
    assert exam.accuracy(candidate, exam.inside) < exam.accuracy(champion, exam.inside) - 0.1
    version = exam.register(stores, 2, candidate)
    verdict, rows = subgroups_verdict(version, stores)
    assert (verdict["status"], verdict["blocks"]) == ("failed", True)
    assert [name for name, row in rows.items() if row["verdict"] == "failed"] == [exam.subgroup]
    assert verdict["reason"].startswith(exam.subgroup)
    assert [reason.split(":")[0] for reason in against(version, stores)] == ["subgroups"]


def test_with_three_locked_images_of_the_planted_subgroup_the_verdict_on_it_is_too_few(exam, stores):
    version = exam.register(stores, 3, exam.logits(EVERYTHING, ~exam.inside), most=3)
    verdict, rows = subgroups_verdict(version, stores)
    assert (rows[exam.subgroup]["n"], rows[exam.subgroup]["verdict"]) == (3, "too few")
    assert f"{exam.subgroup} (n = 3)" in verdict["reason"]
    assert verdict["status"] != "failed"

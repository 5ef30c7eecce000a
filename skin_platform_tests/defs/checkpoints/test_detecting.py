"""Promises of a version's detector: fitted on what was learnt from, calibrated on validation, measured on locked images."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.evidence import Evidence
from skin_platform.core.ood import FEWEST
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.core.report import report_on
from skin_platform.defs.checkpoints import detecting
from skin_platform.defs.checkpoints.detecting import detection, detector_of
from skin_platform.defs.checkpoints.scoring import Scores, answered
from skin_platform.ml.checkpoints import Checkpoint
from skin_platform.ml.embedder import Embedder
from skin_platform.ml.fit import seeded_net
from skin_platform.ml.predictor import Predictor
from skin_platform_tests.defs.bundles.registered import CALIBRATION, NAMES, new_home
from skin_platform_tests.ml.examples import pictures, png, tiny


@pytest.fixture(scope="module")
def loaded():
    """A network that nobody has trained, as a checkpoint of it loads."""
    return Checkpoint(seeded_net(2, tiny(24)).eval(), NAMES, Preprocessing(32), {})


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return new_home(tmp_path_factory.mktemp("detecting") / "home")


def rows_of(stores, split, n, seed):
    """So many pictures of noise, dark and light, of a split."""
    held, rows = pictures(n, seed), []
    for number, (pixels, target) in enumerate(zip(held.pixels, held.targets, strict=True)):
        data = png(pixels)
        sha256 = hashlib.sha256(data).hexdigest()
        stores.objects.upload_file(stores.images_bucket, f"images/{sha256}.png", data)
        address = f"s3://{stores.images_bucket}/images/{sha256}.png"
        rows.append(DatasetRow(sha256, NAMES[target], f"{split}{number}", split, address))
    return rows


def scores_of(loaded, stores, held, locked, openings=1):
    """What the network gives for validation and locked rows; the answers themselves matter to nobody here."""
    n = len(locked)
    flat = np.full((n, 2), 0.5)
    evidence = Evidence(tuple(row.sha256 for row in locked), tuple(row.group_id for row in locked), NAMES, np.arange(n) % 2,
                        flat, flat, flat > 0)
    report = report_on(evidence)
    return Scores("test", evidence, report, answered(loaded, locked, stores).features, answered(loaded, held, stores).features,
                  report, CALIBRATION, openings)


@pytest.fixture(scope="module")
def seen(loaded, stores):
    """Rows learnt from, the scores, the detector, and what was told of it."""
    learnt, said = rows_of(stores, "train", 40, 1), []
    scores = scores_of(loaded, stores, rows_of(stores, "val", 30, 2), rows_of(stores, "test", 20, 3))
    return learnt, scores, detector_of(loaded, learnt, scores, stores, said.append), said


def test_images_like_those_learnt_from_pass_and_others_are_flagged(seen, loaded):
    _, scores, detector, _ = seen
    told = detection(detector, scores, 0.01)
    assert told["level_in_force"] == pytest.approx(1 / 31)
    assert told["calibration_images"] == 30
    assert told["flagged"]["n"] == 20
    assert told["flagged"]["share"] == told["flagged"]["images"] / 20 <= 0.2
    assert told["flagged"]["low"] <= told["flagged"]["share"] <= told["flagged"]["high"]
    stripes = np.zeros((1, 32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    assert detector.judge(Predictor(loaded).answered([png(stripes[0])]).features)[0].flagged


def test_features_that_are_in_store_are_not_computed_again_and_give_the_same_detector(seen, loaded, stores, monkeypatch):
    learnt, scores, detector, said = seen
    assert "computed in" in said[-1]
    embedder = Embedder.of_net(loaded.net, loaded.preprocessing)
    features = np.concatenate(list(embedder.embed(stores.cache.image(row.sha256, row.s3_uri) for row in learnt)))
    stores.embeddings.add(embedder.digest, "asked", [row.sha256 for row in learnt], features)
    monkeypatch.setattr(detecting, "labelled_images", None)
    again = detector_of(loaded, learnt, scores, stores, said.append)
    assert "were in store" in said[-1]
    np.testing.assert_allclose(again.scores(scores.features), detector.scores(scores.features), rtol=1e-3)


def test_at_most_so_many_images_of_a_label_are_looked_at(seen, loaded, stores, monkeypatch):
    learnt, scores, _, said = seen
    monkeypatch.setattr(detecting, "MOST", 12)
    assert detector_of(loaded, learnt, scores, stores, said.append) is not None
    assert "of 24 images" in said[-1]


def test_without_calibration_images_enough_there_is_none_and_the_card_can_say_so(seen, loaded, stores):
    learnt, _, _, said = seen
    few = scores_of(loaded, stores, rows_of(stores, "val", FEWEST - 1, 2), rows_of(stores, "test", 4, 3))
    assert detector_of(loaded, learnt, few, stores, said.append) is None
    assert f"{FEWEST} are needed" in said[-1]
    told = detection(None, few, 0.01)
    assert (told["level_in_force"], told["flagged"], told["calibration_images"]) == (None, None, FEWEST - 1)


def test_where_no_split_is_locked_no_share_is_told(seen):
    _, scores, detector, _ = seen
    assert detection(detector, replace(scores, openings=0), 0.01)["flagged"] is None

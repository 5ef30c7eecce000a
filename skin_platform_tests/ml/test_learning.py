"""What learns: the fit, the checkpoint, the export and the scores."""

import hashlib
import io
import pickle

import numpy as np
import onnxruntime as ort
import pytest
import torch
from PIL import Image

from skin_platform.core.answers import softmax
from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import build_backbone, weights_digest
from skin_platform.ml.checkpoints import CheckpointError, dump_checkpoint, load_checkpoint
from skin_platform.ml.config import ConfigError, TrainingConfig
from skin_platform.ml.examples import LabelledImages
from skin_platform.ml.export import to_onnx
from skin_platform.ml.fit import features_of, fit
from skin_platform.ml.predictor import Predictor

LABELS = ("dark", "light")
CALIBRATION = Calibration(1.5, (0.9, 0.9), 0.9, False, 8, (4, 4))


def pictures(n: int, seed: int) -> LabelledImages:
    """Dark and light noise, which a network tells apart after a few steps."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    pixels = rng.integers(0, 90, (n, 32, 32, 3)) + 130 * targets[:, None, None, None]
    return LabelledImages(pixels.astype(np.uint8), targets.astype(np.int64))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def small() -> TrainingConfig:
    return TrainingConfig(image_size_px=32, width=0.125, epochs=6, batch_size=8, learning_rate=3e-3, seed=3).resolved(40)


@pytest.fixture(scope="module")
def fitted(small):
    return fit(pictures(40, 0), pictures(12, 1), 2, small, Preprocessing(32))


@pytest.fixture(scope="module")
def checkpoint_bytes(fitted):
    return dump_checkpoint(fitted, LABELS, Preprocessing(32), {"dataset_digest": "d" * 64}, CALIBRATION)


def test_a_network_learns_what_can_be_learnt(fitted, checkpoint_bytes):
    held = pictures(12, 1)
    logits = Predictor(load_checkpoint(checkpoint_bytes)).logits(png(image) for image in held.pixels)
    assert (logits.argmax(1) == held.targets).mean() > 0.9
    assert len(fitted.history) == 6
    assert {"train_loss", "val_loss", "val_accuracy", "val_macro_f1", "images_per_second"} <= set(fitted.history[-1])


def test_the_same_seed_gives_the_same_weights(fitted, small):
    again = fit(pictures(40, 0), pictures(12, 1), 2, small, Preprocessing(32))
    assert weights_digest(again.net) == weights_digest(fitted.net)
    other = fit(pictures(40, 0), pictures(12, 1), 2, TrainingConfig(**{**vars(small), "seed": 4}), Preprocessing(32))
    assert weights_digest(other.net) != weights_digest(fitted.net)


def test_a_checkpoint_carries_what_it_must(checkpoint_bytes, fitted):
    loaded = load_checkpoint(checkpoint_bytes)
    assert loaded.labels == LABELS
    assert loaded.preprocessing == Preprocessing(32)
    assert loaded.record["dataset_digest"] == "d" * 64
    assert loaded.record["config"]["seed"] == 3
    assert loaded.record["backbone_digest"] == fitted.backbone_digest
    assert loaded.calibration == CALIBRATION
    assert weights_digest(loaded.net) == weights_digest(fitted.net)


class Payload:
    ran = False

    def __reduce__(self):
        return (exec, ("import skin_platform_tests.ml.test_learning as t; t.Payload.ran = True",))


def test_a_checkpoint_never_runs_code():
    with pytest.raises(CheckpointError):
        load_checkpoint(pickle.dumps(Payload()))
    buffer = io.BytesIO()
    torch.save({"format": 1, "state_dict": Payload()}, buffer)
    with pytest.raises(CheckpointError):
        load_checkpoint(buffer.getvalue())
    assert not Payload.ran


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 50])
def test_foreign_bytes_are_no_checkpoint(data):
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(data)


def test_the_export_answers_as_the_checkpoint(checkpoint_bytes):
    checkpoint = load_checkpoint(checkpoint_bytes)
    session = ort.InferenceSession(to_onnx(checkpoint), providers=["CPUExecutionProvider"])
    held = pictures(7, 5)
    expected = softmax(Predictor(checkpoint).logits(png(image) for image in held.pixels))
    for n in (1, 7):
        logits, features = session.run(["logits", "features"], {"images": Preprocessing(32).tensor(held.pixels[:n])})
        np.testing.assert_allclose(softmax(logits), expected[:n], atol=1e-5)
        np.testing.assert_allclose(features, features_of(checkpoint.net, held, Preprocessing(32))[:n], atol=1e-4)


def test_an_untrained_efficientnet_gives_live_features():
    backbone = build_backbone(TrainingConfig(backbone="efficientnet_b0", width=0.25, image_size_px=64).resolved(10)).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(2, 3, 64, 64), output_hidden_states=True).hidden_states
    assert maps[-1].abs().max() > 1e-3


def test_weights_load_from_a_local_folder_and_can_be_frozen(tmp_path, small):
    donor = build_backbone(small)
    donor.save_pretrained(tmp_path / "hub")
    config = TrainingConfig(backbone="resnet18", weights=str(tmp_path / "hub"), frozen=True, image_size_px=32, epochs=1,
                            batch_size=8).resolved(16)
    result = fit(pictures(16, 0), pictures(4, 1), 2, config, Preprocessing(32))
    assert result.backbone_digest == weights_digest(donor)
    assert weights_digest(result.net.backbone) == weights_digest(donor)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"weights": "some-lab/some-model"}, "revision"), ({"weights": "x", "revision": "main"}, "main"),
    ({"frozen": True}, "frozen"), ({"epochs": -1}, "epochs"), ({"batch_size": 1}, "batch_size"),
    ({"image_size_px": 8}, "image_size_px"), ({"weights": "x", "width": 0.5}, "width"),
])
def test_a_setting_that_cannot_work_is_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        build_backbone(TrainingConfig(**wrong).resolved(100))


def test_auto_fits_the_weights():
    plain, given = TrainingConfig().resolved(480), TrainingConfig(weights="folder").resolved(480)
    assert (plain.backbone, plain.image_size_px, plain.width) == ("resnet18", 112, 0.5)
    assert (given.backbone, given.image_size_px, given.width) == ("auto", 224, 1.0)
    assert TrainingConfig(backbone="efficientnet_b0").resolved(480).image_size_px == 224


def test_images_reach_the_network_unchanged_by_the_way_they_are_batched(checkpoint_bytes):
    held = [png(image) for image in pictures(5, 9).pixels]
    checkpoint = load_checkpoint(checkpoint_bytes)
    np.testing.assert_allclose(Predictor(checkpoint, 2).logits(held), Predictor(checkpoint, 5).logits(held), atol=1e-5)
    assert hashlib.sha256(held[0]).hexdigest() != hashlib.sha256(held[1]).hexdigest()

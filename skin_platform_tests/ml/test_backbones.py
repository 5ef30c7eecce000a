"""Backbones: any family of transformers, from a folder that is pinned and runs no code."""

import hashlib
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    EfficientNetConfig,
    EfficientNetModel,
    ResNetConfig,
    ResNetModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml import weights as weights_module
from skin_platform.ml.backbones import build_backbone, pooled_features, preprocessing_of, weights_digest
from skin_platform.ml.checkpoints import dump_checkpoint, load_checkpoint
from skin_platform.ml.config import ConfigError, TrainingConfig
from skin_platform.ml.examples import LabelledFeatures
from skin_platform.ml.fit import features_of, fit, fit_head, seeded_net
from skin_platform.ml.predictor import Predictor
from skin_platform_tests.ml.examples import pictures, png, tiny

TOKENS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
STAGES = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}
FAMILIES = {
    "resnet": lambda: ResNetModel(ResNetConfig(embedding_size=8, layer_type="basic", **STAGES)),
    "efficientnet": lambda: EfficientNetModel(EfficientNetConfig(width_coefficient=0.125, hidden_dim=160)),
    "convnext": lambda: ConvNextModel(ConvNextConfig(**STAGES)),
    "swin": lambda: SwinModel(SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)),
    "vit": lambda: ViTModel(ViTConfig(intermediate_size=32, **TOKENS)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(mlp_ratio=2, **TOKENS)),
    "dinov2_with_registers": lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(mlp_ratio=2, **TOKENS)),
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder for each family, as save_pretrained lays it out."""
    root = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    for name, make in FAMILIES.items():
        make().save_pretrained(root / name)
    return root


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_and_loaded_again(hub, family):
    config = TrainingConfig(weights=str(hub / family), image_size_px=32, epochs=1, batch_size=8).resolved(16)
    result = fit(pictures(16, 0), pictures(4, 1), 2, config, Preprocessing(32))
    assert result.config.backbone == family
    assert result.backbone_digest == weights_digest(build_backbone(config))
    calibration = Calibration(1.5, (0.9, 0.9), 0.9, False, 8, (4, 4))
    loaded = load_checkpoint(dump_checkpoint(result, ("a", "b"), Preprocessing(32), {}, calibration))
    images = [png(image) for image in pictures(3, 5).pixels]
    own = Predictor(loaded).logits(images)
    assert np.isfinite(own).all()
    assert weights_digest(loaded.net) == weights_digest(result.net)
    assert weights_digest(loaded.net.backbone) != result.backbone_digest  # fine-tuned


def test_features_of_tokens_are_class_token_and_statistics_of_the_patches(hub):
    backbone = build_backbone(TrainingConfig(weights=str(hub / "dinov2_with_registers"), image_size_px=64).resolved(8)).eval()
    images = torch.rand(2, 3, 64, 64)  # another size than the 32 px it was made for
    with torch.no_grad():
        found, tokens = pooled_features(backbone, images), backbone(images).last_hidden_state
    assert tokens.shape[1] == 1 + 4 + 16
    np.testing.assert_allclose(found[:, :16], tokens[:, 0])
    np.testing.assert_allclose(found[:, 16:32], tokens[:, 5:].mean(1), atol=1e-6)


@pytest.mark.parametrize("family", ["resnet", "dinov2"])
def test_a_head_on_features_has_the_weights_of_one_on_images(hub, family):
    settings = {"weights": str(hub / family), "frozen": True, "image_size_px": 32, "epochs": 3, "batch_size": 8}
    config = TrainingConfig(**settings).resolved(20)
    train, held = pictures(20, 0), pictures(6, 1)
    on_images = fit(train, held, 2, config, Preprocessing(32))
    net = seeded_net(2, config)
    parts = [LabelledFeatures(features_of(net, part, Preprocessing(32)), part.targets) for part in (train, held)]
    on_features = fit_head(*parts, 2, config, Preprocessing(32))
    assert weights_digest(on_features.net) == weights_digest(on_images.net)
    assert weights_digest(on_features.net.backbone) == on_features.backbone_digest
    batch_by_batch = np.concatenate([features_of(net, pictures(20, 0), Preprocessing(32))[:7], parts[0].features[7:]])
    np.testing.assert_array_equal(batch_by_batch, parts[0].features)
    # with augmentation the backbone sees every image anew, and stays as it was all the same
    altered = fit(train, held, 2, TrainingConfig(**settings, augment="on").resolved(20), Preprocessing(32))
    assert weights_digest(altered.net.backbone) == on_features.backbone_digest
    assert weights_digest(altered.net) != weights_digest(on_features.net)


def test_features_that_do_not_fit_the_backbone_are_refused(hub):
    config = TrainingConfig(weights=str(hub / "resnet"), frozen=True, image_size_px=32).resolved(8)
    wrong = LabelledFeatures(np.zeros((8, 5), np.float32), np.arange(8) % 2)
    with pytest.raises(ConfigError, match="compute them anew"):
        fit_head(wrong, wrong, 2, config, Preprocessing(32))
    with pytest.raises(ConfigError, match="frozen"):
        fit_head(wrong, wrong, 2, tiny(8), Preprocessing(32))


def test_weights_may_lie_as_the_hub_s_cache_lays_them(hub, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--lab--eye" / "snapshots" / COMMIT
    shutil.copytree(hub / "vit", snapshot)
    digest = weights_digest(build_backbone(TrainingConfig(weights=str(hub / "vit"), image_size_px=32).resolved(8)))
    monkeypatch.setattr(weights_module, "HF_HUB_CACHE", str(tmp_path))
    for named in ({"weights": "lab/eye", "revision": COMMIT}, {"weights": str(tmp_path / "models--lab--eye")},
                  {"weights": str(hub / "vit"), "revision": digest}):
        assert weights_digest(build_backbone(TrainingConfig(image_size_px=32, **named).resolved(8))) == digest


@pytest.mark.parametrize(("named", "words"), [
    ({"weights": "lab/eye", "revision": COMMIT}, "hf download lab/eye --revision"), ({"weights": "lab/eye"}, "revision="),
    ({"weights": "/nowhere/at/all"}, "no such folder"), ({"weights": "lab/eye", "revision": "main"}, "is no commit"),
    ({"backbone": "convnext"}, "name a folder or hub id as weights"),
])
def test_weights_that_are_not_here_are_named_with_the_remedy_and_never_downloaded(tmp_path, monkeypatch, named, words):
    monkeypatch.setattr(weights_module, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *arguments: pytest.fail("nothing is downloaded"))
    with pytest.raises(ConfigError, match=words):
        build_backbone(TrainingConfig(**named).resolved(8))


class Payload:
    ran = False

    def __reduce__(self):
        return (exec, ("import skin_platform_tests.ml.test_backbones as t; t.Payload.ran = True",))


def test_a_folder_that_would_run_code_is_refused(hub, tmp_path):
    def config():
        return TrainingConfig(weights=str(tmp_path), image_size_px=32).resolved(8)

    described = json.loads((hub / "resnet" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin, which can run code"):
        build_backbone(config())
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ConfigError, match="cannot load the weights"):
        build_backbone(config())
    (tmp_path / "model.safetensors").write_bytes((hub / "resnet" / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(described | {"auto_map": {"AutoModel": "own.Model"}}))
    (tmp_path / "own.py").write_text("import skin_platform_tests.ml.test_backbones as t; t.Payload.ran = True")
    with pytest.raises(ConfigError, match="auto_map"):
        build_backbone(config())
    assert not Payload.ran


def test_other_weights_than_those_pinned_or_described_are_refused(hub, tmp_path):
    with pytest.raises(ConfigError, match="as pinned"):
        build_backbone(TrainingConfig(weights=str(hub / "resnet"), revision=hashlib.sha256(b"other").hexdigest()).resolved(8))
    with pytest.raises(ConfigError, match="those of a resnet"):
        build_backbone(TrainingConfig(weights=str(hub / "resnet"), backbone="efficientnet_b0").resolved(8))
    (tmp_path / "config.json").write_bytes((hub / "resnet" / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((hub / "vit" / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="lack"):
        build_backbone(TrainingConfig(weights=str(tmp_path), image_size_px=32).resolved(8))


def test_weights_of_a_classifier_serve_as_backbone_with_the_statistics_they_were_trained_with(tmp_path):
    ViTForImageClassification(ViTConfig(intermediate_size=32, **TOKENS)).save_pretrained(tmp_path)
    statistics = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.4, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(statistics))
    config = TrainingConfig(weights=str(tmp_path), image_size_px=32).resolved(8)
    assert weights_digest(build_backbone(config)) == weights_digest(build_backbone(config))  # the lacking pooler is not drawn
    assert preprocessing_of(config) == Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.4, 0.3))
    (tmp_path / "preprocessor_config.json").unlink()
    assert preprocessing_of(config) == Preprocessing(32)

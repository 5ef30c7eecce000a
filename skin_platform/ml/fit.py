"""The fit: examples in, trained weights and their history out.

Here: which network learns from what. Not here: the trainer (``ml.learning``), when it ends and is saved (``ml.course``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PretrainedConfig

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.allocator import keep_freed_memory
from skin_platform.ml.backbones import build_backbone, weights_digest
from skin_platform.ml.classifier import LesionNet
from skin_platform.ml.config import ConfigError, TrainingConfig
from skin_platform.ml.examples import Examples, LabelledFeatures, LabelledImages
from skin_platform.ml.failures import named_failures
from skin_platform.ml.learning import Lesson, learn
from skin_platform.ml.order import Share
from skin_platform.ml.progress import Hooks
from skin_platform.ml.ranks import learn_on_ranks
from skin_platform.ml.resume import Resumable, ResumeFile, resume_file

FEATURE_BATCH = 32  # images whose features are computed at once


@dataclass(frozen=True)
class Fit:
    """A trained network with the figures of every epoch and the digest of the backbone that it began with.

    ``kept_epoch`` is the epoch (from 1) whose weights these are; ``chosen_by`` the validation figure that chose it, empty
    where the last was kept; ``ended_by`` is epochs, minutes or patience; ``seconds`` count earlier, interrupted runs too.
    """

    net: LesionNet
    config: TrainingConfig
    history: tuple[dict[str, float], ...]
    backbone_digest: str
    seconds: float
    kept_epoch: int
    chosen_by: str
    ended_by: str


def fit(
    train: LabelledImages, held_back: LabelledImages, classes: int, config: TrainingConfig, preprocessing: Preprocessing,
    hooks: Hooks | None = None, resumable: Resumable | None = None,
) -> Fit:
    """Train a resolved ``config``. With ``resumable`` its state is kept while it runs, and an earlier one's is gone on from:
    the weights are the same as if nothing had happened.

    A frozen backbone without augmentation is asked once for the features of each image, and the head trains on those.
    Raises ``ConfigError``, and what ``ml.failures`` names.
    """
    net = seeded_net(classes, config)
    config = _named(config, net)
    with named_failures(config.batch_size, config.image_size_px):
        if config.frozen and config.augment == "off":
            parts = [LabelledFeatures(features_of(net, part, preprocessing, config.accelerator), part.targets)
                     for part in (train, held_back)]
            return _fitted(net, parts[0], parts[1], classes, config, preprocessing, hooks, resumable)
        return _fitted(net, train, held_back, classes, config, preprocessing, hooks, resumable)


def fit_head(
    train: LabelledFeatures, held_back: LabelledFeatures, classes: int, config: TrainingConfig, preprocessing: Preprocessing,
    hooks: Hooks | None = None, resumable: Resumable | None = None,
) -> Fit:
    """Train the head of a resolved, frozen ``config`` on features that its backbone gave before (``LesionNet.features``).

    The same weights as ``fit`` gives on the images themselves. Raises ``ConfigError`` where the features do not fit.
    """
    if not config.frozen or config.augment != "off":
        raise ConfigError("stored features are those of unaltered images and of a frozen backbone: set frozen, and augment off")
    net = seeded_net(classes, config)
    config = _named(config, net)
    width = net.head.linear.in_features
    if train.features.shape[1] != width or held_back.features.shape[1] != width:
        raise ConfigError(f"the features have {train.features.shape[1]} numbers an image, the backbone gives {width}: compute "
                          "them anew")
    with named_failures(config.batch_size, config.image_size_px):
        return _fitted(net, train, held_back, classes, config, preprocessing, hooks, resumable)


def seeded_net(classes: int, config: TrainingConfig) -> LesionNet:
    """The untrained network of a resolved ``config``: the same for the same seed; raises ``ConfigError``."""
    keep_freed_memory()
    lightning.seed_everything(config.seed, verbose=False)
    net = LesionNet(build_backbone(config), classes, config.image_size_px, config.dropout)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def features_of(
    net: LesionNet, images: LabelledImages, preprocessing: Preprocessing, accelerator: str = "auto"
) -> NDArray[np.float32]:
    """The backbone's features (N, F) of all ``images``, in float32 and in batches of one size, so that they do not depend on
    which images they are computed with."""
    device = torch.device("cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu")
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    found = np.empty((len(images.targets), net.head.linear.in_features), np.float32)
    net.to(device).eval()
    with torch.inference_mode():
        for start in range(0, len(found), FEATURE_BATCH):
            indices = np.arange(start, start + FEATURE_BATCH)
            images.soon(np.arange(start, min(len(found), start + 2 * FEATURE_BATCH)).tolist())  # these and the next
            pixels = images.batch(np.where(indices < len(found), indices, -1).tolist())[0].to(device)
            standardised = ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
            features = net.features(standardised).cpu().numpy()
            found[start : start + FEATURE_BATCH] = features[: len(found) - start]
    net.cpu()
    return found


def _named(config: TrainingConfig, net: LesionNet) -> TrainingConfig:
    """``config`` with the architecture of given weights in place of ``auto``."""
    if not config.weights:
        return config
    return replace(config, backbone=str(cast(PretrainedConfig, net.backbone.config).model_type))


def _fitted(
    net: LesionNet, train: Examples, held_back: Examples, classes: int, config: TrainingConfig, preprocessing: Preprocessing,
    hooks: Hooks | None, resumable: Resumable | None,
) -> Fit:
    digest = weights_digest(net.backbone)
    learner = net.head if isinstance(train, LabelledFeatures) else net
    told = hooks or Hooks()
    course = {"config": config.course(), "classes": classes, "preprocessing": preprocessing.as_dict(), "backbone": digest,
              "examples": [len(train.targets), len(held_back.targets)]}
    with _file(resumable, course) as file:
        saved = file.found(told.on_note) if file else None
        if saved:
            told.on_note(f"going on after step {saved['global_step']}, where an earlier run of this training was ended")
        done = int(saved["batches"]) if saved else None
        lesson = Lesson(learner, train, held_back, classes, config, preprocessing, file, done)
        learnt = learn(lesson, told, Share()) if config.devices == 1 else learn_on_ranks(lesson, told)
        learner.load_state_dict(dict(learnt.state))
        if file:
            file.remove()
    chosen_by = config.monitor if config.patience else ""
    return Fit(net.cpu().eval(), config, learnt.history, digest, learnt.seconds, learnt.kept_epoch, chosen_by, learnt.ended_by)


@contextmanager
def _file(resumable: Resumable | None, course: dict[str, object]) -> Iterator[ResumeFile | None]:
    if resumable is None:
        yield None
        return
    with resume_file(resumable, course) as file:
        yield file

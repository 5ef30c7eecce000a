"""Learning: one Lightning fit of a network on examples, in this process, on the devices that it has.

Here: the trainer, its precision, its callbacks, going on from a saved state. Not here: what network (``ml.fit``), several
processes (``ml.ranks``).
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import WeightAveraging
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.allocator import keep_freed_memory
from skin_platform.ml.classifier import LesionClassifier
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.course import Course
from skin_platform.ml.examples import Examples, LabelledFeatures
from skin_platform.ml.order import Batches, Order, Share
from skin_platform.ml.progress import Hooks, ProgressTeller
from skin_platform.ml.resume import ResumeFile
from skin_platform.ml.saving import Saving

LightningPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Lesson:
    """Everything that a fit is made from; picklable. ``done`` are the batches of its epoch that the state in ``file`` is past;
    None to begin at the beginning."""

    net: nn.Module
    train: Examples
    held_back: Examples
    classes: int
    config: TrainingConfig
    preprocessing: Preprocessing
    file: ResumeFile | None
    done: int | None


@dataclass(frozen=True)
class Learnt:
    """What came of it: the network's kept state, the figures of every epoch, which epoch was kept, what ended the fit."""

    state: Mapping[str, Tensor]
    history: tuple[dict[str, float], ...]
    kept_epoch: int
    ended_by: str
    seconds: float


def learn(lesson: Lesson, hooks: Hooks, share: Share) -> Learnt:
    """Train the network of ``lesson`` as one of ``share.ranks`` processes; raises what ``ml.failures`` names."""
    keep_freed_memory()
    _hush()
    config = lesson.config
    order, batches, validation = _batches(lesson, share)
    steps = config.epochs * len(order)
    module = LesionClassifier(lesson.net, config, lesson.preprocessing,
                              _class_weights(lesson.train.targets, lesson.classes, config), steps)
    module.train()  # Lightning leaves the mode as it finds it, and features were computed in eval mode
    course = Course(hooks.on_epoch, len(lesson.train.targets), config)
    average = get_ema_multi_avg_fn(_decay(config, steps))  # type: ignore[no-untyped-call]
    trainer = _trainer(config, _precision(lesson), share, [
        # Lightning's own EMA averages by a formula that changes even what stands still, a frozen backbone, in the last bit
        course, WeightAveraging(use_buffers=True, multi_avg_fn=average),
        Saving(lesson.file, config.save_seconds),
        ProgressTeller(hooks.on_progress, steps, config.epochs, config.batch_size)])
    path = None
    if lesson.done is not None and lesson.file is not None:
        order.skip(lesson.done)
        path = lesson.file.path
    trainer.fit(module, batches, validation, ckpt_path=path, weights_only=True)
    state = course.best or {name: value.detach().cpu() for name, value in module.net.state_dict().items()}
    return Learnt(state, tuple(course.history), course.kept_epoch, course.ended_by, course.seconds)


def _trainer(
    config: TrainingConfig, precision: LightningPrecision, share: Share, callbacks: list[lightning.Callback]
) -> lightning.Trainer:
    """Several devices that ask for no other strategy get DDP that looks for unused weights, as poolers of backbones are."""
    several = "ddp_find_unused_parameters_true" if config.strategy == "auto" else config.strategy
    trainer = lightning.Trainer(
        max_epochs=config.epochs, accelerator=config.accelerator, devices=share.ranks,
        strategy=several if share.ranks > 1 else "auto", precision=precision, deterministic="warn",
        gradient_clip_val=1.0, num_sanity_val_steps=0, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, callbacks=callbacks,
        sync_batchnorm=share.ranks > 1 and torch.cuda.is_available())
    # filling fresh memory is for finding bugs; "deterministic" turns it on
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return trainer


def _batches(lesson: Lesson, share: Share) -> tuple[Order, Batches, Batches]:
    config, train, held = lesson.config, lesson.train, lesson.held_back
    chances = None
    if config.class_balance == "sampler":
        weights = class_weights(train.targets, lesson.classes)[train.targets]
        chances = weights / weights.sum()
    order = Order(len(train.targets), config.batch_size, config.seed, share, chances=chances, soon=train.soon)
    in_order = Order(len(held.targets), config.batch_size, None, share, soon=held.soon)
    return order, Batches(order, train.batch), Batches(in_order, held.batch)


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Inverse square root of each class's frequency, with mean 1 over the images; a class without images weighs nothing."""
    counts = np.bincount(np.asarray(targets), minlength=classes)
    weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0.0)
    result: NDArray[np.float64] = weights / (weights * counts).sum() * counts.sum()
    return result


def _class_weights(targets: NDArray[np.int64], classes: int, config: TrainingConfig) -> Tensor:
    weighs = config.class_balance == "weights"
    return torch.tensor(class_weights(targets, classes) if weighs else np.ones(classes), dtype=torch.float32)


def _decay(config: TrainingConfig, steps: int) -> float:
    """The averaging window: an eighth of a short fit, else what the config says."""
    return max(0.0, min(config.ema_decay, 1 - 8 / steps))


def _precision(lesson: Lesson) -> LightningPrecision:
    """bf16 where the processor computes in it and the backbone gains by it (ResNet-18: 24 to 69 images/s)."""
    config = lesson.config
    if config.precision != "auto":
        return config.precision
    if isinstance(lesson.train, LabelledFeatures):
        return "32-true"  # one small matrix: nothing to gain
    if torch.cuda.is_available() and config.accelerator != "cpu":
        return "16-mixed"
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16-mixed" if native and config.backbone.startswith("resnet") else "32-true"


def _hush() -> None:
    """Lightning's hints on workers and hardware say nothing that a person at the run's log could use."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def plain(learnt: Learnt) -> dict[str, Any]:
    """The same as plain values and tensors."""
    return {"state": dict(learnt.state), "history": list(learnt.history), "kept_epoch": learnt.kept_epoch,
            "ended_by": learnt.ended_by, "seconds": learnt.seconds}

"""The classifier: a backbone and a head on its features, and how both learn.

Here: the network and the Lightning module. Not here: features (``ml.backbones``), the fit (``ml.fit``), scoring
(``core.report``).
"""

import random
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.augmentation import augmentation
from skin_platform.ml.backbones import pooled_features
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.scores import Scores


class Head(nn.Module):
    """Features (N, F), float32, to logits (N, C)."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.linear(self.dropout(self.normalize(features)))
        return logits


class LesionNet(nn.Module):
    """Standardised float32 (N, 3, S, S) to logits (N, C)."""

    def __init__(self, backbone: nn.Module, classes: int, size_px: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.is_frozen = False
        mode = backbone.training
        with torch.no_grad():
            width = pooled_features(backbone.eval(), torch.zeros(2, 3, size_px, size_px)).shape[1]
        backbone.train(mode)
        self.head = Head(width, classes, dropout)

    def freeze(self) -> None:
        """Keep the backbone as it is, its batch-norm statistics included, whatever is trained."""
        self.is_frozen = True
        self.backbone.requires_grad_(False)
        self.backbone.eval()

    def train(self, mode: bool = True) -> "LesionNet":
        """As every module, but a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.is_frozen:
            self.backbone.eval()
        return self

    def features(self, images: Tensor) -> Tensor:
        """Float32 features (N, F) of standardised images; with ``head``, what ``forward`` is made of."""
        return pooled_features(self.backbone, images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.features(images))
        return logits


class LesionClassifier(lightning.LightningModule):
    """Batches of (inputs, int64 targets (N,)); one shared step for training and validation.

    Inputs are uint8 images (N, 3, S, S) for a ``LesionNet``, or float32 features (N, F) for a ``Head``. A target of -1 is
    nobody's: it fills up a batch and counts nowhere.
    """

    mean: Tensor
    std: Tensor
    class_weights: Tensor

    def __init__(
        self, net: nn.Module, config: TrainingConfig, preprocessing: Preprocessing, class_weights: Tensor, steps: int
    ) -> None:
        super().__init__()
        self.net, self.config, self.steps = net, config, steps
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.augment = augmentation(config)
        self.train_scores, self.val_scores = Scores(len(class_weights)), Scores(len(class_weights))
        if config.frozen and isinstance(net, LesionNet):
            net.freeze()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Each step draws from a seed of its own, so that a resumed fit draws what the uninterrupted one draws."""
        seed = int(np.random.SeedSequence([self.config.seed, self.global_step, self.global_rank]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The loss of one augmented batch."""
        inputs, targets = batch
        return self._step(self._prepared(inputs, is_training=True), targets, self.train_scores)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Loss and metrics of one batch as it is."""
        inputs, targets = batch
        self._step(self._prepared(inputs, is_training=False), targets, self.val_scores)

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle of the learning rate over the whole fit (Smith & Topin 2018)."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        rate = self.config.learning_rate
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=self.config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, self.steps), pct_start=0.2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _prepared(self, inputs: Tensor, *, is_training: bool) -> Tensor:
        """Images augmented, standardised, channels last; features as they are."""
        if inputs.dtype != torch.uint8:
            return inputs
        scaled = inputs.float() / 255
        if is_training and self.augment is not None:
            with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
                scaled = self.augment(scaled)
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _step(self, inputs: Tensor, targets: Tensor, scores: Scores) -> Tensor:
        """The mean loss over the images of a batch, each weighted by its class.

        Not divided by the batch's own sum of weights, as torch does: the mean over several devices is then the one that a
        single device would see.
        """
        logits = self.net(inputs).float()
        losses = nn.functional.cross_entropy(
            logits, targets, self.class_weights, reduction="none", ignore_index=-1, label_smoothing=self.config.label_smoothing)
        scores.update(logits.detach(), targets, losses.detach())
        return losses.mean()

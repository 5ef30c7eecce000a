"""The classifier: a backbone, a head on the statistics of its feature maps, and how both learn.

Here: the network and the Lightning module. Not here: the fit (``ml.fit``), scoring (``ml.evaluation``).
"""

from typing import Any

import lightning
import torch
from kornia.augmentation import (
    AugmentationSequential,
    ColorJiggle,
    RandomAffine,
    RandomHorizontalFlip,
    RandomVerticalFlip,
)
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassRecall

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.config import TrainingConfig


class LesionNet(nn.Module):
    """Standardised float32 (N, 3, S, S) to logits (N, C).

    The head sees mean and standard deviation of every stage's maps (colour and texture are early, shape is late;
    statistics as in Gatys et al. 2016): from scratch on 480 images this reached 0.60 accuracy where the pooled last stage
    reached 0.50.
    """

    def __init__(self, backbone: nn.Module, classes: int, size_px: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            features = self._features(torch.zeros(2, 3, size_px, size_px)).shape[1]
        self.normalize = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.dropout(self.normalize(self._features(images))))
        return logits

    def _features(self, images: Tensor) -> Tensor:
        maps = self.backbone(images, output_hidden_states=True).hidden_states
        parts = []
        for stage in (stage.float() for stage in maps if stage.dim() == 4):
            mean = stage.mean((2, 3))
            variance = ((stage - mean[:, :, None, None]) ** 2).mean((2, 3))
            parts += [mean, (variance + 1e-5).sqrt()]
        return torch.cat(parts, 1)


class LesionClassifier(lightning.LightningModule):
    """Batches of (uint8 images (N, 3, S, S), int64 targets (N,)); one shared step for training and validation."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, net: LesionNet, config: TrainingConfig, preprocessing: Preprocessing, class_weights: Tensor, steps: int
    ) -> None:
        super().__init__()
        self.net, self.config, self.steps = net, config, steps
        classes = len(class_weights)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)
        self.loss = nn.CrossEntropyLoss(class_weights, label_smoothing=config.label_smoothing)
        self.augment = AugmentationSequential(
            RandomHorizontalFlip(), RandomVerticalFlip(),
            RandomAffine(180.0, translate=(0.1, 0.1), scale=(0.8, 1.2), padding_mode="reflection", p=1.0),
            ColorJiggle(0.15, 0.15, 0.1, 0.02, p=0.8),
            data_keys=["input"],
        )
        self.train_metrics = _metrics(classes, "train_")
        self.val_metrics = _metrics(classes, "val_")
        if config.frozen:
            self.net.backbone.requires_grad_(False)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The loss of one augmented batch."""
        return self._step(batch, "train", self.train_metrics)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Loss and metrics of one batch as it is."""
        self._step(batch, "val", self.val_metrics)

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle of the learning rate over the whole fit (Smith & Topin 2018)."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        rate = self.config.learning_rate
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=self.config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, self.steps), pct_start=0.2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """A frozen backbone keeps its batch-norm statistics too."""
        if self.config.frozen:
            self.net.backbone.eval()

    def _step(self, batch: tuple[Tensor, Tensor], stage: str, metrics: MetricCollection) -> Tensor:
        images, targets = batch
        scaled = images.float() / 255
        if stage == "train":
            with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
                scaled = self.augment(scaled)
        standardised = ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        logits = self.net(standardised)
        loss: Tensor = self.loss(logits.float(), targets)
        metrics.update(logits.detach().float(), targets)
        self.log(f"{stage}_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(targets))
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss


def _metrics(classes: int, prefix: str) -> MetricCollection:
    return MetricCollection({
        "accuracy": MulticlassAccuracy(classes, average="micro"),
        "macro_f1": MulticlassF1Score(classes, average="macro"),
        "macro_recall": MulticlassRecall(classes, average="macro"),
    }, prefix=prefix)

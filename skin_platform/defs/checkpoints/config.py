"""The launchpad's form of the training settings: the fields of ``ml.config.TrainingConfig``, described."""

from typing import Literal

import dagster as dg
from pydantic import Field

from skin_platform.ml.config import TrainingConfig


class TrainConfig(dg.Config):
    """How to train; what is left alone fits the machine and the weights."""

    backbone: Literal["auto", "efficientnet_b0", "resnet18"] = Field(
        "auto", description="auto: efficientnet_b0 with weights, a half-width resnet18 without")
    weights: str = Field("", description="empty: untrained; a local folder laid out like a hub repository; or a hub id")
    revision: str = Field("", description="the commit (40 hex digits) that pins weights from a hub")
    frozen: bool = Field(False, description="train the head alone; needs weights")
    width: float = Field(0.0, description="channels of an untrained backbone as a share of the published; 0: auto")
    image_size_px: int = Field(0, description="side of the square that images are brought to; 0: auto (112 or 224)")
    epochs: int = Field(0, description="passes over the training images; 0: as many as learn something in minutes")
    batch_size: int = Field(0, description="images in one step; 0: 32, or 16 in a short fit")
    learning_rate: float = Field(5e-4, description="the peak of the one-cycle schedule")
    weight_decay: float = Field(0.05, description="of AdamW")
    dropout: float = Field(0.5, description="before the last layer")
    label_smoothing: float = Field(0.1, description="of the cross entropy")
    ema_decay: float = Field(0.98, description="of the averaged weights that are kept")
    minutes: float = Field(30.0, description="stop after the epoch in which so many minutes have passed")
    seed: int = Field(0, description="of initial weights, order and augmentation")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field("auto", description="Lightning's precision")

    def settings(self) -> TrainingConfig:
        """The same as the learner takes it."""
        return TrainingConfig(**self.model_dump())

"""The launchpad's form of the training settings: the fields of ``ml.config.TrainingConfig``, described."""

from typing import Literal

import dagster as dg
from pydantic import Field

from skin_platform.dataset_entries import BackboneConfig
from skin_platform.ml.config import TrainingConfig

STRENGTH = "a strength from 0 (off) to 1"


class TrainConfig(dg.Config):
    """How to train; what is left alone fits the machine and the weights, and the backbone is that of ``dataset.yaml``."""

    backbone: str = Field("", description="auto, efficientnet_b0, resnet18, or the weights' kind; empty: dataset.yaml's")
    weights: str = Field("", description="a local folder laid out like a hub repository, or a hub id; empty: untrained where a "
                                         "backbone is named here, else dataset.yaml's")
    revision: str = Field("", description="what pins the weights: a hub id's commit (40 hex digits), a folder's digest (64)")
    frozen: bool = Field(False, description="train the head alone; needs weights")
    width: float = Field(0.0, description="channels of an untrained backbone as a share of the published; 0: auto")
    image_size_px: int = Field(0, description="side of the square that images are brought to; 0: auto (112 or 224)")
    epochs: int = Field(0, description="passes over the training images; 0: as many as learn something in minutes")
    batch_size: int = Field(0, description="images in one step, all devices together; 0: 32, or 16 in a short fit")
    learning_rate: float = Field(5e-4, description="the peak of the one-cycle schedule")
    weight_decay: float = Field(0.05, description="of AdamW")
    dropout: float = Field(0.5, description="before the last layer")
    label_smoothing: float = Field(0.1, description="of the cross entropy")
    ema_decay: float = Field(0.98, description="of the averaged weights that are kept")
    class_balance: Literal["none", "weights", "sampler"] = Field(
        "weights", description="rare labels weigh more in the loss (weights), or are drawn more often (sampler)")
    monitor: Literal["val_loss", "val_accuracy", "val_macro_f1", "val_macro_recall"] = Field(
        "val_macro_f1", description="the figure that patience watches")
    patience: int = Field(0, description="epochs without improvement that end the fit, whose best epoch is kept then; 0: off, "
                                         "the last epoch is kept and the validation images choose nothing")
    min_delta: float = Field(0.0, description="the least change of the monitored figure that is an improvement")
    minutes: float = Field(30.0, description="stop after the epoch in which so many minutes have passed")
    save_seconds: float = Field(30.0, description="between two savings of the state from which a killed fit goes on")
    seed: int = Field(0, description="of initial weights, order and augmentation")
    augment: Literal["auto", "on", "off"] = Field("auto", description="alter training images; auto: unless frozen")
    flips: float = Field(1.0, description=f"horizontal and vertical flips: {STRENGTH}")
    quarter_turns: float = Field(0.0, description=f"turns by 90 degrees: {STRENGTH}")
    affine: float = Field(1.0, description=f"turns by any angle, shifts, zoom: {STRENGTH}")
    colour: float = Field(1.0, description=f"brightness, contrast, saturation, hue: {STRENGTH}")
    blur: float = Field(0.0, description=f"Gaussian blur: {STRENGTH}")
    cutout: float = Field(0.0, description=f"an erased rectangle: {STRENGTH}")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field("auto", description="Lightning's precision")
    accelerator: str = Field("auto", description="Lightning's accelerator: auto, cpu, cuda, mps")
    devices: int = Field(1, description="devices of this machine that share each step, a process each")
    strategy: str = Field("auto", description="Lightning's strategy for several devices; auto: ddp")

    def settings(self, fallback: BackboneConfig) -> TrainingConfig:
        """The same as the learner takes it; the ``fallback`` backbone counts where none is named here."""
        named = self.model_dump()
        if not self.backbone and not self.weights:
            named |= {"backbone": fallback.name, "weights": fallback.weights, "revision": fallback.revision}
        return TrainingConfig(**named | {"backbone": named["backbone"] or "auto"})

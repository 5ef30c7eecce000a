"""Augmentation: what training images may look like besides themselves, with kornia on whole batches.

Here: the transforms and their full strengths. Not here: which strength is taken (``ml.config``).
"""

from collections.abc import Callable
from typing import Any

from kornia.augmentation import (
    AugmentationSequential,
    ColorJiggle,
    RandomAffine,
    RandomErasing,
    RandomGaussianBlur,
    RandomHorizontalFlip,
    RandomRotation90,
    RandomVerticalFlip,
)
from torch import Tensor

from skin_platform.ml.config import TrainingConfig


def augmentation(config: TrainingConfig) -> Callable[[Tensor], Tensor] | None:
    """What maps float images (N, 3, S, S) in 0..1 to altered ones; None where every strength is 0 or it is off.

    A skin lesion has no upright side, so flips and turns alter nothing that matters. Cutout is that of Zhong et al. 2020.
    """
    if config.augment == "off":
        return None
    colour, affine = config.colour, config.affine
    steps: list[tuple[float, list[Any]]] = [
        (config.flips, [RandomHorizontalFlip(p=0.5 * config.flips), RandomVerticalFlip(p=0.5 * config.flips)]),
        (config.quarter_turns, [RandomRotation90((0, 3), p=config.quarter_turns)]),
        (affine, [RandomAffine(180.0 * affine, translate=(0.1 * affine, 0.1 * affine),
                               scale=(1 - 0.2 * affine, 1 + 0.2 * affine), padding_mode="reflection", p=1.0)]),
        (colour, [ColorJiggle(0.15 * colour, 0.15 * colour, 0.1 * colour, 0.02 * colour, p=0.8)]),
        (config.blur, [RandomGaussianBlur((5, 5), (0.1, 0.1 + 1.4 * config.blur), p=0.3)]),
        (config.cutout, [RandomErasing((0.02, 0.02 + 0.18 * config.cutout), p=0.5, value=0.5)]),
    ]
    chosen = [step for strength, group in steps if strength > 0 for step in group]
    return AugmentationSequential(*chosen, data_keys=["input"]) if chosen else None

"""Checkpoints: trained weights with everything needed to use and to trace them, in one file that runs no code."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModel, PretrainedConfig

from skin_platform.core.calibration import Calibration
from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.classifier import LesionNet
from skin_platform.ml.fit import Fit

FORMAT = 3


class CheckpointError(ValueError):
    """The file is no checkpoint of ours; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    ``record`` holds the config (seed, source and revision of the backbone's weights in it), the history, the kept epoch with
    its metrics and what chose it, backbone digest, the calibration, and the provenance: dataset digest, code version, run ids.
    """

    net: LesionNet
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    record: Mapping[str, Any]

    @property
    def calibration(self) -> Calibration:
        """What its confidence is worth, fitted on the validation split when it was trained."""
        return Calibration(**self.record["calibration"])


def dump_checkpoint(
    fit: Fit, labels: tuple[str, ...], preprocessing: Preprocessing, provenance: Mapping[str, str], calibration: Calibration
) -> bytes:
    """The checkpoint file: state dict and plain values only."""
    backbone = cast(PretrainedConfig, fit.net.backbone.config)
    content = {
        "format": FORMAT, "state_dict": fit.net.state_dict(), "labels": list(labels),
        "preprocessing": preprocessing.as_dict(), "backbone_config": backbone.to_json_string(use_diff=False),
        "record": {"config": asdict(fit.config), "history": [dict(row) for row in fit.history],
                   "kept_epoch": fit.kept_epoch, "chosen_by": fit.chosen_by, "ended_by": fit.ended_by,
                   "metrics": dict(fit.history[fit.kept_epoch - 1]), "backbone_digest": fit.backbone_digest,
                   "seconds": fit.seconds, "calibration": asdict(calibration), **provenance},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def load_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint in ``data``, ready to score; nothing in it is executed (``weights_only``).

    Raises ``CheckpointError`` for anything that is not one.
    """
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"not a checkpoint that loads without running code: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"not a checkpoint of format {FORMAT}")
    preprocessing = Preprocessing.from_dict(content["preprocessing"])
    net = LesionNet(_backbone(content["backbone_config"]), len(content["labels"]), preprocessing.size_px, 0.0)
    net.load_state_dict(content["state_dict"])
    return Checkpoint(net.eval(), tuple(content["labels"]), preprocessing, content["record"])


def _backbone(config_json: str) -> torch.nn.Module:
    config = AutoConfig.for_model(**json.loads(config_json))
    backbone: torch.nn.Module = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    return backbone

"""Bundles with a verdict on a lower precision, whose golden answers are measured here and now."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from skin_platform.core.gates import GATES
from skin_platform.core.precisions import PrecisionVerdict
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.runtimes import CAPABILITIES, _core


def has(precision: str) -> bool:
    """Whether this processor has the precision."""
    return CAPABILITIES[precision] in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def says(gate: str, *, blocks: bool = False) -> Mapping[str, Any]:
    """What a gate says."""
    return {"gate": gate, "status": "failed" if blocks else "passed", "blocks": blocks, "reason": "as the figures say",
            "figures": {}}


def judged(bundle: Bundle, **changed: Any) -> Bundle:
    """The bundle with a passed verdict on OpenVINO's bf16; ``changed`` is what it says otherwise."""
    images = [image.data for image in bundle.golden]
    lower, exact = (Engine(bundle, "openvino", of).probabilities(images) for of in ("bf16", "f32"))
    verdict = PrecisionVerdict(
        bundle.provenance.model_version, bundle.subject_sha256, "openvino", "bf16", "test", "", 100, 0, 1.0,
        float(np.abs(lower - exact).max()), None, [says(gate) for gate in GATES], "r" * 64, None,
        {image.sha256: row.tolist() for image, row in zip(bundle.golden, lower, strict=True)}, "here", "now", "Ärztin")
    return replace(bundle, precisions=(replace(verdict, **changed),))

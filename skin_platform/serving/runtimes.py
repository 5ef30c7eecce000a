"""Runtimes: the programs that compute a model in ONNX, each with its precision said aloud.

Here: OpenVINO (the default on processors) and ONNX Runtime (takes a GPU where its build finds one). Not here: what their
answers mean (``serving.engine``), how requests come together to batches (``serving.batching``).
"""

import sys
import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.preprocessing import Preprocessing

RUNTIMES, PRECISIONS = ("openvino", "onnxruntime"), ("f32", "bf16", "f16")
Outputs = dict[str, NDArray[np.float32]]


class RuntimeUnavailableError(RuntimeError):
    """What the settings ask for cannot be had here; the message says what can."""


class Runtime(Protocol):
    """A model that is ready to compute. Safe to call from several threads."""

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The model's outputs by name, float32 with N rows each, for uint8 pixels (N, S, S, 3)."""
        ...


def open_runtime(name: str, model: bytes, preprocessing: Preprocessing, precision: str, threads: int) -> Runtime:
    """``model`` (ONNX) in the runtime called ``name``; ``threads`` 0 takes one a core.

    Raises ``RuntimeUnavailableError`` for a runtime or precision that there is not.
    """
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(f"there is no engine '{name}': SKIN_ENGINE is one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise RuntimeUnavailableError(f"there is no precision '{precision}': SKIN_PRECISION is one of {', '.join(PRECISIONS)}")
    if name == "openvino":
        return OpenVino(model, preprocessing, precision, threads)
    if precision != "f32":
        raise RuntimeUnavailableError(f"ONNX Runtime computes as the model says, in f32: SKIN_PRECISION={precision} needs "
                                      "SKIN_ENGINE=openvino")
    return OnnxRuntime(model, preprocessing, threads)


class OpenVino:
    """The model in OpenVINO on the processor; standardising the pixels is part of its graph."""

    def __init__(self, model: bytes, preprocessing: Preprocessing, precision: str, threads: int) -> None:
        ov = _openvino()
        prepared = ov.preprocess.PrePostProcessor(ov.Core().read_model(model))
        images = prepared.input("images")
        images.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        images.model().set_layout(ov.Layout("NCHW"))
        images.preprocess().convert_element_type(ov.Type.f32).mean([255 * value for value in preprocessing.mean]).scale(
            [255 * value for value in preprocessing.std])
        config = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                  **({"INFERENCE_NUM_THREADS": threads} if threads else {})}
        self._compiled = ov.Core().compile_model(prepared.build(), "CPU", config)
        self._names = [output.get_any_name() for output in self._compiled.outputs]
        self._of_thread = threading.local()

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The outputs by name."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        found = self._of_thread.request.infer([pixels], share_inputs=True)
        return {name: np.array(found[at]) for at, name in enumerate(self._names)}


class OnnxRuntime:
    """The model in ONNX Runtime, on the first device that its build finds."""

    def __init__(self, model: bytes, preprocessing: Preprocessing, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves the decoders
        self._preprocessing = preprocessing
        self._session = ort.InferenceSession(model, options, providers=ort.get_available_providers())
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The outputs by name."""
        found = self._session.run(self._names, {"images": self._preprocessing.tensor(pixels)})
        return dict(zip(self._names, found, strict=True))


def _openvino() -> Any:
    """OpenVINO without its model converter: importing that one reports to Google Analytics, asked or not."""
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # an import of it fails, and is passed over
    import openvino

    return openvino

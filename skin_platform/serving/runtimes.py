"""Runtimes: the programs that compute a model in ONNX, each with its precision said aloud.

Here: ONNX Runtime (the default; takes a GPU where its build finds one) and OpenVINO (bf16 and f16 where the processor has
them; what it would compute otherwise than asked, it does not compute). Not here: what their answers mean
(``serving.engine``), how requests come together to passes (``serving.batching``).

On a processor a model is held twice, and weights of some ten megabytes are the price: for a pass that runs alone, with a thread
on every core, and for passes that run side by side, each in a lane of its own cores. Small networks do not halve their time on
twice the cores (an EfficientNet-B0 took 12.7 ms on one core, 9.7 on two), so that lanes answer a crowd a quarter faster.
"""

import functools
import os
import sys
import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skin_platform.core.preprocessing import Preprocessing

RUNTIMES, PRECISIONS = ("onnxruntime", "openvino"), ("f32", "bf16", "f16")
CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}  # OpenVINO's words for what a processor has instructions for
MAX_LANES = 4  # each holds a pass's activations; beyond them the threads of a lane become more
CPU_BATCH = 4  # images in a pass: from 8 on, activations outgrow the second-level cache and an image takes a third longer
GPU_BATCH = 32
CORE_LOCK = threading.Lock()
Outputs = dict[str, NDArray[np.float32]]


class RuntimeUnavailableError(RuntimeError):
    """What the settings ask for cannot be had here; the message says what can."""


class Runtime(Protocol):
    """A model that is ready to compute. Safe to call from several threads.

    ``lanes`` passes may run at once, each of ``batch`` images at best. ``place`` names program and processor.
    """

    lanes: int
    batch: int
    place: str

    def run(self, pixels: NDArray[np.uint8], *, is_alone: bool) -> Outputs:
        """The model's outputs by name, float32 with N rows each, for uint8 pixels (N, S, S, 3).

        ``is_alone``: no other pass runs now, so that this one may take every core.
        """
        ...


def open_runtime(name: str, model: bytes, preprocessing: Preprocessing, precision: str, threads: int) -> Runtime:
    """``model`` (ONNX) in the runtime called ``name``; ``threads`` 0 takes one a core.

    Raises ``RuntimeUnavailableError`` for a runtime or precision that there is not.
    """
    cores = threads or len(os.sched_getaffinity(0))
    if name not in RUNTIMES:
        raise RuntimeUnavailableError(f"there is no engine '{name}': SKIN_ENGINE is one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise RuntimeUnavailableError(f"there is no precision '{precision}': SKIN_PRECISION is one of {', '.join(PRECISIONS)}")
    if name == "openvino":
        return OpenVino(model, preprocessing, precision, cores)
    if precision != "f32":
        raise RuntimeUnavailableError(f"ONNX Runtime computes as the model says, in f32: SKIN_PRECISION={precision} needs "
                                      "SKIN_ENGINE=openvino")
    return OnnxRuntime(model, preprocessing, cores)


class OnnxRuntime:
    """The model in ONNX Runtime: on a GPU where this build of it has one, else on the processor."""

    def __init__(self, model: bytes, preprocessing: Preprocessing, cores: int) -> None:
        import onnxruntime as ort

        self._preprocessing = preprocessing
        self._has_gpu = "CUDAExecutionProvider" in ort.get_available_providers()
        self.place = f"ONNX Runtime {ort.__version__} on {'the GPU' if self._has_gpu else 'the processor'}"
        self.lanes = min(MAX_LANES, cores)  # beside a GPU, too, since a lane also decodes
        self.batch = GPU_BATCH if self._has_gpu else CPU_BATCH
        self._alone = self._session(model, cores)
        has_one = self._has_gpu or self.lanes == 1
        self._beside = self._alone if has_one else self._session(model, cores // self.lanes)
        self._names = [output.name for output in self._alone.get_outputs()]

    def run(self, pixels: NDArray[np.uint8], *, is_alone: bool) -> Outputs:
        """The outputs by name."""
        session = self._alone if is_alone else self._beside
        found = session.run(self._names, {"images": self._preprocessing.tensor(pixels)})
        return dict(zip(self._names, found, strict=True))

    def _session(self, model: bytes, threads: int) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves the decoders
        exact = ("CUDAExecutionProvider", {"use_tf32": 0})  # which is the usual way there, with a mantissa as short as f16's
        providers = [exact, "CPUExecutionProvider"] if self._has_gpu else ["CPUExecutionProvider"]
        return ort.InferenceSession(model, options, providers=providers)


class OpenVino:
    """The model in OpenVINO on the processor; standardising the pixels is part of its graph."""

    def __init__(self, model: bytes, preprocessing: Preprocessing, precision: str, cores: int) -> None:
        ov, core = _openvino(), _core()
        prepared = ov.preprocess.PrePostProcessor(core.read_model(model))
        images = prepared.input("images")
        images.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        images.model().set_layout(ov.Layout("NCHW"))
        images.preprocess().convert_element_type(ov.Type.f32).mean([255 * value for value in preprocessing.mean]).scale(
            [255 * value for value in preprocessing.std])
        graph = prepared.build()
        self.lanes, self.batch = min(MAX_LANES, cores), CPU_BATCH
        hint = {"INFERENCE_PRECISION_HINT": precision, "ENABLE_CPU_PINNING": False}
        self._alone = core.compile_model(graph, "CPU", {**hint, "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": cores})
        self.place = f"OpenVINO {ov.__version__.partition('-')[0]} on {_processor(core)}"
        _refuse_another_precision(self._alone.get_property("INFERENCE_PRECISION_HINT").get_type_name(), precision, self.place)
        if CAPABILITIES[precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            self.place += f", which emulates {precision}"  # slower than f32, rounded alike
        self._beside = self._alone if self.lanes == 1 else core.compile_model(
            graph, "CPU", {**hint, "NUM_STREAMS": self.lanes, "INFERENCE_NUM_THREADS": cores})
        self._names = [output.get_any_name() for output in self._alone.outputs]
        self._requests = threading.local()  # a request is for one caller at a time

    def run(self, pixels: NDArray[np.uint8], *, is_alone: bool) -> Outputs:
        """The outputs by name."""
        kind = "alone" if is_alone else "beside"
        if not hasattr(self._requests, kind):
            setattr(self._requests, kind, (self._alone if is_alone else self._beside).create_infer_request())
        found = getattr(self._requests, kind).infer([pixels], share_inputs=True)
        return {name: np.array(found[at]) for at, name in enumerate(self._names)}


def _core() -> Any:
    """The one Core of this process, never given up, also where two threads ask for it first.

    Each Core gives the thread that first uses it a stack for signals, and takes it away at its end; of two that end in the
    order in which they came, the second gives back the stack of the first, which is gone: the next signal ends the process.
    """
    with CORE_LOCK:
        return _only_core()


@functools.cache
def _only_core() -> Any:
    return _openvino().Core()


def _processor(core: Any) -> str:
    return " ".join(str(core.get_property("CPU", "FULL_DEVICE_NAME")).split())


def _refuse_another_precision(found: str, asked: str, place: str) -> None:
    """OpenVINO takes another precision, without a word, where a processor does not have the one that is asked for."""
    if found != asked:
        raise RuntimeUnavailableError(f"{place} computes in {found} where {asked} is asked for: this processor does not have "
                                      f"{asked}. Set SKIN_PRECISION to {'f32' if found == 'f32' else f'f32 or {found}'}")


def _openvino() -> Any:
    """OpenVINO without its model converter: importing that one reports to Google Analytics, asked or not."""
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # an import of it fails, and is passed over
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailableError("SKIN_ENGINE is openvino, which is not installed here: `pip install openvino`, or leave "
                                      "the setting at onnxruntime") from error
    return openvino

"""A minimal LitServe app around our engine, with its own batching: no key, no log, nothing kept.

    SERVED_MODEL=FOLDER python -m skin_platform_tests.benchmarks.peers.litserve_minimal PORT
"""

import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine, Scored


class Lesions(litserve.LitAPI):
    """From an uploaded picture to probabilities by label."""

    def setup(self, device: str) -> None:
        """The engine."""
        self.engine = Engine(read_bundle(Path(os.environ["SERVED_MODEL"]) / "bundle"))

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        """The model's input."""
        return self.engine.bundle.preprocessing.pixels(request["image"].file.read())

    def predict(self, pixels: NDArray[np.uint8]) -> list[Scored]:
        """The answers for a batch."""
        return self.engine.score(pixels)

    def encode_response(self, scored: Scored) -> dict[str, Any]:
        """The answer's body."""
        return scored.probabilities


if __name__ == "__main__":
    litserve.LitServer(Lesions(max_batch_size=8, batch_timeout=0.005), accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, generate_client_file=False,
        num_api_servers=1)

"""A minimal FastAPI app around the checkpoint in PyTorch's eager mode: no key, no log, nothing kept.

    SERVED_MODEL=FOLDER uvicorn skin_platform_tests.benchmarks.peers.fastapi_torch:app

The route is ``async``, so that pictures are answered one after the other: as a plain function, which FastAPI runs in up to 40
threads at once, each with torch's own threads, it answered fewer.
"""

import os
from pathlib import Path
from typing import Annotated

import torch
from fastapi import FastAPI, File, UploadFile

from skin_platform.ml.checkpoints import load_checkpoint

checkpoint = load_checkpoint((Path(os.environ["SERVED_MODEL"]) / "model.ckpt").read_bytes())
app = FastAPI()


@app.post("/predict")
async def predict(image: Annotated[UploadFile, File()]) -> dict[str, float]:
    """The probabilities by label."""
    pixels = checkpoint.preprocessing.pixels(await image.read())
    with torch.inference_mode():
        logits = checkpoint.net(torch.from_numpy(checkpoint.preprocessing.tensor(pixels[None])))[0]
    probabilities = (logits / checkpoint.calibration.temperature).softmax(0).tolist()
    return dict(zip(checkpoint.labels, probabilities, strict=True))


@app.post("/predict_in_threads")
def predict_in_threads(image: Annotated[UploadFile, File()]) -> dict[str, float]:
    """The same, in as many threads as FastAPI takes."""
    pixels = checkpoint.preprocessing.pixels(image.file.read())
    with torch.inference_mode():
        logits = checkpoint.net(torch.from_numpy(checkpoint.preprocessing.tensor(pixels[None])))[0]
    probabilities = (logits / checkpoint.calibration.temperature).softmax(0).tolist()
    return dict(zip(checkpoint.labels, probabilities, strict=True))

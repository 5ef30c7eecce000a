"""A minimal FastAPI app with micro-batching around our engine: no key, no log, nothing kept.

    SERVED_MODEL=FOLDER uvicorn skin_platform_tests.benchmarks.peers.fastapi_batched:app
"""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import FastAPI, File, UploadFile
from numpy.typing import NDArray

from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine

MAX_BATCH = 8
engine = Engine(read_bundle(Path(os.environ["SERVED_MODEL"]) / "bundle"))
waiting: asyncio.Queue[tuple[NDArray[np.uint8], asyncio.Future[dict[str, float]]]] = asyncio.Queue()
inference = ThreadPoolExecutor(1)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The batches run as long as the app does."""
    running = asyncio.create_task(run_batches())
    yield
    running.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(image: Annotated[UploadFile, File()]) -> dict[str, float]:
    """The probabilities by label."""
    data = await image.read()
    pixels = await asyncio.to_thread(engine.bundle.preprocessing.pixels, data)
    answer: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
    await waiting.put((pixels, answer))
    return await answer


async def run_batches() -> None:
    """All that waits, at most ``MAX_BATCH`` at once."""
    while True:
        batch = [await waiting.get()]
        while len(batch) < MAX_BATCH and not waiting.empty():
            batch.append(waiting.get_nowait())
        pixels = np.stack([item[0] for item in batch])
        found = await asyncio.get_running_loop().run_in_executor(inference, engine.score, pixels)
        for (_, answer), scored in zip(batch, found, strict=True):
            answer.set_result(scored.probabilities)

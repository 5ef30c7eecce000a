"""The limit: decode, preprocess and infer in one loop with our engine, no HTTP, in a process of its own.

    SERVED_MODEL=FOLDER python -m skin_platform_tests.benchmarks.peers.in_process

Each line that it reads is ``{"batch": N, "seconds": S}``; it answers with a line ``{"seconds": [of each batch], "images": N}``.
"""

import json
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.engine import Engine
from skin_platform_tests.benchmarks.asking import large_pictures


def main() -> None:
    """Answer each line until there is none."""
    folder = Path(os.environ["SERVED_MODEL"])
    engine = Engine(read_bundle(folder / "bundle"))
    pictures = cycle(large_pictures(folder))
    for line in sys.stdin:
        asked = json.loads(line)
        taken, ends = [], time.perf_counter() + asked["seconds"]
        while (started := time.perf_counter()) < ends:
            pixels = [engine.bundle.preprocessing.pixels(data) for data in islice(pictures, asked["batch"])]
            engine.score(np.stack(pixels))
            taken.append(time.perf_counter() - started)
        print(json.dumps({"seconds": taken, "images": asked["batch"] * len(taken)}), flush=True)


if __name__ == "__main__":
    main()

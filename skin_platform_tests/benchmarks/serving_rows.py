"""The rows of the serving benchmark: ratios over the turns; start, memory, environment and probabilities once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from skin_platform.serving.footprint import footprint
from skin_platform.serving.packing import REQUIREMENTS
from skin_platform_tests.benchmarks.contestants import Contestant
from skin_platform_tests.benchmarks.figures import Row, at_most

TORCH_REQUIREMENTS = ("fastapi", "uvicorn", "python-multipart", "numpy", "pillow", "torch", "transformers")
OURS = "skin serve"
BARS = {"limit": 0.7, "LitServe": 1.0, "FastAPI + micro-batching": 0.85, "FastAPI + PyTorch eager": 4.0}


@dataclass
class Turn:
    """What one turn showed: answers a second and processor milliseconds an answer by contestant, and our latencies in ms.

    ``more_ms`` is by how much the median of a lone client is over that of the loop without HTTP just before.
    """

    rates: dict[str, float] = field(default_factory=dict)
    processor_ms: dict[str, float] = field(default_factory=dict)
    alone_ms: list[float] = field(default_factory=list)
    some_ms: list[float] = field(default_factory=list)
    in_process_ms: list[float] = field(default_factory=list)
    more_ms: list[float] = field(default_factory=list)


def rows_of(turns: Sequence[Turn], batch: int) -> list[Row]:
    """Throughput, processor time and latency over all turns."""
    rows = []
    for name, bar in BARS.items():
        ratio = median(turn.rates[OURS] / turn.rates[name] for turn in turns)
        peer = f"in process, batches of {batch}" if name == "limit" else name
        rows.append(Row(f"32 clients, answers a second, against {peer}", _over(turns, lambda turn: turn.rates[OURS]),
                        _over(turns, lambda turn, name=name: turn.rates[name]), ratio, bar, ratio >= bar))
    spent = _over(turns, lambda turn: turn.processor_ms[OURS])
    for name in (name for name in BARS if name != "limit"):
        theirs = _over(turns, lambda turn, name=name: turn.processor_ms[name])
        rows.append(Row(f"processor ms an answer at 32 clients, against {name}", spent, theirs, spent / theirs))
    more = median(one for turn in turns for one in turn.more_ms)
    rows.append(at_most("1 client, p50, ms more than one image in process", more, None, 3.0))
    rows += [Row(f"1 client, p{share}, ms; in process", _quantile(turns, "alone_ms", share),
                 _quantile(turns, "in_process_ms", share)) for share in (50, 95, 99)]
    rows += [Row(f"8 clients, p{share}, ms", _quantile(turns, "some_ms", share)) for share in (50, 95, 99)]
    rows.append(at_most("8 clients, p99 over p50", median(
        float(np.percentile(turn.some_ms, 99) / median(turn.some_ms)) for turn in turns), None, 4.0))
    return rows


def standing_rows(model: Path, ours: Contestant, torch: Contestant, key: str) -> list[Row]:
    """Start, environment and probabilities; memory, once all pictures were asked for."""
    with ours.awake():
        off = _largest_difference(model, ours.port, key, 200)
    with torch.awake():
        _largest_difference(model, torch.port, key, 20)
    pairs = [("seconds from start to ready", ours.started_after, torch.started_after),
             ("memory of all processes, MB", ours.memory_mb(), torch.memory_mb()),
             ("environment on disk, MB", footprint(tuple(REQUIREMENTS)).bytes / 1e6, footprint(TORCH_REQUIREMENTS).bytes / 1e6)]
    return [*(Row(f"{what}, against FastAPI + PyTorch eager", mine, theirs, mine / theirs) for what, mine, theirs in pairs),
            at_most("200 pictures, probabilities off the checkpoint's at most, millionths", off * 1e6, None, 100)]


def _largest_difference(model: Path, port: int, key: str, pictures: int) -> float:
    """Between the probabilities of the service and those that the checkpoint gave, over so many pictures."""
    expected, worst = np.load(model / "expected.npy")[:pictures].tolist(), 0.0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers={"Authorization": f"Bearer {key}"},
                      timeout=30) as http:
        for path, row in zip(sorted((model / "pictures").rglob("*.jpg")), expected, strict=False):
            answer = http.post("/predict?top_k=7", files={"image": path.read_bytes()}).raise_for_status().json()
            found = {item["label"]: item["probability"] for item in answer["top_k"]} if "top_k" in answer else answer
            worst = max(worst, *(abs(found[f"label {at}"] - p) for at, p in enumerate(row)))
    return worst


def _over(turns: Sequence[Turn], figure: Callable[[Turn], float]) -> float:
    return median(figure(turn) for turn in turns)


def _quantile(turns: Sequence[Turn], what: str, share: int) -> float:
    """Over the answers of all turns."""
    return float(np.percentile(np.concatenate([getattr(turn, what) for turn in turns]), share))

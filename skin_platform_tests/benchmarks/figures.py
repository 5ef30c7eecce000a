"""Figures: timing ours and the peer's in turns, and the one way in which every benchmark tells its rows."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of a benchmark: ``ratio`` is ours over the peer's; it holds where it is at most (or at least) ``bar``."""

    what: str
    ours: float
    peer: float | None = None
    ratio: float | None = None
    bar: float | None = None
    holds: bool | None = None


def at_most(what: str, ours: float, peer: float | None, bar: float) -> Row:
    """A row that holds where ours is at most ``bar`` times the peer's (at most ``bar`` itself, where there is no peer)."""
    ratio = None if peer is None else ours / peer
    return Row(what, ours, peer, ratio, bar, (ours if ratio is None else ratio) <= bar)


def in_turns(
    contestants: Mapping[str, Callable[[int], object]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of each contestant, called with the number of the turn, in turns so that the machine's moods hit all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name in sorted(contestants, key=lambda name: (hash((name, turn)), name)):
            started = time.perf_counter()
            contestants[name](turn)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def median(seconds: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(seconds)


def options(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser


def tell(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the machine and the rows; with ``as_json`` the rows once more as the last line."""
    print(f"\n{machine()}")
    for row in rows:
        peer = "" if row.peer is None else f"  peer {row.peer:10.3f}"
        ratio = "" if row.ratio is None else f"  ratio {row.ratio:6.2f}"
        bar = "" if row.bar is None else f"  bar {row.bar:g}  {'holds' if row.holds else 'DOES NOT HOLD'}"
        print(f"{row.what:<72} ours {row.ours:10.3f}{peer}{ratio}{bar}")
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))


def machine() -> str:
    """The processor, the cores that we may use, and the memory."""
    name = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
                 if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, Python {platform.python_version()}"

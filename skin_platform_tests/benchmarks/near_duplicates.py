"""Near-duplicates: how many planted copies are found, how many others are taken for copies, and what looking up costs.

``python -m skin_platform_tests.benchmarks.near_duplicates [--json] [--images 10000]``. Pictures pass the door
(``judge_image``) and are looked up as the catalogue does: bands in DuckDB, new ones against all, candidates compared.
Real pictures are told apart from generated ones, and left out, saying so, where their folder is absent.
"""

import math
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from skin_platform.core.fingerprints import BYTES, bands_of, fingerprint
from skin_platform.core.near_duplicates import MAX_BITS
from skin_platform.storage.grouping import DIFFERENCE, look_up
from skin_platform_tests.benchmarks.figures import Row, at_most, median, options, tell
from skin_platform_tests.benchmarks.made_up import Population
from skin_platform_tests.benchmarks.planted import CHANGES, HARDER, REAL, Print, generated, real, rows_of
from skin_platform_tests.core.likeness import alike_pairs

BATCH = 1000
TURNS = 5
SIZES = (1000, 10_000, 100_000)
SHARE_OF_COPIES = 0.1
LEAST = 0.98
MOST_GROWTH = 1.25
COMPARED = 200_000  # pairs of all pairs that are compared to say what all would cost
@dataclass
class Lookup:
    """Bands of images in DuckDB, as the catalogue keeps them; numbers of images are rows of ``prints``."""

    prints: np.ndarray = field(default_factory=lambda: np.zeros((0, BYTES), np.uint8))
    candidates: int = 0
    db: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        self.db.execute("CREATE SCHEMA metadata")
        self.db.execute("CREATE TABLE metadata.bands (band UINTEGER, sketch UBIGINT, image_key UBIGINT, part BIGINT)")

    def add(self, prints: np.ndarray, *, compare: bool = True) -> list[tuple[int, int]]:
        """Add fingerprints (n x BYTES); the pairs (new, there or new) that are alike."""
        first = len(self.prints)
        self.prints = np.concatenate([self.prints, prints])
        bands = bands_of(prints)
        new = pa.table({"band": bands.band, "sketch": bands.sketch, "image_key": (bands.of + first).astype(np.uint64)})
        self.db.register("arrow_bands", new)
        self.db.execute("CREATE OR REPLACE TEMP TABLE new_bands AS FROM arrow_bands")
        self.db.execute("INSERT INTO metadata.bands SELECT *, 0 FROM new_bands")
        if not compare:
            return []
        look_up(self.db)
        pairs = self.db.execute("FROM likely").fetchnumpy()
        news, others = pairs["other_key"].astype(np.int64), pairs["image_key"].astype(np.int64)
        self.candidates += len(news)
        at = alike_pairs(self.prints[news], self.prints[others])
        return list(zip(news[at].tolist(), others[at].tolist(), strict=True))

    def sharing(self) -> int:
        """How many pairs (a new one, one that is there) share a band, whatever their sketches: what DuckDB looks through."""
        return int(self.db.execute("SELECT count(*) FROM (SELECT DISTINCT n.image_key, b.image_key FROM new_bands n "
                                   "JOIN metadata.bands b USING (band))").fetchall()[0][0])

    def largest_bucket(self) -> int:
        """How many images share the commonest band."""
        found = self.db.execute("SELECT count(*) AS n FROM metadata.bands GROUP BY band ORDER BY n DESC LIMIT 1").fetchone()
        return int(found[0]) if found else 0


def at_least(what: str, ours: float, bar: float) -> Row:
    """A row that holds where ours is at least ``bar``."""
    return Row(what, ours, None, None, bar, ours >= bar)


def found_in(prints: list[Print]) -> tuple[list[tuple[int, int]], Lookup, float]:
    """The alike pairs of all, looked up in batches; the lookup; seconds."""
    lookup, bytes_, started = Lookup(), rows_of(prints), time.perf_counter()
    pairs = [pair for at in range(0, len(prints), BATCH) for pair in lookup.add(bytes_[at : at + BATCH])]
    return pairs, lookup, time.perf_counter() - started


def judged(name: str, prints: list[Print]) -> tuple[list[Row], float]:
    """Recall by kind and overall, precision, and seconds, of the pairs found among ``prints`` in random order."""
    prints = [prints[at] for at in np.random.default_rng(5).permutation(len(prints))]
    pairs, lookup, seconds = found_in(prints)
    found: Counter[str] = Counter()
    same_lesion, wrong = 0, 0
    for a, b in ((prints[new], prints[other]) for new, other in pairs):
        if a.original == b.original:
            found[(a.change or b.change) if not (a.change and b.change) else ""] += 1
        elif a.lesion == b.lesion:
            same_lesion += 1
        else:
            wrong += 1
    planted = Counter(each.change for each in prints if each.change)
    for kind, count in planted.items():
        print(f"{name}: {kind:<32} {found[kind]:5d} of {count:5d}  {found[kind] / count:.3f}")
    right = sum(found.values())
    print(f"{name}: {len(prints)} images, {len(pairs)} pairs in {seconds:.1f} s; {same_lesion} are other photographs of one "
          f"lesion, {wrong} of different ones; {lookup.candidates} candidates, largest bucket {lookup.largest_bucket()}")
    return [*recalls(name, {kind: found[kind] / count for kind, count in planted.items()}),
            at_least(f"{name}: precision of what is found", right / max(1, right + wrong), LEAST)], seconds


def recalls(name: str, by_kind: dict[str, float]) -> list[Row]:
    """Recall, each kind counting the same: of slight changes, and with crops of 5 % a side too."""
    slight = [share for kind, share in by_kind.items() if kind in CHANGES]
    return [at_least(f"{name}: recall, crops up to 3 %", float(np.mean(slight)), LEAST),
            at_least(f"{name}: recall, crops up to 5 %", float(np.mean(list(by_kind.values()))), LEAST)]


def one_change_at_a_time(name: str, prints: list[Print]) -> list[Row]:
    """Recall by kind of pictures that each have a copy of every kind, and which originals are taken for copies."""
    originals = [each for each in prints if not each.change]
    number = {each.original: at for at, each in enumerate(originals)}
    kinds = [*CHANGES, *HARDER]
    hits = {kind: alike_and_banded(prints, number, originals, kind) for kind in kinds}
    for kind in kinds:
        print(f"{name}: {kind:<32} {hits[kind]:.3f} of {len(originals)}")
    pairs, lookup, _ = found_in(originals)
    print(f"{name}: of {len(originals)} originals among themselves {len(pairs)} pairs are taken for copies, "
          f"{lookup.candidates} candidates, largest bucket {lookup.largest_bucket()}")
    for new, other in pairs:
        print(f"    {originals[new].original} and {originals[other].original}")
    return recalls(f"{name} (thresholds were chosen on these)", hits)


def alike_and_banded(prints: list[Print], number: dict[str, int], originals: list[Print], kind: str) -> float:
    """The share of copies of a kind that share a band with their original and are alike."""
    copies = [each for each in prints if each.change == kind]
    first, second = rows_of(copies), rows_of([originals[number[each.original]] for each in copies])
    return float(np.mean(likely(first, second) & alike_pairs(first, second)))


def likely(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether pictures share a band with those of the same row (n x BYTES each), with sketches near enough to be compared."""
    found = np.zeros(len(first), dtype=np.bool_)
    with duckdb.connect() as db:
        for name, rows in (("a", bands_of(first)), ("b", bands_of(second))):
            db.register(f"arrow_{name}", pa.table(rows._asdict()))
            db.execute(f"CREATE TEMP TABLE {name} AS FROM arrow_{name}")
        shared = db.execute('SELECT DISTINCT "of" FROM a JOIN b USING ("of", band) '
                            f"WHERE {DIFFERENCE} <= {MAX_BITS}").fetchnumpy()
    found[shared["of"]] = True
    return found


def growth(population: Population) -> list[Row]:
    """What a batch of 1,000 new images costs by how many are there, and an estimate of how the whole grows with them.

    The whole is not run: its batches are taken to cost the mean of the first's and the last's. CPU seconds of all threads: what
    else the machine does would decide otherwise.
    """
    seconds = []
    for size in SIZES:
        lookup = Lookup()
        lookup.add(population.drawn(size, seed=size), compare=False)
        lookup.candidates, times = 0, []
        for turn in range(TURNS):
            new = population.drawn(BATCH, seed=turn)
            started = time.process_time()
            lookup.add(new)
            times.append(time.process_time() - started)
        seconds.append(median(times))
        print(f"{size:>7} there: {BATCH} new, {seconds[-1]:.3f} CPU s, {lookup.sharing() / BATCH:.1f} share a band with an "
              f"image, {lookup.candidates / TURNS / BATCH:.2f} are compared with it, largest bucket {lookup.largest_bucket()}")
    whole = [size / BATCH * (seconds[0] + there) / 2 for size, there in zip(SIZES, seconds, strict=True)]
    print("  ".join(f"{size} images one batch after another: {cost:.1f} s" for size, cost in zip(SIZES, whole, strict=True)))
    exponent = math.log10(whole[2] / whole[1])
    rows = [Row(f"CPU seconds for {BATCH} new, {size} there", there) for size, there in zip(SIZES, seconds, strict=True)]
    what = "growth of the whole from 10,000 to 100,000, estimated from batches, exponent (1 linear, 2 quadratic)"
    return [*rows, at_most(what, exponent, None, MOST_GROWTH)]


def against_all_pairs(base: np.ndarray, seconds: float, images: int) -> Row:
    """Looking up against comparing all pairs, of which a sample tells the cost."""
    rng = np.random.default_rng(3)
    first, second = base[rng.integers(len(base), size=(2, COMPARED))]
    started = time.perf_counter()
    alike_pairs(first, second)
    every = (time.perf_counter() - started) / COMPARED * images * (images - 1) / 2
    return at_most(f"seconds to find the near-duplicates of {images}, peer: all pairs", seconds, every, 0.1)


def crowds() -> None:
    """What happens with many pictures that are all but empty."""
    rng = np.random.default_rng(9)
    noise = [Image.fromarray(rng.normal((200, 160, 140), 4, (64, 64, 3)).clip(0, 255).astype(np.uint8)) for _ in range(2000)]
    spots = []
    for _ in range(2000):
        spot = Image.new("RGB", (128, 128))
        x, y, wide, high = rng.integers(20, 90), rng.integers(20, 90), rng.integers(4, 30), rng.integers(4, 30)
        ImageDraw.Draw(spot).ellipse((x, y, x + wide, y + high), fill=(180, 120, 110))
        spots.append(spot)
    for name, pictures in (("nearly blank", noise), ("black but for a plain disc", spots)):
        prints = [Print(fingerprint(picture), str(at), str(at)) for at, picture in enumerate(pictures)]
        without = len(prints) - len(np.unique(bands_of(rows_of(prints)).of))
        pairs, lookup, seconds = found_in(prints)
        print(f"a crowd of {len(prints)} {name}: {without} without bands, {lookup.candidates / len(prints):.1f} candidates "
              f"an image, largest bucket {lookup.largest_bucket()}, {len(pairs)} pairs alike, {seconds:.1f} s")


def main() -> None:
    """Print what was found and what it cost."""
    parser = options("near-duplicates: recall, precision and what looking up costs")
    parser.add_argument("--images", type=int, default=10_000, help="generated images, a tenth of them copies")
    chosen = parser.parse_args()
    copies = round(chosen.images * SHARE_OF_COPIES)
    table: list[Row] = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for folder in sorted(path for path in REAL.glob("*") if path.is_dir()):
            table += one_change_at_a_time(f"real pictures, {folder.name}", real(folder, pool))
        if not table:
            print(f"no real pictures: {REAL} is absent, they are skipped")
        started = time.perf_counter()
        prints = generated(chosen.images - copies, copies, pool)
        print(f"generated, encoded, judged {len(prints)} in {time.perf_counter() - started:.0f} s")
    rows, seconds = judged("generated", prints)
    base = rows_of([each for each in prints if not each.change])
    table += [*rows, against_all_pairs(base, seconds, len(prints)), *growth(Population.of(base))]
    crowds()
    tell(table, as_json=chosen.json)


if __name__ == "__main__":
    main()

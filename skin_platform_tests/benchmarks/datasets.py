"""Datasets at scale: freezing, splitting by group and profiling 100,000 and 1,000,000 images, with the memory that it takes.

The catalogue is made up and published: some four images a patient, eight labels of which the rarest has two in a hundred, a
tenth of the patients with images of several labels. What is timed is what the assets call. Each size is measured in a process
of its own, since peak memory is never given back; ``version`` once more with a hundredth of new images: the usual case.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from skin_platform.core.lesions import LESIONS_DATA
from skin_platform.core.splits import SplitPolicy
from skin_platform.dataset_template import render_dataset_config
from skin_platform.defs.datasets.freezing import freeze, make_offer
from skin_platform.settings import load_settings
from skin_platform.storage.candidates import split_candidates
from skin_platform.storage.lesions_sql import sums
from skin_platform.storage.manifest_changes import unruly_moves
from skin_platform.storage.manifests import straddling
from skin_platform.storage.parts import PartsCache
from skin_platform.storage.profiles import Profiler
from skin_platform.storage.published import STATE_KEY, Published
from skin_platform.storage.revisions import LabelSums
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.benchmarks.figures import Row, at_most, options, tell

SIZES = (100_000, 1_000_000)
MOST_GROWTH = 12
STEPS = ("question", "group split", "freeze", "checks", "profile")
LABELS = tuple(f"look {letter}" for letter in "abcdefgh")
VALUES = {  # SQL over n (a number of 32 bits drawn for the image) and i (its number); what is not named here is empty
    "url_source": "'landing://made-up/' || i", "s3_uri": "'s3://skin-images/skin/unassigned/' || sha256 || '.jpg'",
    "label": "'look ' || substr('aaaaaaaaaaaabbbbbbbbccccccddddeeefffgghh', 1 + if(p % 10 = 0, n, p) % 40, 1)",
    "sha256": "sha256", "bytes": "40000 + n % 90000", "patient_id": "p::VARCHAR", "group_id": "sha256('p' || p)",
    "width_px": "400 + n % 900", "height_px": "450", "format": "'JPEG'", "md5": "substr(sha256, 1, 32)",
    "perceptual_hash": "repeat(sha256, 4)", "delivered_sha256": "sha256", "sharpness": "50 + n % 700",
    "exposure": "n % 997 / 997", "blank_share": "n % 31 / 31", "resolution_mpx": "0.3", "age": "(20 + n % 70)::VARCHAR",
    "sex": "CASE n % 3 WHEN 0 THEN 'female' WHEN 1 THEN 'male' END", "site": "'site ' || n % 14",
    "batch_id": "'2026-05-01-made-up'", "ingested_at": "'2026-05-01T00:00:00+00:00'",
}


def main() -> None:
    """Print the rows; with a size, the seconds and the peak memory of that size as JSON."""
    parser = options(__doc__ or "")
    parser.add_argument("--size", type=int, help="measure one size in this process (the benchmark calls itself so)")
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(measured(arguments.size)))
    else:
        tell(rows(), as_json=arguments.json)


def rows() -> list[Row]:
    """A row a step and size, the memory, and the growth of the whole from the small to the large size."""
    found = {size: _in_a_process(size) for size in SIZES}
    told = [Row(f"{step}, {size:,} images (s)", seconds) for size, steps in found.items() for step, seconds in steps.items()
            if step != "peak_mb"]
    told += [Row(f"peak memory, {size:,} images (MB)", steps["peak_mb"]) for size, steps in found.items()]
    small, large = (sum(found[size][step] for step in STEPS) for size in SIZES)
    return [*told, at_most("freeze, group split and profile: 1,000,000 over 100,000 images (s)", large, small, MOST_GROWTH)]


def measured(size: int) -> dict[str, float]:
    """Seconds of each step at this size, and the peak memory of this process in MB."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(skin_home=Path(folder))
        prepare_home(settings)
        settings.home.dataset_config.write_text(render_dataset_config(list(LABELS)), encoding="utf-8")
        stores = Stores(load_settings(skin_home=Path(folder)))
        publish_made_up(stores, size, size // 4)
        steps = _steps(stores)
        publish_made_up(stores, size + size // 100, size // 4)
        started = time.perf_counter()
        offer = make_offer(stores)
        assert offer is not None
        assert len(offer.split.moves) == 0
        freeze(stores, offer, "benchmark")
        steps["version with a hundredth of new images"] = time.perf_counter() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return steps | {"peak_mb": int(status.partition("VmHWM:")[2].split()[0]) / 1024}


def publish_made_up(stores: Stores, size: int, patients: int) -> None:
    """Publish a catalogue of ``size`` made-up images of ``patients``, as the lesions table does; a larger one holds it."""
    inner = ", ".join(f"({VALUES.get(column.name, 'NULL')})::{column.type} AS {column.name}" for column in LESIONS_DATA)
    source = (f"SELECT {inner} FROM (SELECT i, (hash(i) % 4294967296)::BIGINT AS n, (hash(i + 7) % {patients})::BIGINT AS p, "
              f"sha256('image ' || i) AS sha256 FROM range({size}) made(i)) ORDER BY sha256, label")
    target = stores.settings.home.root / "made-up.parquet"
    with duckdb.connect() as db:
        db.execute(f"COPY (SELECT *, 1::BIGINT AS revision, false AS is_removed FROM ({source})) TO '{target}' "
                   "(FORMAT parquet, COMPRESSION zstd)")
        held = LabelSums()
        held.add(db.execute(sums(f"'{target}'")).fetchall(), 1)
    bucket = stores.settings.s3_bucket_data
    part = PartsCache(stores.objects, bucket, stores.settings.home.catalogue).put(target, f"made-up-{size}", size)
    published = Published("made-up", size, (part,), held.by_label, {})
    stores.objects.upload_file(bucket, STATE_KEY, json.dumps(asdict(published)).encode())


def _steps(stores: Stores) -> dict[str, float]:
    config, seconds = stores.settings.dataset, {}

    def timed(step: str, action: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = action()
        seconds[step] = time.perf_counter() - started
        return found

    assigned = stores.datasets.assigned(None)
    offered, _ = timed("question", lambda: stores.catalogue.trainable(assigned))
    policy = SplitPolicy(config.fractions, config.seed, config.locked_split)
    timed("group split", lambda: split_candidates(offered, assigned, policy, config.vocabulary.splits))
    offer = make_offer(stores)
    assert offer is not None
    digest = timed("freeze", lambda: freeze(stores, offer, "benchmark"))
    manifest = stores.datasets.manifest(digest)
    timed("checks", lambda: (straddling(stores.datasets.manifest(digest), "group_id"), straddling(manifest, "sha256"),
                             unruly_moves(manifest, manifest, offer.split.moves, list(config.fractions), {})))
    timed("profile", lambda: _profile(Profiler(stores.catalogue, manifest), config.columns))
    return seconds


def _profile(asked: Profiler, columns: Iterable[str]) -> None:
    asked.subgroups(columns)
    asked.histograms("split")
    asked.histograms("label")
    asked.groups()


def _in_a_process(size: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "skin_platform_tests.benchmarks.datasets", "--size", str(size)],
                          capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()

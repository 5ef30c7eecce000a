"""Scale: what a batch costs when the catalogue is large, and a look at a landing folder that holds a hundred thousand files."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pyarrow as pa

from skin_platform.defs.raw.sensors import landing_sensor
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import load_settings
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.benchmarks.figures import Row, at_most, in_turns, median
from skin_platform_tests.benchmarks.landed import delivery_of, write_landed_files, write_small_jpegs
from skin_platform_tests.benchmarks.manifests import LABELS, made_up_manifest
from skin_platform_tests.benchmarks.peak_memory import peak_mb
from skin_platform_tests.benchmarks.transfers import ingest_delivery, now

SMALL, MIDDLE = 10_000, 100_000
NEW_FILES, NEW_ROWS, TURNS = 100, 1000, 5
LANDED = 100_000
MEMORY_FILES = (2000, 20_000)


class Deployment:
    """A table with so many made-up rows, and its published copy, on the local folder."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.objects = ObjectStore(folder / "objects")
        for bucket in ("data", "images"):
            self.objects.create_bucket(bucket)
        self.lesions = LesionsTable(folder / "skin.duckdb")
        self.catalogue = Catalogue(self.objects, "data", folder / "cache", LABELS)
        started = time.perf_counter()
        self.lesions.rebuild(self._manifests(rows))
        self.rebuild_seconds = time.perf_counter() - started
        self.catalogue.publish(self.lesions, now())

    def ingest(self, root: Path, batch_id: str) -> None:
        """A delivery from the folder to the published catalogue."""
        ingest_delivery(delivery_of(root, batch_id), self.objects, "images", self.catalogue.addresses)
        manifest = Catalogued(self.objects).manifest(batch_id)
        self.upsert(batch_id, manifest)

    def upsert(self, batch_id: str, manifest: pa.Table) -> None:
        """A manifest into the table and its published copy."""
        self.lesions.replace_batch(batch_id, manifest)
        self.catalogue.publish(self.lesions, now())

    @staticmethod
    def _manifests(rows: int) -> Iterator[pa.Table]:
        yield from (made_up_manifest(batch, SMALL) for batch in range(rows // SMALL))


class Catalogued:
    """The manifests that ``ingest_delivery`` has written."""

    def __init__(self, objects: ObjectStore) -> None:
        from skin_platform.storage.batches import Batches

        self._batches = Batches(objects, "images")

    def manifest(self, batch_id: str) -> pa.Table:
        """That of one batch."""
        return self._batches.read_manifest(f"batches/{batch_id}/manifest.parquet")


def at_scale(folder: Path, rows: int) -> list[Row]:
    """New files in a full catalogue, a sensor's look, a million rows, memory."""
    return [new_files(folder / "new"), *sensor_tick(folder / "tick"), *many_rows(folder / "many", rows),
            memory(folder / "memory")]


def new_files(folder: Path) -> Row:
    """A hundred new files, into a catalogue of 100,000 and into an empty one."""
    full, empty = Deployment(folder / "full", MIDDLE), Deployment(folder / "empty", 0)
    for turn in range(TURNS):
        for name in ("full", "empty"):
            write_small_jpegs(folder / f"{name}-{turn}", NEW_FILES, seed=turn)

    def ingest(into: Deployment, name: str, turn: int) -> None:
        into.ingest(folder / f"{name}-{turn}", f"2026-06-01-new-{turn}")

    seconds = in_turns({"full": partial(ingest, full, "full"), "empty": partial(ingest, empty, "empty")}, TURNS)
    return at_most(f"{NEW_FILES} new files with {MIDDLE:,} in the catalogue, against an empty one, seconds",
                   median(seconds["full"]), median(seconds["empty"]), 1.5)


def sensor_tick(folder: Path) -> list[Row]:
    """One look of the landing sensor at a folder whose files have all landed."""
    settings = load_settings(skin_home=folder)
    prepare_home(settings)
    write_landed_files(settings.home.landing, LANDED)
    stores = Stores(settings)
    for delivery in stores.claim(settle_seconds=0):
        stores.ledger.close_batch(delivery.batch_id, now())
    seconds, cursor = [], ""
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(TURNS):
            context = dg.build_sensor_context(instance=instance, resources={"stores": StoresResource(home=str(folder))})
            started = time.perf_counter()
            answer = landing_sensor(context)
            seconds.append(time.perf_counter() - started)
            assert isinstance(answer, dg.SkipReason), answer
            cursor = context.cursor or ""
    return [at_most(f"a sensor's look at {LANDED:,} landed files, seconds", median(seconds), None, 2.0),
            at_most("its cursor, bytes", len(cursor.encode()), None, 1024)]


def many_rows(folder: Path, rows: int) -> list[Row]:
    """A batch of a thousand rows, the training query and the rebuild, at a million rows and at ten thousand."""
    many, few = Deployment(folder / "many", rows), Deployment(folder / "few", SMALL)
    batches = {name: [made_up_manifest(start + turn, NEW_ROWS) for turn in range(TURNS)]
               for name, start in (("many", 10**6), ("few", 2 * 10**6))}

    def upsert(into: Deployment, name: str, turn: int) -> None:
        into.upsert(batches[name][turn]["batch_id"][0].as_py(), batches[name][turn])

    def ask(of: Deployment, turn: int) -> None:
        assert of.catalogue.query("SELECT sha256, label, s3_uri FROM lesions_data WHERE split IS NULL AND label = ? "
                                  "AND exclusion IS NULL", [LABELS[turn % len(LABELS)]])

    seconds = in_turns({"many": partial(upsert, many, "many"), "few": partial(upsert, few, "few")}, TURNS)
    asked = in_turns({"many": partial(ask, many), "few": partial(ask, few)}, TURNS)
    return [at_most(f"upsert and publishing of {NEW_ROWS:,} rows at {rows:,}, against at {SMALL:,}, seconds",
                    median(seconds["many"]), median(seconds["few"]), 2.0),
            Row(f"training query (a split and label, a third of the rows) at {rows:,}, against at {SMALL:,}, seconds",
                median(asked["many"]), median(asked["few"]), median(asked["many"]) / median(asked["few"])),
            Row(f"rebuild of {rows:,} rows, against {SMALL:,}, seconds", many.rebuild_seconds, few.rebuild_seconds,
                many.rebuild_seconds / few.rebuild_seconds),
            Row(f"the most memory held up to here, {rows:,} rows and both catalogues included, MB", peak_mb())]


def memory(folder: Path) -> Row:
    """Peak memory of a process that ingests a delivery, ten times as large a one against the other."""
    peaks = []
    for files in MEMORY_FILES:
        write_small_jpegs(folder / str(files), files, seed=files)
        told = subprocess.run([sys.executable, "-m", "skin_platform_tests.benchmarks.peak_memory", folder / str(files)],
                              check=True, capture_output=True, text=True).stdout
        peaks.append(json.loads(told)["peak_mb"])
    return at_most(f"peak memory of ingesting {MEMORY_FILES[1]:,} files, against {MEMORY_FILES[0]:,}, MB", *peaks[::-1], 1.3)

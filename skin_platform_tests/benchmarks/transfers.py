"""Transfers of the same files: through our ingest and cache, through s5cmd, through a pool of boto3 threads."""

import os
import resource
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from skin_platform.core.batches import Delivery
from skin_platform.core.images import Limits
from skin_platform.core.layout import Vocabulary
from skin_platform.storage.batches import Batches
from skin_platform.storage.buckets import S3Access
from skin_platform.storage.cache import ImageCache
from skin_platform.storage.door import DoorRules
from skin_platform.storage.ingest import judge_delivery, store_images
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.benchmarks.landed import delivery_of

RULES = DoorRules(Vocabulary(("plain", "mottled")), Limits(), "benchmark")
BOTO_THREADS = 16


class Transfers:
    """What is timed; every turn has a bucket of its own, and CPU seconds are added up by contestant."""

    def __init__(self, access: S3Access, pictures: Path, cache: Path, s5cmd: Path) -> None:
        self._access, self._pictures, self._cache, self._s5cmd = access, pictures, cache, s5cmd
        self._objects = ObjectStore(access)
        self._stored: list[tuple[str, str]] = []
        self.cpu_seconds: Counter[str] = Counter()

    def ingest(self, turn: int) -> None:
        """Judge, clean and store all pictures, as the assets do."""
        bucket = self._bucket("ours", turn)
        with self._counted("ingest"):
            rows = ingest_delivery(delivery_of(self._pictures, f"2026-05-01-turn-{turn}"), self._objects, bucket)
        assert not any(row["reason"] for row in rows), Counter(row["reason"] for row in rows)
        self._stored = [(row["sha256"], row["s3_uri"]) for row in rows]

    def s5cmd_upload(self, turn: int) -> None:
        """`s5cmd cp` of the folder."""
        bucket = self._bucket("s5cmd", turn)
        with self._counted("s5cmd_upload"):
            self._run_s5cmd(f"{self._pictures}/", f"s3://{bucket}/")

    def boto3_upload(self, turn: int) -> None:
        """A pool of threads, each with `put_object`, as one would write it by hand."""
        bucket = self._bucket("boto3", turn)
        client: Any = boto3.client(
            "s3", endpoint_url=self._access.endpoint, region_name=self._access.region,
            aws_access_key_id=self._access.access_key, aws_secret_access_key=self._access.secret_key,
            config=Config(max_pool_connections=BOTO_THREADS, s3={"addressing_style": "path"}))
        files = [path for path in self._pictures.rglob("*.jpg")]

        def upload(path: Path) -> None:
            client.put_object(Bucket=bucket, Key=f"{path.parent.name}/{path.name}", Body=path.read_bytes())

        with self._counted("boto3_upload"), ThreadPoolExecutor(BOTO_THREADS) as pool:
            list(pool.map(upload, files))

    def fetch(self, turn: int) -> None:
        """Fetch all pictures into an empty cache, each verified by its SHA-256."""
        cache = ImageCache(self._cache / f"ours-{turn}", self._objects)
        with self._counted("fetch"):
            assert sum(1 for _ in cache.fetch(self._stored)) == len(self._stored)

    def s5cmd_download(self, turn: int) -> None:
        """`s5cmd cp` of the same objects into an empty folder."""
        bucket = self._stored[0][1].split("/")[2]
        with self._counted("s5cmd_download"):
            self._run_s5cmd(f"s3://{bucket}/*", f"{self._cache / f's5cmd-{turn}'}/")

    def _run_s5cmd(self, source: str, target: str) -> None:
        environment = os.environ | {"AWS_ACCESS_KEY_ID": self._access.access_key, "AWS_REGION": self._access.region,
                                    "AWS_SECRET_ACCESS_KEY": self._access.secret_key}
        subprocess.run([self._s5cmd, "--endpoint-url", self._access.endpoint, "--log", "error", "cp", source, target],
                       env=environment, check=True)

    def _bucket(self, who: str, turn: int) -> str:
        bucket = f"{who}-{turn}"
        self._objects.create_bucket(bucket)
        return bucket

    def _counted(self, name: str) -> "_Counted":
        return _Counted(self.cpu_seconds, name)


class _Counted:
    """Adds the CPU seconds of this process and its children to a counter."""

    def __init__(self, counter: Counter[str], name: str) -> None:
        self._counter, self._name = counter, name

    def __enter__(self) -> None:
        self._started = _cpu()

    def __exit__(self, *unused: object) -> None:
        self._counter[self._name] += _cpu() - self._started  # type: ignore[assignment]


def ingest_delivery(
    delivery: Delivery, objects: ObjectStore, bucket: str, known: Callable[[set[str]], dict[str, str]] = lambda _: {}
) -> list[dict[str, Any]]:
    """What the assets ``raw/images`` and ``objects/images`` do with a delivery, without Dagster."""
    judged = list(judge_delivery(delivery, RULES, {}))
    rows = [item.row for item in judged]
    paths = {item.row["file_id"]: Path(delivery.root) / item.name for item in judged}
    stored = store_images(rows, paths, known({row["sha256"] for row in rows}), objects, bucket)
    batches = Batches(objects, bucket)
    batches.write_names(delivery.batch_id, {item.row["file_id"]: item.name for item in judged})
    batches.write_manifest(delivery.batch_id, "manifest", stored)
    return stored


def _cpu() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)

"""Partitions, when several walks and sensors add them at once."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import dagster as dg

from skin_platform.defs.partitions import BATCHES, add_batches
from skin_platform.defs.walk import make_instance
from skin_platform_tests.deployments import ROOT


def test_several_that_add_the_same_batches_at_once_all_succeed(tmp_path):
    shutil.copy2(ROOT / "deploy" / "local" / "dagster.yaml", tmp_path)
    make_instance(tmp_path)
    start = Barrier(4)

    def add(instance: dg.DagsterInstance, number: int) -> None:
        start.wait()
        add_batches(instance, [f"2026-05-{number:02}-roma", f"2026-05-{number:02}-pisa"])

    with ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        instances = [opened.enter_context(dg.DagsterInstance.from_config(str(tmp_path))) for _ in range(4)]
        for number in range(1, 11):
            list(pool.map(add, instances, [number] * 4))
        assert len(instances[0].get_dynamic_partitions(str(BATCHES.name))) == 20

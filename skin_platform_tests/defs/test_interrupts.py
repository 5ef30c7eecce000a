"""An interrupt is heard, even where the code that it meets swallows it."""

import contextlib
import os
import signal
import time

import dagster as dg
import pytest

from skin_platform.defs.walk import walk_training


def test_a_swallowed_interrupt_still_ends_the_walk(tmp_path):
    reached = []

    @dg.asset
    def deaf(context):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        except BaseException:  # noqa: BLE001 - what a library may do
            reached.append("swallowed")
        context.log.info("one who has heard nothing goes on")
        with contextlib.suppress(BaseException):
            time.sleep(4)

    @dg.asset(deps=[deaf])
    def later():
        reached.append("later")

    definitions = dg.Definitions(assets=[deaf, later], jobs=[dg.define_asset_job("train_now", selection=[deaf, later])])
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance, pytest.raises(KeyboardInterrupt):
            walk_training(definitions, instance, {}, lambda told: None)
    finally:
        signal.signal(signal.SIGINT, former)
    assert "swallowed" in reached
    assert "later" not in reached

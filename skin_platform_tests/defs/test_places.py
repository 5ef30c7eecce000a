"""Promises of places in pools: a killed run gives its place back, and who waits is told for whom and can stop."""

import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

from skin_platform.defs.burying import bury_killed_runs, process_of
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.walk import instance_in, walk_training
from skin_platform.settings import load_settings
from skin_platform.storage.stores import prepare_home

pytestmark = pytest.mark.slow
LAUNCHED = """
import sys, time
from pathlib import Path
import dagster as dg
from skin_platform.defs.resources import StoresResource

@dg.asset(pool="training")
def taught(stores: StoresResource):
    print("training", flush=True)
    time.sleep(float(sys.argv[2]))

job = dg.Definitions([taught], jobs=[dg.define_asset_job("raw_job")], resources={"stores": StoresResource(home=sys.argv[1])})
with dg.DagsterInstance.from_config(sys.argv[1] + "/dagster") as instance:
    job.resolve_job_def("raw_job").execute_in_process(instance=instance)
"""


@pytest.fixture
def home(tmp_path):
    """The folders of an empty home with a Dagster instance."""
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    with instance_in(settings.home.dagster):
        pass
    return settings.home


@pytest.fixture
def launched(home):
    """Starts a run that holds the place 'training' for so many seconds, as Dagster's own commands do: without a walk."""
    children = []

    def launch(seconds):
        child = subprocess.Popen([sys.executable, "-c", LAUNCHED, str(home.root), str(seconds)], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        children.append(child)
        assert child.stdout.readline() == b"training\n"
        return child

    yield launch
    for child in children:
        child.kill()
        child.wait()


def walk(home, tell=lambda told: None):
    """A walk that needs the place 'training'."""
    @dg.asset(pool="training")
    def mine():
        return 1

    definitions = dg.Definitions([mine], jobs=[dg.define_asset_job("train_now", selection=[mine])],
                                 resources={"stores": StoresResource(home=str(home.root))})
    with instance_in(home.dagster) as instance:
        walk_training(definitions, instance, {}, tell)


def runs(home):
    with instance_in(home.dagster) as instance:
        return {run.job_name: run.status.value for run in instance.get_runs()}


def test_a_run_that_dagster_launched_gives_its_place_back_when_it_is_killed(home, launched):
    child = launched(60)
    with instance_in(home.dagster) as instance:
        [run] = instance.get_runs()
        assert process_of(home.dagster, run.run_id).startswith(f"{child.pid} on ")
        assert bury_killed_runs(instance, home.dagster) == []  # it lives
        assert instance.event_log_storage.get_concurrency_info("training").active_run_ids == {run.run_id}
    child.kill()
    child.wait()
    walk(home)
    assert runs(home) == {"raw_job": "FAILURE", "train_now": "SUCCESS"}


def test_who_waits_is_told_for_whom_and_takes_the_place_of_a_run_that_is_killed_meanwhile(home, launched):
    child, told = launched(60), []

    def tell(line):
        told.append(line)
        if "waiting" in line.text:
            child.kill()
            child.wait()

    walk(home, tell)
    [waits] = [line for line in told if "waiting" in line.text]
    assert waits.asset == "mine"
    assert waits.text.startswith("waiting for the place 'training', held by run ")
    assert f" of raw_job (process {child.pid} on " in waits.text
    assert waits.text.endswith(" UTC")
    assert runs(home) == {"raw_job": "FAILURE", "train_now": "SUCCESS"}


def test_a_run_that_ends_well_is_waited_for_and_leaves_no_mark(home, launched):
    child = launched(3)
    walk(home)
    child.wait()
    assert runs(home) == {"raw_job": "SUCCESS", "train_now": "SUCCESS"}
    assert list((home.dagster / "walks").glob("*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_place_can_stop_within_seconds(home, launched, number):
    launched(60)
    former = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asked = []
    try:
        with pytest.raises(KeyboardInterrupt):
            walk(home, lambda line: (asked.append(time.monotonic()), os.kill(os.getpid(), number)))
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
    assert time.monotonic() - asked[0] < 5
    ended = runs(home)
    assert (ended["raw_job"], ended["train_now"] in {"CANCELED", "FAILURE"}) == ("STARTED", True)


def test_the_place_of_a_run_that_was_cancelled_by_hand_after_its_death_is_given_back(home):
    with instance_in(home.dagster) as instance:
        run = instance.create_run_for_job(dg.Definitions(jobs=[empty]).resolve_job_def("empty"))
        instance.event_log_storage.initialize_concurrency_limit_to_default("training")
        assert instance.event_log_storage.claim_concurrency_slot("training", run.run_id, "a_step").is_claimed
        assert bury_killed_runs(instance, home.dagster) == []
        assert instance.event_log_storage.get_concurrency_info("training").active_run_ids == {run.run_id}
        instance.report_run_canceled(run)
        assert bury_killed_runs(instance, home.dagster) == []
        assert instance.event_log_storage.get_concurrency_info("training").active_run_ids == set()


@dg.op
def nothing():
    pass


@dg.job
def empty():
    nothing()

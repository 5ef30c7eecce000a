"""Promises of jobs: each is made once, by whichever process lives, and its result can be asked for."""

import subprocess
import sys
from datetime import UTC

import pytest

from skin_platform.storage.jobs import Jobs, JobsFullError
from skin_platform.storage.spool import Spool
from skin_platform_tests.storage.recorded import prediction

CLAIMING = """
import sys, time
from pathlib import Path
from skin_platform.storage.jobs import Jobs
from skin_platform.storage.spool import Spool
print(Jobs(Spool(Path(sys.argv[1]), 50_000_000)).claim().job_id, flush=True)
time.sleep(60)
"""


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool.db", 50_000_000)
    yield spool
    spool.close()


@pytest.fixture
def jobs(spool):
    jobs = Jobs(spool)
    yield jobs
    jobs.close()


def test_a_job_is_waiting_then_running_then_done_with_its_result(jobs, spool):
    jobs.submit("j1", b"\x00picture\xff", {"top_k": 3, "key_name": "Süd"})
    assert (jobs.job("j1").state, jobs.waiting) == ("waiting", 1)
    claimed = jobs.claim()
    assert (claimed.job_id, claimed.image, claimed.options, claimed.attempts) == ("j1", b"\x00picture\xff",
                                                                                  {"top_k": 3, "key_name": "Süd"}, 1)
    assert (jobs.job("j1").state, jobs.waiting, jobs.claim()) == ("running", 0, None)
    jobs.finish("j1", result={"label": "blau é"}, row=prediction(1))
    job = jobs.job("j1")
    assert (job.state, job.result, job.error) == ("done", {"label": "blau é"}, None)
    assert job.submitted_at.tzinfo is UTC
    assert job.submitted_at <= job.finished_at
    assert [item.row["prediction_id"] for item in spool.oldest(9)] == ["p1"]
    assert jobs.job("never") is None


def test_a_job_can_fail_and_be_given_back(jobs):
    for name in ("j1", "j2"):
        jobs.submit(name, b"x", {})
    assert jobs.claim().job_id == "j1"
    jobs.release("j1")
    again = jobs.claim()
    assert (again.job_id, again.attempts) == ("j1", 1)
    jobs.finish("j1", error={"code": "corrupt"})
    assert (jobs.job("j1").state, jobs.job("j1").error, jobs.job("j1").result) == ("failed", {"code": "corrupt"}, None)
    assert jobs.claim().job_id == "j2"


def test_a_job_that_is_finished_twice_has_one_result_and_one_row(jobs, spool):
    jobs.submit("j1", b"x", {})
    jobs.claim()
    jobs.finish("j1", result={"n": 1}, row=prediction(1))
    jobs.finish("j1", result={"n": 2}, row=prediction(2))
    assert jobs.job("j1").result == {"n": 1}
    assert spool.depth == 1


def test_a_finish_that_fails_leaves_neither_result_nor_row(jobs, spool):
    jobs.submit("j1", b"x", {})
    jobs.claim()
    with pytest.raises(TypeError):
        jobs.finish("j1", result={"n": 1}, row=prediction(1, label=b"no text"))
    assert (jobs.job("j1").state, spool.depth) == ("running", 0)


def test_a_job_outlives_the_process_that_claimed_it_and_is_claimed_by_the_next(spool, jobs, tmp_path):
    jobs.submit("j1", b"x", {})
    jobs.submit("j2", b"y", {})
    process = subprocess.Popen([sys.executable, "-c", CLAIMING, str(spool.file.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "j1\n"
        assert jobs.claim().job_id == "j2"
        assert jobs.claim() is None
    finally:
        process.kill()
        process.communicate()
    again = jobs.claim()
    assert (again.job_id, again.attempts) == ("j1", 2)
    jobs.close()
    assert list(tmp_path.glob("*.worker-*")) == []


def test_who_leaves_gives_back_what_was_claimed(spool, jobs):
    jobs.submit("j1", b"x", {})
    other = Jobs(spool)
    assert other.claim().job_id == "j1"
    assert jobs.claim() is None
    other.close()
    assert jobs.claim().job_id == "j1"


def test_jobs_outlive_a_restart(tmp_path):
    for _ in range(2):
        spool = Spool(tmp_path / "spool.db", 50_000_000)
        jobs = Jobs(spool)
        if jobs.waiting == 0:
            jobs.submit("j1", b"x", {})
        else:
            assert jobs.claim().image == b"x"
        spool.close()


def test_jobs_are_bounded_in_number_and_in_bytes(spool):
    few = Jobs(spool, max_waiting=2)
    few.submit("j1", b"x", {})
    few.submit("j2", b"x", {})
    with pytest.raises(JobsFullError, match="2 predictions wait to be made"):
        few.submit("j3", b"x", {})
    assert few.job("j3") is None
    small = Jobs(spool)
    with pytest.raises(JobsFullError):
        small.submit("j3", b"x" * 25_000_001, {})
    small.submit("j4", b"x" * 20_000_000, {})
    with pytest.raises(JobsFullError):
        small.submit("j5", b"x" * 6_000_000, {})
    while claimed := small.claim():
        small.finish(claimed.job_id, result={})
    small.submit("j5", b"x" * 6_000_000, {})
    assert spool.bytes < 10_000_000
    small.close()


def test_the_results_of_old_jobs_are_forgotten(spool):
    jobs = Jobs(spool, max_finished=5)
    for number in range(100):
        jobs.submit(f"j{number}", b"x", {})
        jobs.claim()
        jobs.finish(f"j{number}", result={})
    assert [number for number in range(100) if jobs.job(f"j{number}")] == [95, 96, 97, 98, 99]
    jobs.close()

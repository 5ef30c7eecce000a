"""What runs beside the requests: the challenger in the shadow, kept images and their replay, submitted jobs."""

import hashlib
import os
import threading

import numpy as np
import pytest

from skin_platform.commands.replay import replay as replay_command
from skin_platform.core.images import Limits
from skin_platform.replaying import replay
from skin_platform.serving.bundle_files import write_bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.exporting import CHALLENGER, exporting, withdraw_export
from skin_platform.serving.intake import take
from skin_platform.serving.jobs import ATTEMPTS
from skin_platform.serving.keeping import ImageKeeper, kept_path
from skin_platform.serving.loading import loaded
from skin_platform.serving.shadowing import WAITING_IMAGES, Shadow
from skin_platform.settings import load_settings
from skin_platform.storage.jobs import Jobs
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform_tests.serving.in_process import in_process
from skin_platform_tests.serving.tiny_bundles import LABELS, picture, promoted, spoilt, tiny_bundle, version_of

RAW = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A home in which twenty images were answered, kept, and answered in the shadow; its settings, answers and rows."""
    home = tmp_path_factory.mktemp("beside")
    settings = load_settings(skin_home=home)
    promoted(settings, tiny_bundle(2, size_px=48), 1, as_challenger=True)
    with in_process(home, tiny_bundle(1), skin_shadow_rate=1, skin_keep_images=True) as service:
        _until(lambda: service.desk.shadow.told()["model_version"] == version_of(2))
        answers = [service.http.post("/predict", content=picture(seed), headers=RAW).json() for seed in range(20)]
        _until(lambda: service.desk.shadow.told()["answered"] == 20)
    return settings, answers, OnlineStore(settings.online_url)


def test_the_challengers_answers_stand_beside_the_champions(asked):
    _, answers, store = asked
    engine = Engine(tiny_bundle(2, size_px=48))
    for seed, answer in enumerate(answers):
        [row] = store.shadows(answer["prediction_id"])
        assert (answer["model_version"], row["model_version"]) == (version_of(1), version_of(2))
        expected = engine.probabilities([picture(seed)])[0]
        assert [row["probabilities"][label] for label in LABELS] == pytest.approx(list(expected), abs=1e-5)
        assert row["label"] == LABELS[int(np.argmax(expected))]


def test_the_same_bundle_replays_to_no_difference_and_another_one_to_its_own(asked, tmp_path):
    settings, answers, store = asked
    rows = store.predictions(only_kept=True)
    assert len(rows) == 20
    for number in (1, 3):
        write_bundle(tiny_bundle(number), tmp_path / str(number))
    same, other = replay(rows, tmp_path / "1", settings), replay(rows, tmp_path / "3", settings)
    assert (len(same.differences), same.missing, same.changed) == (20, (), [])
    assert same.worst <= 1e-5
    assert other.version == version_of(3)
    engine = Engine(tiny_bundle(3))
    by_id = {answer["prediction_id"]: seed for seed, answer in enumerate(answers)}
    for found, row in zip(other.differences, rows, strict=True):
        now = engine.probabilities([picture(by_id[found.prediction_id])])[0]
        assert found.worst == pytest.approx(max(abs(now - [row["probabilities"][label] for label in LABELS])), abs=1e-5)
        assert found.is_other_label == (LABELS[int(np.argmax(now))] != row["label"])


def test_an_image_that_is_gone_or_another_by_now_is_told_as_missing(asked, tmp_path):
    settings, _, store = asked
    rows = store.predictions(5, only_kept=True)
    write_bundle(tiny_bundle(1), tmp_path / "1")
    paths = [kept_path(settings.home.served_images, row["image_sha256"]) for row in rows[:2]]
    held = [path.read_bytes() for path in paths]
    assert paths[0].stat().st_mode & 0o077 == 0
    paths[0].unlink()
    paths[1].write_bytes(picture(99))
    found = replay(rows, tmp_path / "1", settings)
    for path, data in zip(paths, held, strict=True):
        path.write_bytes(data)
    assert (found.missing, len(found.differences)) == (tuple(row["prediction_id"] for row in rows[:2]), 3)


def test_without_a_kept_image_the_command_says_what_to_set(tmp_path, monkeypatch):
    for name in ("SKIN_HOME", "DAGSTER_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ValueError, match="SKIN_KEEP_IMAGES=true"):
        replay_command("champion", home=tmp_path)


def test_a_challenger_that_cannot_answer_stays_out_and_one_that_is_withdrawn_is_let_go(tmp_path):
    settings, spool = load_settings(skin_home=tmp_path, skin_shadow_rate=1), Spool(tmp_path / "spool.db", 10_000_000)
    promoted(settings, spoilt(tiny_bundle(2)), 1, as_challenger=True)
    shadow = Shadow(settings, spool, look_seconds=0.01)
    try:
        _until(lambda: shadow.told()["refused"])
        assert "golden image" in shadow.told()["refused"]["reason"]
        assert shadow.told()["model_version"] is None
        promoted(settings, tiny_bundle(3), 2, as_challenger=True)
        _until(lambda: shadow.told()["model_version"] == version_of(3))
        assert shadow.told()["refused"] is None
        with exporting(settings.home.challenger, CHALLENGER):
            withdraw_export(settings.home.challenger, CHALLENGER)
        _until(lambda: shadow.told()["model_version"] is None)
        assert [path.name for path in settings.home.challenger.parent.iterdir() if not path.name.startswith(".")] == []
    finally:
        shadow.close()
        spool.close()


def test_what_the_challenger_has_no_time_for_is_dropped_and_counted(tmp_path):
    settings, spool = load_settings(skin_home=tmp_path, skin_shadow_rate=1), Spool(tmp_path / "spool.db", 10_000_000)
    promoted(settings, tiny_bundle(2), 1, as_challenger=True)
    champion = loaded(promoted(settings, tiny_bundle(1), 1), settings)
    is_free, begun = threading.Event(), threading.Event()

    class Slow:
        """A spool whose disk is slow."""

        def add(self, kind, row):
            begun.set()
            is_free.wait(30)
            spool.add(kind, row)

    shadow = Shadow(settings, Slow(), look_seconds=0.01)
    _until(lambda: shadow.told()["model_version"])
    taken = take(picture(1), Limits(), champion.engine.bundle.preprocessing)
    shadow.offer("first", taken, champion)
    begun.wait(30)
    for number in range(WAITING_IMAGES + 5):
        shadow.offer(str(number), taken, champion)
    assert (shadow.told()["waiting"], shadow.told()["dropped"]) == (WAITING_IMAGES, 5)
    is_free.set()
    _until(lambda: shadow.told()["answered"] == WAITING_IMAGES + 1)
    shadow.close()
    assert spool.depth == WAITING_IMAGES + 1
    spool.close()


def test_images_beyond_the_bound_are_not_kept_and_it_is_said(tmp_path):
    data = picture(1)
    keeper = ImageKeeper(tmp_path / "images", waiting_bytes=len(data))
    assert keeper.offer(hashlib.sha256(data).hexdigest(), data)
    assert not keeper.offer("ab" * 32, data + b"x"), "larger than the bound"
    keeper.close()
    assert not keeper.offer("ab" * 32, data), "closed"
    assert kept_path(tmp_path / "images", hashlib.sha256(data).hexdigest()).read_bytes() == data
    assert len([path for path in (tmp_path / "images").rglob("*") if path.is_file()]) == 1


def test_a_submitted_image_is_answered_as_predict_does_and_recorded_under_its_id(tmp_path):
    with in_process(tmp_path, tiny_bundle(1)) as service:
        now = service.http.post("/predict", content=picture(5), headers=RAW).json()
        submitted = service.http.post("/predict/async?top_k=2", content=picture(5), headers=RAW)
        assert submitted.status_code == 202
        job = _until(lambda: _done(service, submitted.json()["status_url"]))
        assert (job["status"], job["error"]) == ("done", None)
        assert job["result"]["top_k"] == now["top_k"][:2]
        assert job["result"]["prediction_id"] == submitted.json()["job_id"]
    row = OnlineStore(service.settings.online_url).prediction(submitted.json()["job_id"])
    assert (row["mode"], row["label"]) == ("async", now["label"])
    assert row["delivered_sha256"] == hashlib.sha256(picture(5)).hexdigest()


def test_jobs_of_a_process_that_died_are_done_by_the_next_once(tmp_path):
    settings = load_settings(skin_home=tmp_path)
    options = {"top_k": 1, "request_id": "r", "key_name": None, "delivered_sha256": "d" * 64}
    left = Jobs(Spool(settings.home.spool, 10_000_000))
    for number in range(3):
        left.submit(f"job-{number}", picture(number), options)
    claimed = left.claim()
    _die_with(left)
    with in_process(tmp_path) as service:  # nothing is promoted yet: they wait
        assert service.desk.jobs.waiting >= 2
        promoted(settings, tiny_bundle(1), 1)
        jobs = [_until(lambda number=number: _finished(service, f"job-{number}")) for number in range(3)]
    assert [job.state for job in jobs] == ["done"] * 3
    assert claimed.job_id == "job-0"
    stored = OnlineStore(settings.online_url).predictions()
    assert sorted(row["prediction_id"] for row in stored) == ["job-0", "job-1", "job-2"]


def test_a_job_that_took_its_process_down_again_and_again_is_given_up(tmp_path):
    settings = load_settings(skin_home=tmp_path)
    for attempt in range(ATTEMPTS):
        left = Jobs(Spool(settings.home.spool, 10_000_000))
        if attempt == 0:
            left.submit("job", picture(1), {"top_k": 1, "request_id": "r", "key_name": None})
        assert left.claim().attempts == attempt + 1
        _die_with(left)
    with in_process(tmp_path, tiny_bundle(1)) as service:
        job = _until(lambda: _finished(service, "job"))
    assert (job.state, job.error["code"]) == ("failed", "internal")


def test_two_services_on_one_home_share_the_work_and_a_batch_is_answered_by_one_version(tmp_path):
    settings = load_settings(skin_home=tmp_path)
    files = [("images", (f"{number}.png", picture(number), "image/png")) for number in range(16)]
    with in_process(tmp_path, tiny_bundle(1)) as one, in_process(tmp_path) as other:
        jobs = [service.http.post("/predict/async", content=picture(number), headers=RAW).json()["job_id"]
                for number in range(10) for service in (one, other)]
        batches = [one.http.post("/predict/batch", files=files).json()["predictions"]]
        promoted(settings, tiny_bundle(2), 2)
        _until(lambda: batches.append(one.http.post("/predict/batch", files=files).json()["predictions"]) or
               batches[-1][0]["model_version"] == other.desk.current.version == version_of(2))
        assert all(_until(lambda job=job: _finished(one, job)).state == "done" for job in jobs)
    by_batch = [{answer["model_version"] for answer in batch} for batch in batches]
    assert all(len(versions) == 1 for versions in by_batch)
    assert set().union(*by_batch) == {version_of(1), version_of(2)}
    stored = [row["prediction_id"] for row in OnlineStore(settings.online_url).predictions() if row["mode"] == "async"]
    assert sorted(stored) == sorted(jobs)


def _die_with(jobs):
    """As the death of the process does: its lock is let go, and nothing else is done."""
    os.close(jobs._worker._handle)


def _finished(service, job_id):
    job = service.desk.jobs.job(job_id)
    return job if job.state in ("done", "failed") else None


def _done(service, path):
    job = service.http.get(path).json()
    return job if job["status"] in ("done", "failed") else None


def _until(condition, seconds=30):
    """The first true value of ``condition``."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if found := condition():
            return found
        pause.wait(0.02)
    raise AssertionError("waited in vain")

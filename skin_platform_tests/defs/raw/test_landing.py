"""Promises of the landing sensors and the daily schedule, as Dagster evaluates them."""

import itertools
from datetime import UTC, datetime

import dagster as dg
import pytest

from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.raw.requests import requests_for
from skin_platform.defs.raw.schedules import daily_landing
from skin_platform.defs.raw.sensors import MAX_BATCHES_PER_TICK, landing_bucket_sensor, landing_sensor
from skin_platform.defs.resources import StoresResource, default_resources
from skin_platform.planning import plan_ingest
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import drop

NUMBERS = itertools.count()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A fresh home whose landing folder settles at once; nothing lands in S3."""
    monkeypatch.setenv("SKIN_SETTLE_SECONDS", "0")
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(["nevus"], "clinic"), encoding="utf-8")
    return settings


@pytest.fixture
def bucket(settings, s3_access, monkeypatch):
    """An S3 bucket that deliveries land in below `in`; everything else of the deployment is there too."""
    number = next(NUMBERS)
    for name, value in {
            "S3_ENDPOINT": s3_access.endpoint, "S3_ACCESS_KEY": s3_access.access_key, "S3_SECRET_KEY": s3_access.secret_key,
            **{f"S3_BUCKET_{kind}": f"sensors-{kind.lower()}-{number}" for kind in ("IMAGES", "DATA", "MODELS")},
            "SKIN_LANDING_BUCKET": f"sensors-in-{number}", "SKIN_LANDING_PREFIX": "in"}.items():
        monkeypatch.setenv(name, value)
    stores = Stores(load_settings(skin_home=settings.home.root))
    stores.objects.create_bucket(f"sensors-in-{number}")
    return lambda name, data: stores.objects.upload_file(f"sensors-in-{number}", f"in/{name}", data)


@pytest.fixture
def instance():
    with dg.instance_for_test() as found:
        yield found


def context_of(kind, settings, instance, **more):
    """What the daemon hands to an evaluation."""
    definitions = build_definitions(default_resources(settings))
    return kind(instance_ref=instance.get_ref(), repository_def=definitions.get_repository_def(),
                resources={"stores": StoresResource(home=str(settings.home.root))}, **more)


def look(sensor, settings, instance):
    """One evaluation of a sensor."""
    seen = dict.fromkeys(("last_tick_completion_time", "last_run_key", "cursor", "repository_name"))
    with context_of(dg.SensorEvaluationContext, settings, instance, **seen) as context:
        return sensor.evaluate_tick(context)


def daily(settings, instance):
    """One evaluation of the schedule."""
    at = datetime.now(UTC)
    with context_of(dg.ScheduleEvaluationContext, settings, instance, scheduled_execution_time=at) as context:
        return daily_landing.evaluate_tick(context)


def opened(settings):
    return Stores(load_settings(skin_home=settings.home.root))


def test_a_drop_of_many_files_asks_for_a_bounded_number_of_runs_at_each_look(settings, instance, monkeypatch):
    monkeypatch.setenv("SKIN_MAX_BATCH_FILES", "2")
    drop(settings.home.landing, {f"nevus/{number:03}.jpg": b"" for number in range(3 * MAX_BATCHES_PER_TICK)})
    first = look(landing_sensor, settings, instance)
    assert len(first.run_requests) == MAX_BATCHES_PER_TICK
    assert len(first.cursor) < 1024
    batches = [batch.batch_id for batch in opened(settings).ledger.open_batches()]
    assert [request.partition_key for request in first.run_requests] == batches[:MAX_BATCHES_PER_TICK]
    assert len(batches) == 1.5 * MAX_BATCHES_PER_TICK
    again = look(landing_sensor, settings, instance)
    assert [request.run_key for request in again.run_requests] == [request.run_key for request in first.run_requests]


def test_batches_that_failed_too_often_do_not_hold_up_the_later_ones(settings, instance, monkeypatch):
    monkeypatch.setenv("SKIN_MAX_BATCH_FILES", "1")
    monkeypatch.setenv("TASK_RETRIES", "0")
    drop(settings.home.landing, {f"nevus/{number:03}.jpg": b"" for number in range(3)})
    stores = opened(settings)
    batches = [delivery.batch_id for delivery in stores.claim()]
    job = build_definitions(default_resources(settings)).resolve_job_def("ingest_batch")
    assert [request.partition_key for request in requests_for(instance, stores, 2).requests] == batches[:2]
    for batch in batches[:2]:
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags={"skin/batch": batch})
    assert [request.partition_key for request in requests_for(instance, stores, 2).requests] == batches[2:]
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"skin/batch": batches[2]})
    told = look(landing_sensor, settings, instance)
    assert told.run_requests == []
    assert "2 batch(es) failed too often" in told.skip_message
    stores.ledger.close_batch(batches[0], datetime.now(UTC))  # a person has run it
    assert requests_for(instance, stores, 2).given_up == 1


def test_the_bucket_sensor_acts_only_where_a_landing_bucket_is_named(settings, instance):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1)})
    assert "SKIN_LANDING_BUCKET is empty" in look(landing_bucket_sensor, settings, instance).skip_message


def test_what_lands_in_the_bucket_is_asked_for_by_its_sensor_and_what_lands_in_the_folder_by_the_other(
        settings, bucket, instance):
    bucket("nevus/s3.jpg", jpeg(1))
    drop(settings.home.landing, {"nevus/local.jpg": jpeg(2)})
    [from_bucket] = look(landing_bucket_sensor, settings, instance).run_requests
    [from_folder] = look(landing_sensor, settings, instance).run_requests
    roots = {batch.batch_id: batch.root for batch in opened(settings).ledger.open_batches()}
    assert roots[from_bucket.partition_key].startswith("s3://sensors-in-")
    assert roots[from_folder.partition_key] == str(settings.home.landing)
    for sensor, request in ((landing_bucket_sensor, from_bucket), (landing_sensor, from_folder)):
        assert [again.run_key for again in look(sensor, settings, instance).run_requests] == [request.run_key]


def test_a_batch_that_landed_in_the_bucket_comes_into_the_catalogue(settings, bucket, instance):
    bucket("train/nevus/a.jpg", jpeg(1))
    bucket("train/nevus/again.jpg", jpeg(1))
    bucket("Mustermann/b.jpg", jpeg(2))
    [request] = look(landing_bucket_sensor, settings, instance).run_requests
    instance.add_dynamic_partitions("batches", [request.partition_key])
    definitions = build_definitions(default_resources(load_settings(skin_home=settings.home.root)))
    result = definitions.resolve_job_def("ingest_batch").execute_in_process(
        instance=instance, partition_key=request.partition_key, tags=request.tags)
    assert result.success
    stores = opened(settings)
    [row] = stores.catalogue.read().to_pylist()
    assert (row["label"], row["split"]) == ("nevus", "train")
    assert stores.objects.object_exists(stores.images_bucket, row["s3_uri"].partition(f"{stores.images_bucket}/")[2])
    assert [entry.file for entry in stores.quarantine.entries(stores.ledger)] == ["Mustermann/b.jpg"]
    assert "Mustermann" not in str(instance.all_logs(result.run_id))
    assert look(landing_bucket_sensor, settings, instance).run_requests == []


def test_the_daily_schedule_does_what_both_sensors_do(settings, bucket, instance):
    assert daily_landing.default_status == dg.DefaultScheduleStatus.STOPPED
    assert "nothing new and settled has landed" in daily(settings, instance).skip_message
    bucket("nevus/s3.jpg", jpeg(1))
    drop(settings.home.landing, {"nevus/local.jpg": jpeg(2)})
    requests = daily(settings, instance).run_requests
    batches = opened(settings).ledger.open_batches()
    assert [request.partition_key for request in requests] == [batch.batch_id for batch in batches]
    assert {batch.root.partition(":")[0] for batch in batches} == {"s3", str(settings.home.landing)}
    assert set(instance.get_dynamic_partitions("batches")) == {batch.batch_id for batch in batches}


def test_sensors_and_schedule_do_not_ask_for_a_batch_that_is_under_way(settings, instance):
    drop(settings.home.landing, {"nevus/local.jpg": jpeg(2)})
    [request] = look(landing_sensor, settings, instance).run_requests
    job = build_definitions(default_resources(settings)).resolve_job_def("ingest_batch")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=dict(request.tags))
    assert daily(settings, instance).run_requests == []
    assert look(landing_sensor, settings, instance).run_requests == []


def test_ingest_by_hand_plans_what_landed_under_a_prefix(settings, bucket):
    bucket("nevus/a.jpg", jpeg(1))
    bucket("nevus/b.jpg", jpeg(1))
    bucket("nevus/c.txt", b"see attached")
    current = load_settings(skin_home=settings.home.root)
    source = f"s3://{current.skin_landing_bucket}/in"
    plan = plan_ingest(current, source, [])
    assert {fate: count for fate, count in plan.counts.items() if count} == {"new": 1, "already there": 1, "quarantined": 1}
    assert [file.why for file in plan.files if file.fate == "quarantined"] == [
        "the extension .txt is not one of .jpg, .jpeg, .png"]
    assert not current.home.ledger.exists()
    opened(settings).claim(source)
    again = plan_ingest(current, source, [])
    assert (again.files, again.others["claimed by an unfinished batch"]) == ((), 3)
    with pytest.raises(ValueError, match="the platform itself keeps things"):
        plan_ingest(current, f"s3://{current.s3_bucket_images}/skin", [])

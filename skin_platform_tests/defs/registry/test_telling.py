"""MLflow's registry shows what the log of moves says: told twice, at once, half-way, and after it was down."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from mlflow import MlflowClient, MlflowException

from skin_platform.defs.registry.behind import behind_the_moves, stale_cards
from skin_platform.defs.registry.model_card import write_card
from skin_platform.defs.registry.sensor import AGAIN_AFTER, IN_STEP, Looked, look, sync_registry
from skin_platform.defs.registry.telling import tell_registry
from skin_platform.defs.registry.truth import registry_out_of_step
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.tracking_database import experiment_in
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.registry.versions import add_version, move, opened, told_fit
from skin_platform_tests.deployments import free_port

NAME = "lesion_classifier"
CHANGES = ("create_registered_model", "create_model_version", "delete_model_version", "set_model_version_tag",
           "set_registered_model_alias", "delete_registered_model_alias", "set_registered_model_tag", "set_logged_model_tags")
NOW = datetime(2026, 5, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    """MLflow's own database, with nothing in it; it takes forty migrations to make one."""
    stores = opened(tmp_path_factory.mktemp("empty") / "home")
    experiment_in(stores.settings.mlflow_uri)
    return stores.settings.home.mlflow


@pytest.fixture
def stores(tracking, tmp_path):
    found = opened(tmp_path / "home")
    shutil.copytree(tracking, found.settings.home.mlflow, dirs_exist_ok=True)
    return found


def client(stores):
    return MlflowClient(tracking_uri=stores.settings.mlflow_uri, registry_uri=stores.settings.mlflow_uri)


def shown(stores):
    """All that MLflow's registry shows, with the times of its last changes."""
    model = client(stores).get_registered_model(NAME)
    found = client(stores).search_model_versions(f"name = '{NAME}'")
    return {"aliases": model.aliases, "tags": model.tags, "at": model.last_updated_timestamp,
            "versions": {str(of.version): (of.tags, of.run_id, of.last_updated_timestamp) for of in found}}


def names(stores):
    """Our version's name by alias, and the names of all that are shown."""
    found = shown(stores)
    by_number = {number: tags["version"] for number, (tags, *_) in found["versions"].items()}
    return {alias: by_number[str(number)] for alias, number in found["aliases"].items()}, sorted(by_number.values())


def test_mlflow_follows_registration_promotion_rollback_and_deletion(stores):
    assert tell_registry(stores) == []
    runs = [told_fit(stores, number) for number in (1, 2)]
    first, second = add_version(stores, 1), add_version(stores, 2)
    move(stores, "challenger", first, kind="registered")
    move(stores, "champion", first)
    move(stores, "challenger", second, kind="registered")
    assert registry_out_of_step(stores)
    assert len(tell_registry(stores)) == 7
    assert names(stores) == ({"champion": first, "challenger": second}, [first, second])
    noted = json.loads(stores.versions.read_file(second, "mlflow.json"))
    assert noted == {"name": NAME, "version": "2", "run_id": runs[1]}
    tags, run_id, _ = shown(stores)["versions"]["2"]
    assert tags["checkpoint_sha256"] == stores.versions.read_manifest(second)["checksum"]
    assert tags["dataset_digest"] == stores.versions.read_manifest(second)["dataset_digest"]
    assert (tags["verdict"], tags["forced"], run_id) == ("refused by floor", "no", runs[1])
    [model] = client(stores).search_logged_models([experiment_in(stores.settings.mlflow_uri)], f"source_run_id = '{runs[1]}'")
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": "2"}]

    move(stores, "champion", second, kind="forced", by="Bobé", why="größer")
    tell_registry(stores)
    assert names(stores)[0] == {"champion": second}, "a challenger that was promoted challenges no more"
    assert shown(stores)["versions"]["2"][0]["forced"].startswith("by Bobé at ")
    move(stores, "champion", first, kind="rolled back", why="worse on arms")
    tell_registry(stores)
    assert names(stores)[0] == {"champion": first, "challenger": second}
    assert [told for name, told in sorted(shown(stores)["tags"].items()) if name.startswith("moves/champion")][2].startswith(
        f"{first} in place of {second}: rolled back by ann at ")

    third = add_version(stores, 3)
    move(stores, "challenger", third, kind="registered")
    stores.versions.delete_model_version(second, by="ann")
    assert registry_out_of_step(stores)
    told_fit(stores, 3)
    tell_registry(stores)
    assert names(stores) == ({"champion": first, "challenger": third}, [first, third])


def test_telling_twice_changes_nothing(stores):
    told_fit(stores, 1, models=2)
    move(stores, "champion", add_version(stores, 1))
    tell_registry(stores)
    before = shown(stores)
    assert not registry_out_of_step(stores)
    assert tell_registry(stores) == []
    assert shown(stores) == before


def test_a_version_waits_until_mlflow_was_told_of_its_training(stores):
    told_fit(stores, 1)
    first, second = add_version(stores, 1), add_version(stores, 2)
    move(stores, "champion", first)
    tell_registry(stores)
    move(stores, "champion", second)
    tell_registry(stores)
    assert names(stores) == ({}, [first]), "no alias rather than one that names a former champion"
    assert not registry_out_of_step(stores), "there is nothing to tell as long as it waits"
    told_fit(stores, 2)
    assert registry_out_of_step(stores)
    tell_registry(stores)
    assert names(stores) == ({"champion": second}, [first, second])


def test_a_run_without_a_model_is_said_once_and_holds_nothing_up(stores):
    told_fit(stores, 1, models=0)
    told_fit(stores, 2)
    first, second = add_version(stores, 1), add_version(stores, 2)
    move(stores, "champion", second)
    assert any(f"{first} cannot be shown" in line for line in tell_registry(stores))
    assert names(stores) == ({"champion": second}, [second])
    assert not registry_out_of_step(stores)


@pytest.mark.slow
def test_killed_between_any_two_calls_the_next_telling_completes_it(stores, monkeypatch, tmp_path):
    for number in (1, 2, 3):
        told_fit(stores, number)
    first, second, third = (add_version(stores, number) for number in (1, 2, 3))
    move(stores, "champion", first)
    move(stores, "challenger", third, kind="registered")
    tell_registry(stores)
    move(stores, "champion", second, kind="forced")
    add_version(stores, 4, run_key="run 1")
    move(stores, "challenger", second, kind="registered")
    stores.versions.delete_model_version(third)
    kept = stores.settings.home.root
    calls = 0
    while True:
        calls += 1
        home = tmp_path / f"killed before {calls}"
        shutil.copytree(kept, home)
        again = Stores(load_settings(skin_home=home))
        with monkeypatch.context() as patch:
            left = _killing(patch, calls)
            try:
                tell_registry(again)
            except KeyboardInterrupt:
                assert registry_out_of_step(again)
        tell_registry(again)
        aliases, versions = names(again)
        assert (aliases, versions) == ({"champion": second}, [first, second, "v20260501_160000"])
        assert not registry_out_of_step(again)
        assert tell_registry(again) == []
        if left():
            break
    assert calls > 6


def _killing(patch, before):
    """Every change of MLflow's registry is counted; the process ends before the ``before``-th. Whether it was not reached."""
    left = [before]

    def counted(real):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return real(*args, **kwargs)
        return call

    for name in CHANGES:
        patch.setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))
    return lambda: left[0] > 0


def test_two_tellings_at_once_make_each_version_once(stores):
    for number in range(1, 5):
        told_fit(stores, number)
    versions = [add_version(stores, number) for number in range(1, 5)]
    move(stores, "champion", versions[-1])
    experiment_in(stores.settings.mlflow_uri)
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda _: tell_registry(Stores(stores.settings)), range(4)))
    assert names(stores) == ({"champion": versions[-1]}, versions)
    assert sorted(map(len, told)) == [0, 0, 0, 6]


def test_what_another_machine_made_at_the_same_moment_is_taken_off_and_what_is_not_ours_stays(stores):
    run_id = told_fit(stores, 1)
    version = add_version(stores, 1)
    move(stores, "champion", version)
    tell_registry(stores)
    tags = shown(stores)["versions"]["1"][0]
    client(stores).create_model_version(NAME, "s3://elsewhere", run_id, tags=tags)
    client(stores).create_model_version(NAME, "s3://other", run_id, tags=tags | {"checkpoint_sha256": "another deployment's"})
    client(stores).set_registered_model_alias(NAME, "champion", "2")
    tell_registry(stores)
    assert set(shown(stores)["versions"]) == {"1", "3"}
    assert names(stores)[0] == {"champion": version}


def test_while_mlflow_is_down_the_truth_stands_and_it_is_told_afterwards(stores):
    told_fit(stores, 1)
    version = add_version(stores, 1)
    down = Stores(load_settings(skin_home=stores.settings.home.root, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}"))
    move(down, "champion", version)
    with pytest.raises((MlflowException, OSError)):
        tell_registry(down)
    assert registry_out_of_step(down)
    assert down.versions.aliases() == {"champion": version}
    tell_registry(stores)
    assert names(stores) == ({"champion": version}, [version])
    assert registry_out_of_step(down), "another MLflow was not told"


def test_a_damaged_version_stays_as_it_was_shown_and_holds_nothing_up(stores):
    for number in (1, 2):
        told_fit(stores, number)
    first, second = add_version(stores, 1), add_version(stores, 2)
    move(stores, "champion", first)
    tell_registry(stores)
    stores.objects.upload_file("skin-models", f"skin_classifier/{first}/verdict.json", b"{}")
    move(stores, "challenger", second, kind="registered")
    assert any(f"{first} stays as it was shown" in line for line in tell_registry(stores))
    assert names(stores) == ({"champion": first, "challenger": second}, [first, second])


@pytest.mark.slow
def test_the_sensor_asks_for_one_run_for_what_is_behind_and_is_silent_otherwise(stores):
    def looked(cursor, at=NOW):
        result = look(stores, Looked.of(cursor), at)
        return result, result.cursor

    result, cursor = looked(None)
    assert result.skip_reason.skip_message == IN_STEP
    told_fit(stores, 1)
    version = add_version(stores, 1)
    move(stores, "challenger", version, kind="registered")
    result, cursor = looked(cursor)
    assert len(result.run_requests) == 1
    result, cursor = looked(cursor, NOW + timedelta(minutes=1))
    assert "tried at 2026-05-03T09:00:00+00:00 in vain" in result.skip_reason.skip_message
    assert len(looked(cursor, NOW + AGAIN_AFTER)[0].run_requests) == 1
    tell_registry(stores)
    write_card(version, stores)
    result, cursor = looked(cursor, NOW + timedelta(minutes=2))
    assert result.skip_reason.skip_message == IN_STEP
    assert len(cursor) < 1024


def test_the_sensor_tells_why_it_waits_while_mlflow_is_down(stores):
    down = Stores(load_settings(skin_home=stores.settings.home.root, mlflow_tracking_uri=f"http://127.0.0.1:{free_port()}"))
    add_version(down, 1)
    result = look(down, Looked(), NOW)
    assert "does not answer" in result.skip_reason.skip_message


def test_a_promotion_that_was_killed_before_anything_followed_is_noticed(stores):
    told_fit(stores, 1)
    version = add_version(stores, 1)
    move(stores, "challenger", version, kind="registered")
    write_card(version, stores)
    tell_registry(stores)
    assert behind_the_moves(stores) == {}
    move(stores, "champion", version)
    assert stale_cards(stores) == [version]
    assert set(behind_the_moves(stores)) == {"export", "cards", "mlflow"}
    [request] = look(stores, Looked(), NOW).run_requests
    assert isinstance(request, dg.RunRequest)


def test_the_job_brings_cards_and_mlflow_in_step_and_warns_of_what_it_cannot(stores):
    told_fit(stores, 1)
    version = add_version(stores, 1)
    write_card(version, stores)
    move(stores, "challenger", version, kind="registered")
    assert set(behind_the_moves(stores)) == {"cards", "mlflow"}
    resources = {"stores": StoresResource(home=str(stores.settings.home.root))}
    with dg.DagsterInstance.ephemeral() as instance:
        assert sync_registry.execute_in_process(instance=instance, resources=resources).success
        assert behind_the_moves(stores) == {}
        assert names(stores)[0] == {"challenger": version}
        stores.objects.upload_file("skin-models", f"skin_classifier/{version}/evaluation.json", b"{}")
        assert set(behind_the_moves(stores)) == {"cards"}
        result = sync_registry.execute_in_process(instance=instance, resources=resources)
        assert result.success
        warned = [event.user_message for event in instance.all_logs(result.run_id) if "is not written" in event.user_message]
    assert len(warned) == 1
    assert "evaluation.json is damaged" in warned[0]

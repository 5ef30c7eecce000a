"""Promises of following: the new champion answers without a restart, no request is lost, and a bad bundle stays out."""

import asyncio
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from skin_platform.core.images import Limits
from skin_platform.serving.batching import Overloaded
from skin_platform.serving.bundle_files import write_bundle
from skin_platform.serving.desk import Desk, nobody
from skin_platform.serving.exporting import exporting, withdraw_export
from skin_platform.serving.following import Follower
from skin_platform.serving.opening import opened
from skin_platform.settings import load_settings
from skin_platform_tests.serving.tiny_bundles import picture, promoted, spoilt, tiny_bundle, version_of

PICTURE = picture(5)


@pytest.fixture
def settings(tmp_path):
    return load_settings(skin_home=tmp_path)


@pytest.fixture
def desk(settings):
    """The desk of a service before the first promotion."""
    found = Desk(nobody(settings), None, None, Limits(), settings)
    yield found
    found.current.close()


@pytest.fixture
def follower(desk):
    found = Follower(desk)
    yield found
    found.close()


def scored(current):
    return asyncio.run(answered(current))


async def answered(current):
    [found] = await current.batcher.answer([PICTURE], Limits())
    return found.outcome[1].probabilities


def test_the_first_champion_and_each_later_one_answers_without_a_restart(settings, desk, follower):
    follower.look()
    assert (desk.current.code, desk.current.can_answer, desk.followed.refused) == ("no_champion", False, None)
    answers = []
    for move, number in enumerate((1, 2, 1), 1):
        promoted(settings, tiny_bundle(number), move, "rolled back" if move == 3 else "promoted")
        follower.look()
        assert (desk.current.version, desk.current.fault) == (version_of(number), None)
        assert (desk.current.promotion.number, desk.followed.promotion.number) == (move, move)
        answers.append(scored(desk.current))
    assert answers[0] == answers[2] != answers[1]


def test_who_asked_before_the_switch_gets_the_former_versions_answer(settings, desk, follower):
    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    with desk.using() as current:
        promoted(settings, tiny_bundle(2), 2)
        follower.look()
        follower.look()
        assert desk.current.version == version_of(2) != current.version
        assert scored(current)
        former = current
    follower.look()
    with pytest.raises(Overloaded):
        scored(former)


@pytest.mark.parametrize("harm", ["golden", "damaged", "no model at all"])
def test_a_bad_bundle_stays_out_and_is_tried_again_when_it_changes(settings, desk, follower, harm):
    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    good = desk.current
    folder = promoted(settings, spoilt(tiny_bundle(2)) if harm == "golden" else tiny_bundle(2), 2)
    if harm == "damaged":
        (folder / "calibration.json").write_text("{}")
    if harm == "no model at all":
        shutil.rmtree(folder)
        write_bundle(replace(tiny_bundle(2), model=b"no ONNX"), folder)
    follower.look()
    refused = desk.followed.refused
    assert desk.current is good
    assert (refused.version, bool(refused.reason)) == (version_of(2), True)
    assert {"golden": "golden image", "damaged": "calibration.json", "no model at all": "cannot be computed"}[harm] in (
        refused.reason)
    follower.look()
    assert desk.followed.refused is refused, "it is not tried again"
    shutil.rmtree(folder)
    write_bundle(tiny_bundle(2), folder)
    follower.look()
    assert (desk.current.version, desk.followed.refused) == (version_of(2), None)


@pytest.mark.parametrize(("harm", "said"), [
    ("changed", "model.onnx is damaged"), ("missing", "calibration.json is missing"), ("cut", "bundle.json is damaged"),
    ("gone", "bundle.json is missing")])
def test_damage_to_the_export_names_the_file_and_the_command_that_mends_it(settings, desk, follower, caplog, harm, said):
    folder = promoted(settings, tiny_bundle(1), 1)
    damage(folder, harm)
    follower.look()
    told = f"runs/{folder.name}/{said}"
    for fault in (desk.current.fault, desk.followed.refused.reason):
        assert fault.startswith(told)
        assert fault.endswith("`skin models record` exports the champion anew, and the running service takes it up by itself")
        assert str(settings.home.root) not in fault, "callers are told it, too"
    assert str(settings.home.export) in caplog.text
    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    assert (desk.current.version, desk.current.fault, desk.followed.refused) == (version_of(1), None, None)


@pytest.mark.parametrize(("given", "said"), [("own choice", "SKIN_BUNDLE"), ("pinned", "skin models record")])
def test_damage_to_a_pinned_bundle_names_what_mends_that(settings, given, said):
    folder = promoted(settings, tiny_bundle(1), 1)
    damage(folder, "missing")
    pinned = {"skin_bundle": folder} if given == "own choice" else {"skin_follow_champion": False}
    running = opened(load_settings(skin_home=settings.home.root, **pinned))
    assert "calibration.json is missing; " in running.desk.current.fault
    assert said in running.desk.current.fault
    assert running.desk.current.fault.endswith("then start the service anew")
    running.close()


def damage(folder, harm):
    if harm == "changed":
        (folder / "model.onnx").write_bytes(b"x")
    elif harm == "missing":
        (folder / "calibration.json").unlink()
    elif harm == "cut":
        (folder / "bundle.json").write_text("{", encoding="utf-8")
    else:
        shutil.rmtree(folder)


def test_a_bad_first_bundle_is_the_reason_of_the_refusals(settings, desk, follower):
    promoted(settings, spoilt(tiny_bundle(1)), 1)
    follower.look()
    assert (desk.current.can_answer, desk.current.code, desk.current.version) == (False, "not_ready", version_of(1))
    assert "golden image" in desk.current.fault


def test_the_same_bundle_moved_once_more_is_told_and_goes_on_with_its_engine(settings, desk, follower):
    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    before = desk.current
    promoted(settings, tiny_bundle(1), 3, "forced")
    follower.look()
    assert (desk.current.batcher, desk.current.since) == (before.batcher, before.since)
    assert (desk.current.promotion.number, desk.current.promotion.kind) == (3, "forced")
    follower.look()
    assert scored(desk.current)


def test_an_export_that_is_gone_leaves_the_service_answering(settings, desk, follower):
    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    with exporting(settings.home.export):
        withdraw_export(settings.home.export)
    follower.look()
    assert desk.current.can_answer
    assert "names nothing any more" in desk.followed.refused.reason
    promoted(settings, tiny_bundle(1), 2)
    follower.look()
    assert (desk.current.version, desk.followed.refused) == (version_of(1), None)


def test_a_folder_that_is_pruned_while_it_is_read_is_no_fault(settings, desk, follower, monkeypatch):
    from skin_platform.serving import following

    promoted(settings, tiny_bundle(1), 1)
    follower.look()
    promoted(settings, tiny_bundle(2), 2)
    real = following.taken_up

    def overtaken(folder, given):
        promoted(settings, tiny_bundle(3), 3)
        promoted(settings, tiny_bundle(4), 4)
        assert not folder.exists(), "pruned by the second move after it"
        monkeypatch.setattr(following, "taken_up", real)
        return real(folder, given)

    monkeypatch.setattr(following, "taken_up", overtaken)
    follower.look()
    assert (desk.current.version, desk.followed.refused) == (version_of(1), None)
    follower.look()
    assert (desk.current.version, desk.followed.refused) == (version_of(4), None)


def test_nobody_is_answered_by_a_closed_engine_however_often_the_champion_moves(settings, desk):
    """Requests in a loop beside moves in a loop: each answer is the one of the version that it names."""
    bundles = [tiny_bundle(1), tiny_bundle(2)]
    promoted(settings, bundles[0], 1)
    follower = Follower(desk, look_seconds=0.01)
    follower.look()
    follower.start()
    expected, seen, stop = {}, [], threading.Event()

    async def asked():
        while not stop.is_set():
            with desk.using() as current:
                await asyncio.sleep(0.001)  # as decoding does
                seen.append((current.version, await answered(current)))

    async def all_asked():
        await asyncio.gather(*(asked() for _ in range(8)))

    thread = threading.Thread(target=lambda: asyncio.run(all_asked()))
    thread.start()
    for move in range(2, 12):
        version = promoted(settings, bundles[(move + 1) % 2], move).name.rpartition("-")[0]
        while desk.current.version != version:
            stop.wait(0.01)
        expected.setdefault(version, scored(desk.current))
    stop.set()
    thread.join()
    follower.close()
    assert {version for version, _ in seen} == set(expected)
    assert all(np.allclose(list(answer.values()), list(expected[version].values()), atol=1e-6) for version, answer in seen)


def test_what_is_not_to_follow_answers_with_what_it_started_with(tmp_path):
    settings = load_settings(skin_home=tmp_path, skin_follow_champion=False, skin_env="demo")
    before = opened(settings)
    assert "start the service anew" in before.desk.current.fault
    promoted(settings, tiny_bundle(1), 1)
    started = opened(settings)
    promoted(settings, tiny_bundle(2), 2)
    assert (started.desk.current.version, started.desk.followed) == (version_of(1), None)
    assert before.desk.current.code == "no_champion"
    pinned = opened(load_settings(skin_home=tmp_path, skin_bundle=settings.home.export, skin_env="demo"))
    assert (pinned.desk.current.version, pinned.desk.followed) == (version_of(2), None)
    for service in (before, started, pinned):
        service.close()

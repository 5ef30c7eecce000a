"""Promotion: by the verdict alone, by every path; one wins, a killed one has happened or has not, a rollback is one move."""

import json
import os
import shutil
import signal
import subprocess
import time

import dagster as dg
import pytest

from skin_platform.core.references import EvaluationReference
from skin_platform.definitions import build_definitions
from skin_platform.defs.bundling import ensure_bundle
from skin_platform.defs.registry.judging import judge_version
from skin_platform.defs.registry.model_card import write_card
from skin_platform.defs.registry.promoting import against, promote, rollback
from skin_platform.defs.registry.registering import origin_of
from skin_platform.defs.registry.reigns import NotPromotedError, former, reign
from skin_platform.defs.resources import default_resources
from skin_platform.settings import load_settings
from skin_platform.storage.moves import Move, MovedMeanwhileError
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.registry.worlds import answered, deliver, rewrite
from skin_platform_tests.deployments import SKIN, skin

pytestmark = pytest.mark.slow


def good(chance):
    return chance < 0.9


def poor(chance):
    return chance < 0.2


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Stores:
    """A champion, an equally good candidate and a poor one, their bentos built."""
    stores = deliver(tmp_path_factory.mktemp("world"))
    first = answered(stores, 1, good)
    promote(first, stores, by="ann", why="the first", warn=pytest.fail)
    for version in (answered(stores, 2, good), answered(stores, 3, poor)):
        write_card(version, stores)
        ensure_bundle(version, stores)
    return stores


@pytest.fixture
def stores(world, tmp_path) -> Stores:
    shutil.copytree(world.settings.home.root, tmp_path / "home", symlinks=True)
    return Stores(load_settings(skin_home=tmp_path / "home"))


@pytest.fixture
def versions(stores) -> list[str]:
    return stores.versions.list_model_versions()


def champion(stores) -> str:
    return stores.moves.current("champion").version


def exported(stores) -> str:
    return json.loads((stores.settings.home.export / "bundle.json").read_text())["model_version"]


def materialize(stores, *keys, tags=None):
    """What a click on these assets does, or a sensor that asks for them."""
    definitions = build_definitions(default_resources(stores.settings))
    with dg.DagsterInstance.from_config(str(stores.settings.home.dagster)) as instance:
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(key) for key in keys], raise_on_error=False, tags=tags)


def hand_on(stores, version):
    """The evaluation of a version as the one that the graph goes on with."""
    from dataclasses import asdict

    origin: EvaluationReference = origin_of(version, stores)
    stores.references.write(["checkpoints", "evaluation"], f"run-{version}", asdict(origin))


def test_a_poor_candidate_does_not_become_champion_through_the_graph(stores, versions):
    """Nor where a sensor has asked for the run, nor by a click that leaves the checks out."""
    first, _, bad = versions
    hand_on(stores, bad)
    rooms = [["registry", name] for name in ("model_version", "model_card", "verdict", "champion")]
    done = materialize(stores, *rooms, ["bundles", "lesion_classifier"], ["bundles", "export"],
                       tags={"dagster/sensor_name": "a_sensor"})
    assert not done.success  # a blocking check stops the graph
    made = {key.path[-1] for event in done.get_asset_materialization_events() for key in [event.asset_key]}
    assert {"model_version", "model_card", "verdict", "lesion_classifier"} <= made  # a refused one has a card and a bento
    assert not {"champion", "export"} & made
    failed = {check.check_name for check in done.get_asset_check_evaluations() if not check.passed and check.blocking}
    assert "accuracy_reaches_the_floor" in failed
    assert (champion(stores), exported(stores)) == (first, first)
    alone = materialize(stores, ["registry", "champion"])
    assert not alone.success
    assert (champion(stores), exported(stores)) == (first, first)


def test_an_equal_candidate_becomes_champion_through_the_graph_and_is_exported(stores, versions):
    _, equal, _ = versions
    hand_on(stores, equal)
    rooms = [["registry", name] for name in ("model_version", "model_card", "verdict", "champion")]
    assert materialize(stores, *rooms, ["bundles", "lesion_classifier"], ["bundles", "export"]).success
    move = stores.moves.current("champion")
    assert (move.version, move.kind, exported(stores)) == (equal, "promoted", equal)
    assert move.by.startswith("Dagster run")


def test_a_poor_a_stale_and_an_unjudged_candidate_are_refused_by_the_command_without_force(stores, versions):
    first, equal, bad = versions
    home = stores.settings.home.root
    refused = skin("models", "promote", bad, "--why", "hope", "--home", home, check=False)
    assert refused.returncode == 2
    assert "floor: accuracy" in refused.stdout
    stores = rewrite(stores, ("floor: 0.5", "floor: 0.55"))
    with pytest.raises(NotPromotedError, match=r"the gates of dataset\.yaml are others now"):
        promote(equal, stores, by="ann", why="hope", warn=pytest.fail)
    unjudged = answered(stores, 9, good, judge=False)
    missing = skin("models", "promote", unjudged, "--why", "hope", "--home", home, "--json", check=False)
    assert missing.returncode == 2
    assert "verdict.json" in json.loads(missing.stdout)["reasons"][0]
    assert champion(stores) == first
    judge_version(equal, stores, "a test")
    assert "answers now" in skin("models", "promote", equal, "--why", "it is as good", "--by", "Ärztin", "--home", home).stdout
    assert (champion(stores), exported(stores)) == (equal, equal)


def test_a_forced_promotion_says_so_everywhere(stores, versions):
    bad = versions[2]
    home = stores.settings.home.root
    told = skin("models", "promote", bad, "--why", "for a trial", "--by", "ann", "--force", "--home", home).stdout
    assert "BY FORCE" in told
    assert "BY FORCE" in skin("models", "list", "--home", home, env={"COLUMNS": "200"}).stdout
    assert "FORCED" in skin("models", "history", "--home", home).stdout
    assert "**Forced promotion. ann" in stores.versions.read_file(bad, "model_card.md").decode()
    assert json.loads((stores.settings.home.export / "promotion.json").read_text())["kind"] == "forced"
    assert "**Forced promotion. ann" in (stores.settings.home.export / "model_card.md").read_text()


def test_a_rollback_brings_back_registry_export_and_alias_in_one_move_and_stays(stores, versions):
    from mlflow import MlflowClient

    first, equal, _ = versions
    home = stores.settings.home.root
    promote(equal, stores, by="ann", why="as good", warn=pytest.fail)
    assert exported(stores) == equal
    skin("models", "rollback", "--why", "it missed one", "--by", "bob", "--home", home)
    last = stores.moves.history("champion")[-1]
    assert (last.kind, last.version, last.former, last.by, last.why) == ("rolled back", first, equal, "bob", "it missed one")
    assert (exported(stores), stores.versions.aliases()["champion"]) == (first, first)
    client = MlflowClient(tracking_uri=stores.settings.mlflow_uri)
    told = json.loads(stores.versions.read_file(first, "mlflow.json"))
    assert str(client.get_model_version_by_alias(told["name"], "champion").version) == str(told["version"])
    assert "rolled back" in skin("models", "history", "--home", home).stdout
    judge_version(equal, stores, "a test")
    assert "was rolled back by bob" in against(equal, stores, unattended=True)[0]  # the graph does not bring it back
    assert against(equal, stores) == []  # a person may
    with pytest.raises(NotPromotedError, match="the first that answered"):
        rollback(stores, by="bob", why="further", warn=pytest.fail)


def test_rollbacks_go_back_step_by_step_and_not_to_and_fro():
    def move(number, version, kind="promoted"):
        return Move("champion", version, "", kind, "ann", "why", "2026", number)

    line = [move(1, "a"), move(2, "b"), move(3, "c")]
    assert reign(line) == ["a", "b", "c"]
    assert reign([*line, move(4, "b", "rolled back")]) == ["a", "b"]
    assert reign([*line, move(4, "b", "rolled back"), move(5, "a", "rolled back")]) == ["a"]
    assert reign([*line, move(4, "b", "rolled back"), move(5, "d")]) == ["a", "b", "d"]
    with pytest.raises(NotPromotedError, match=r"b came later.*--to VERSION"):
        former([*line[:2], move(3, "a", "rolled back")], None)
    with pytest.raises(NotPromotedError, match="never the champion"):
        former(line, "x")


def test_a_move_needs_a_name_and_a_reason_and_keeps_them_on_one_line(stores, versions):
    with pytest.raises(ValueError, match="--why is empty"):
        promote(versions[2], stores, by="ann", why=" \n", warn=pytest.fail, force=True)
    move = promote(versions[1], stores, by="Dr. Ünï\n2026  promoted  vEVIL", why="bad\x1b[31mRED", warn=pytest.fail)
    assert move.by == "Dr. Ünï 2026 promoted vEVIL"
    assert "\x1b" not in move.why


def test_a_forced_champion_that_is_brought_back_is_still_one_by_force(stores, versions):
    _, equal, bad = versions
    promote(bad, stores, by="ann", why="trial", warn=pytest.fail, force=True)
    promote(equal, stores, by="ann", why="trial", warn=pytest.fail, force=True)
    move = rollback(stores, by="bob", why="again", warn=pytest.fail)
    assert (move.version, "promoted by force by ann" in move.why) == (bad, True)
    assert json.loads((stores.settings.home.export / "promotion.json").read_text())["forced"] is True
    assert rollback(stores, by="bob", why="again", warn=pytest.fail, to=bad) == move  # it answers already


def test_the_champion_is_not_its_own_rival(stores, versions):
    before = stores.versions.read_file(versions[0], "verdict.json")
    judgement = judge_version(versions[0], stores, "a test")
    assert judgement.blocks == []
    assert stores.versions.read_file(versions[0], "verdict.json") == before  # the one that it was promoted on


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(stores, versions):
    _, equal, bad = versions
    home = stores.settings.home.root
    commands = [[SKIN, "models", "promote", version, "--why", "now", "--force", "--home", str(home)]
                for version in (equal, bad)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands]
    told = [process.communicate(timeout=200) for process in running]
    history = stores.moves.history("champion")
    assert history[-1].version in (equal, bad)
    assert exported(stores) == history[-1].version
    codes = [process.returncode for process in running]
    if len(history) == 2:  # they met
        assert sorted(codes) == [0, 1]
        assert history[-1].version in told[codes.index(1)][1] or "cannot be moved now" in told[codes.index(1)][1]
    else:  # the second came when the first was through, and moved on from there
        assert codes == [0, 0]
        assert history[-1].former == history[-2].version


def test_a_decision_on_a_champion_that_has_moved_is_not_carried_out(stores, versions):
    first, equal, bad = versions
    expected = stores.moves.current("champion").number
    promote(bad, stores, by="ann", why="trial", warn=pytest.fail, force=True)
    with pytest.raises(MovedMeanwhileError, match=bad):
        stores.moves.move("champion", equal, expected=expected, kind="promoted", by="bob", why="no gate is against it")
    assert any(first in reason and bad in reason for reason in against(equal, stores))


@pytest.mark.parametrize("seconds", [3.0, 5.0])
def test_a_promotion_killed_at_any_moment_leaves_the_former_or_the_new_and_is_completed(stores, versions, seconds):
    first, equal, _ = versions
    home = stores.settings.home.root
    process = subprocess.Popen([SKIN, "models", "promote", equal, "--why", "now", "--home", str(home)], start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    found = champion(stores)
    assert found in (first, equal)
    assert exported(stores) in (first, equal)
    skin("models", "record", "--home", home)
    assert (champion(stores), exported(stores)) == (found, found)


def test_a_registry_that_is_down_delays_what_mlflow_knows_and_nothing_else(stores, versions, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    equal = versions[1]
    home, warned = stores.settings.home.root, []
    down = Stores(load_settings(skin_home=home, mlflow_tracking_uri="http://127.0.0.1:9"))
    promote(equal, down, by="ann", why="as good", warn=warned.append)
    assert (champion(stores), exported(stores)) == (equal, equal)
    assert any("MLflow does not know of it yet" in line for line in warned)
    assert "mended: MLflow's registry was not told" in skin("models", "record", "--home", home).stdout
    assert "nothing waits" in skin("models", "record", "--home", home).stdout


def test_a_store_that_is_down_moves_nothing(stores, versions):
    env = {"S3_ENDPOINT": "http://127.0.0.1:9", "S3_ACCESS_KEY": "someone", "S3_SECRET_KEY": "a-secret-of-theirs"}
    done = skin("models", "promote", versions[1], "--why", "now", "--home", stores.settings.home.root, env=env, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert champion(stores) == versions[0]


def test_a_version_in_use_is_not_deleted(stores, versions):
    first, equal, bad = versions
    home = stores.settings.home.root
    assert stores.versions.aliases() == {"champion": first, "challenger": bad}
    for version, word in ((first, "champion"), (bad, "challenger")):
        done = skin("models", "delete", version, "--yes", "--home", home, check=False)
        assert (done.returncode, word in done.stderr) == (1, True)
    assert "is deleted" in skin("models", "delete", equal, "--yes", "--home", home).stdout
    assert stores.versions.list_model_versions() == [first, bad]


def test_compare_shows_both_side_by_side_with_the_paired_difference(stores, versions):
    first, _, bad = versions
    home = stores.settings.home.root
    told = json.loads(skin("models", "compare", bad, first, "--home", home, "--json").stdout)
    accuracy = next(line for line in told["lines"] if line["score"] == "accuracy")
    assert accuracy["difference"]["difference"] == pytest.approx(
        stores.versions.read_manifest(bad)["score"]["accuracy"] - stores.versions.read_manifest(first)["score"]["accuracy"])
    assert accuracy["difference"]["interval"]["high"] < 0
    n = {line["score"].split()[0]: line["n"] for line in told["lines"]}
    assert n["recall"] < n["AUC"] == told["n"]  # an area is computed on the images of the other labels, too
    shown = skin("models", "compare", bad, first, "--home", home).stdout
    heading = next(line for line in shown.splitlines() if "difference" in line)
    assert heading.split() == ["score", "n", bad, first, "difference"]
    assert "…" not in shown



"""Promises of the bundles: each version's bento is whole, its own, and built once; the export follows the log of moves."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skin_platform.defs import bundling
from skin_platform.defs.bundling import BundleFault, ensure_bundle, export_challenger, export_champion
from skin_platform.defs.registry.behind import behind_the_moves
from skin_platform.serving.bento_store import PackingError, bento_folder
from skin_platform.serving.bundle_files import BundleError, read_bundle
from skin_platform.serving.engine import Engine
from skin_platform.serving.exporting import PROMOTION, exported_version, read_promotion
from skin_platform.serving.packing import packed_bundle
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.defs.bundles.registered import NOON, checkpoint, new_home, promote, register
from skin_platform_tests.deployments import wait_for

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with the bentos of two versions, side by side."""
    stores = new_home(tmp_path_factory.mktemp("bundles") / "home")
    return stores, [ensure_bundle(register(stores, seconds, seed=seconds), stores) for seconds in (1, 2)]


@pytest.fixture
def home(built, tmp_path):
    """The same home, to be changed by a test."""
    stores, bundles = built
    shutil.copytree(stores.settings.home.root, tmp_path / "home", symlinks=True)
    return Stores(load_settings(skin_home=tmp_path / "home")), [bundle.version for bundle in bundles]


def source_of(stores, version):
    return bento_folder(f"lesion_classifier:{version}", stores.settings.home.bentoml) / "src"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_version_has_a_bento_of_its_name_that_answers_as_its_checkpoint_did(built):
    stores, bundles = built
    assert [bundle.tag for bundle in bundles] == [f"lesion_classifier:{bundle.version}" for bundle in bundles]
    for bundle, seed in zip(bundles, (1, 2), strict=True):
        found = read_bundle(source_of(stores, bundle.version) / "bundle")
        assert found.provenance.model_version == bundle.version == f"v{NOON:%Y%m%d_1200}{seed:02}"
        assert found.provenance.created_at == stores.versions.read_manifest(bundle.version)["created_at"]
        assert found.model_card == "# Model card\n"
        assert len(found.golden) == 8
        assert Engine(found).golden_fault() is None
        assert checkpoint(seed)[0] == stores.versions.download_model(bundle.version)
    assert list((stores.settings.home.bentoml / "building").iterdir()) == []


def test_what_is_there_is_not_built_again(built, monkeypatch):
    stores, bundles = built
    monkeypatch.setattr(bundling, "building", None)
    assert [ensure_bundle(bundle.version, stores) for bundle in bundles] == bundles


def test_a_card_that_was_rewritten_is_packed_without_another_export_of_the_model(home, monkeypatch):
    stores, (version, _) = home
    before = read_bundle(source_of(stores, version) / "bundle")
    monkeypatch.setattr(bundling, "exported_model", None)
    stores.versions.write_file(version, "model_card.md", b"# Another card\n")
    bundle = ensure_bundle(version, stores)
    after = read_bundle(source_of(stores, version) / "bundle")
    assert after.model_card == "# Another card\n"
    assert (after.model, after.golden) == (before.model, before.golden)
    assert ensure_bundle(version, stores) == bundle


def test_a_damaged_bento_is_known_for_one_and_built_again(home):
    stores, (version, _) = home
    tag, bentoml, source = f"lesion_classifier:{version}", stores.settings.home.bentoml, source_of(stores, version)
    before = read_bundle(source / "bundle")
    model, code = source / "bundle" / "model.onnx", source / "skin_platform" / "serving" / "engine.py"
    data = model.read_bytes()
    for path, damaged in ((model, bytes([data[0] ^ 1]) + data[1:]), (next((source / "bundle" / "golden").iterdir()), None),
                          (code, code.read_bytes() + b"# older\n"), (code, None)):
        sound = path.read_bytes()
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        with pytest.raises((BundleError, PackingError)):
            packed_bundle(tag, bentoml)
        path.write_bytes(sound)
        assert packed_bundle(tag, bentoml) == before
    model.unlink()
    ensure_bundle(version, stores)
    after = packed_bundle(tag, bentoml)
    assert (after.golden, after.provenance.checkpoint_sha256) == (before.golden, before.provenance.checkpoint_sha256)


def test_a_version_whose_export_answers_otherwise_gets_no_bento(home, monkeypatch):
    from skin_platform.ml import export
    from skin_platform.ml.checkpoints import load_checkpoint

    stores, _ = home
    version = register(stores, 3, seed=1)
    other, real = load_checkpoint(checkpoint(2)[0]), export.to_onnx
    monkeypatch.setattr(export, "to_onnx", lambda trained: real(other))
    with pytest.raises(BundleFault, match=rf"{version} gets no bento.*golden image .* is off by"):
        ensure_bundle(version, stores)
    bentos = stores.settings.home.bentoml / "bentos" / "lesion_classifier"
    assert version not in {path.name for path in bentos.iterdir()}
    assert list((stores.settings.home.bentoml / "building").iterdir()) == []


def test_a_version_of_which_another_checkpoint_is_said_gets_no_bento(home):
    stores, (first, second) = home
    stores.versions.write_file(second, "origin.json", stores.versions.read_file(first, "origin.json"))
    with pytest.raises(BundleFault, match=r"origin\.json is of another checkpoint"):
        ensure_bundle(second, stores)


def test_a_build_that_was_killed_leaves_nothing_half_and_the_next_one_builds(home):
    stores, (version, _) = home
    shutil.rmtree(source_of(stores, version).parent)
    bentoml = stores.settings.home.bentoml
    code = ("import sys; from skin_platform.defs.bundling import ensure_bundle; "
            "from skin_platform.settings import load_settings; from skin_platform.storage.stores import Stores; "
            "ensure_bundle(sys.argv[1], Stores(load_settings(skin_home=sys.argv[2])))")
    process = subprocess.Popen([sys.executable, "-c", code, version, str(stores.settings.home.root)], cwd=ROOT,
                               start_new_session=True)
    wait_for(lambda: list((bentoml / "building").glob("*/stage/bentofile.yaml")), 120, "the build")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    bentos = bentoml / "bentos" / "lesion_classifier"
    assert version not in {path.name for path in bentos.iterdir()}
    assert list((bentoml / "building").iterdir())
    ensure_bundle(version, stores)
    assert read_bundle(source_of(stores, version) / "bundle").provenance.model_version == version
    assert list((bentoml / "building").iterdir()) == []


def test_of_two_that_want_a_bundle_at_once_one_builds(home, monkeypatch):
    stores, (version, _) = home
    shutil.rmtree(source_of(stores, version).parent)
    exported, real = [], bundling.exported_model
    monkeypatch.setattr(bundling, "exported_model", lambda *given: exported.append(given[0]) or real(*given))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: ensure_bundle(version, stores), range(2))
    assert one == other
    assert exported == [version]


def test_the_export_follows_the_log_of_moves(home):
    stores, (first, second) = home
    export = stores.settings.home.export
    assert export_champion(stores) is None
    assert not export.is_symlink()
    for number, version in enumerate((first, second, first), 1):
        promote(stores, version, floor=0.4)
        assert export_champion(stores) == version == exported_version(export)
        assert export.resolve().name == f"{version}-{number}"
        told = read_promotion(export)
        assert (told.version, told.kind, told.number, told.by, told.floor) == (version, "promoted", number, "Ärztin", 0.4)
        bundle = content(source_of(stores, version) / "bundle")
        assert content(export) == bundle | {Path(PROMOTION): (export / PROMOTION).read_bytes()}
    assert {path.name for path in export.parent.iterdir() if path.is_dir() and not path.is_symlink()} == {
        f"{second}-2", f"{first}-3"}
    before = export.resolve().stat().st_mtime_ns
    assert export_champion(stores) == first
    assert export.resolve().stat().st_mtime_ns == before


def test_the_challenger_is_exported_beside_the_champion_until_it_is_one(home):
    stores, (first, second) = home
    challenger = stores.settings.home.challenger
    stores.moves.move("challenger", second, expected=0, kind="registered", by="Ärztin", why="the newest version")
    assert export_challenger(stores) is None, "there is no champion to compare it with"
    promote(stores, first)
    export_champion(stores)
    assert export_challenger(stores) == second == exported_version(challenger)
    assert read_promotion(challenger).kind == "registered"
    assert content(challenger) == content(source_of(stores, second) / "bundle") | {
        Path(PROMOTION): (challenger / PROMOTION).read_bytes()}
    assert exported_version(stores.settings.home.export) == first
    promote(stores, second)
    export_champion(stores)
    assert export_challenger(stores) is None
    assert {path.name for path in challenger.parent.iterdir() if not path.name.startswith(".")} == {
        "skin5-current", f"{first}-1", f"{second}-2"}


def test_a_challenger_without_a_whole_bento_is_not_exported(home):
    stores, (first, second) = home
    promote(stores, first)
    stores.moves.move("challenger", second, expected=0, kind="registered", by="Ärztin", why="the newest version")
    (source_of(stores, second) / "bundle" / "calibration.json").write_text("{}")
    assert export_challenger(stores) is None
    shutil.rmtree(source_of(stores, second))
    assert export_challenger(stores) is None


def test_an_export_that_is_damaged_or_was_killed_half_way_is_replaced(home):
    stores, (version, _) = home
    export = stores.settings.home.export
    promote(stores, version)
    export_champion(stores)
    (export / "calibration.json").write_text("{}")
    (export.parent / f".{version}-1.partial").mkdir()
    (export.parent / f".{export.name}.link").symlink_to("nowhere")
    assert f"runs/{version}-1/calibration.json is damaged" in behind_the_moves(stores)["export"]
    assert export_champion(stores) == version
    assert "export" not in behind_the_moves(stores)
    assert content(export / "golden") == content(source_of(stores, version) / "bundle" / "golden")
    read_bundle(export)
    assert not list(export.parent.glob(".*.partial"))
    assert (export.parent / f"{version}-1").is_dir(), "the damaged one may be in use"


def test_without_a_champion_there_is_no_export(home):
    stores, (version, _) = home
    promote(stores, version)
    export_champion(stores)
    other = Stores(load_settings(skin_home=stores.settings.home.root, s3_bucket_models="another-bucket"))
    assert export_champion(other) is None
    assert exported_version(stores.settings.home.export) is None


def test_a_promotion_during_the_export_is_the_one_that_is_exported(home, monkeypatch):
    stores, (first, second) = home
    promote(stores, first)
    asked, real = [], bundling.ensure_bundle

    def promoted_meanwhile(version, stores):
        if not asked:
            promote(stores, second, "forced")
        asked.append(version)
        return real(version, stores)

    monkeypatch.setattr(bundling, "ensure_bundle", promoted_meanwhile)
    assert export_champion(stores) == second
    assert asked == [first, second]
    assert read_promotion(stores.settings.home.export).kind == "forced"

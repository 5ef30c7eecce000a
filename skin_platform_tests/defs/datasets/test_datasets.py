"""Promises of the room ``datasets`` on real parts: a catalogue of landed files, real patients, Dagster, the command line."""

import json
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from skin_platform.core.references import DatasetReference
from skin_platform.core.splits import SplitPolicy
from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.checkpoints.images import training_rows
from skin_platform.defs.datasets.checks import no_image_moved_but_by_the_rule
from skin_platform.defs.resources import StoresResource, default_resources
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.candidates import Split, split_candidates
from skin_platform.storage.manifests import ASSIGNED, locked_digest, rows_of, straddling
from skin_platform.storage.openings import Opening
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, ROOT, skin, small_delivery
from skin_platform_tests.storage.frozen import freeze_rows

pytestmark = pytest.mark.slow
REAL = ROOT.parent / "shared" / "data" / "pad_ufes_masked"  # 209 images of 189 patients


def home_for(folder: Path, labels: list[str]) -> Settings:
    settings = load_settings(skin_home=folder, skin_settle_seconds=0)
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(labels, "clinic"), encoding="utf-8")
    return load_settings(skin_home=folder, skin_settle_seconds=0)


def configured(settings: Settings, *change: str) -> Settings:
    """The settings after an edit of the home's dataset.yaml."""
    text = settings.home.dataset_config.read_text(encoding="utf-8")
    assert change[0] in text
    settings.home.dataset_config.write_text(text.replace(*change), encoding="utf-8")
    return load_settings(skin_home=settings.home.root, skin_settle_seconds=0)


def materialized(settings: Settings, *nouns: str) -> dg.ExecuteInProcessResult:
    """The assets of the room with their checks, as Dagster runs them."""
    job = build_definitions(default_resources(settings)).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False,
                                      asset_selection=[dg.AssetKey(["datasets", noun]) for noun in nouns])


def told(result: dg.ExecuteInProcessResult, noun: str) -> dict[str, dg.MetadataValue]:
    [event] = result.asset_materializations_for_node(f"datasets__{noun}")
    return dict(event.metadata)


@pytest.fixture(scope="module")
def catalogued(tmp_path_factory):
    """A home with a small delivery in its catalogue."""
    folder = tmp_path_factory.mktemp("catalogued")
    found = home_for(folder / "home", sorted(LABELS))
    skin("ingest", "--home", found.home.root, "--source", small_delivery(folder / "lab", images=40))
    return found


@pytest.fixture
def settings(catalogued, tmp_path):
    """That home once more, to be changed by a test."""
    shutil.copytree(catalogued.home.root, tmp_path / "home", symlinks=True)
    return load_settings(skin_home=tmp_path / "home", skin_settle_seconds=0)


def test_a_version_is_frozen_checked_profiled_listed_and_compared(settings, tmp_path):
    result = materialized(settings, "version", "profile")
    assert result.success
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "no_group_in_two_splits": True, "no_image_moved_but_by_the_rule": True}
    profile = told(result, "profile")
    for name in ("labels", "quality_by_split", "quality_by_label"):
        assert "data:image/png;base64," in profile[name].value
    assert sum(row.data["images"] for row in profile["counts"].records) == told(result, "version")["images"].value == 40
    ages = [row.data for row in profile["subgroups"].records if row.data["column"] == "age"]
    assert sum(row["train"] + row["val"] + row["test"] for row in ages) == 40
    stores = Stores(settings)
    first = stores.datasets.latest()
    before = {row.sha256: row.split for row in stores.datasets.read(first)}
    frozen = {item.key: stores.objects.download_file("skin-data", item.key)
              for item in stores.objects.list_objects("skin-data", "datasets")}
    assert materialized(settings, "version").success
    assert frozen == {item.key: stores.objects.download_file("skin-data", item.key)
                      for item in stores.objects.list_objects("skin-data", "datasets")}
    skin("ingest", "--home", settings.home.root, "--source", small_delivery(tmp_path / "more", seed=77, images=12))
    assert materialized(configured(settings, "seed: 0", "seed: 5"), "version").success
    second = stores.datasets.latest()
    after = {row.sha256: row.split for row in stores.datasets.read(second)}
    assert {sha256: after[sha256] for sha256 in before} == before
    _asked_by_hand(settings, first, second)


def _asked_by_hand(settings: Settings, first: str, second: str) -> None:
    stores, home = Stores(settings), settings.home.root
    found = stores.datasets.version(second)
    stores.openings.record(Opening(second, "test", found.locked_digest, "c", "run", "evaluation", "2026-05-01T00:00:00+00:00"))
    listed = json.loads(skin("datasets", "list", "--home", home, "--json").stdout)
    assert [(item["digest"], item["is_latest"]) for item in listed] == [(second, True), (first, False)]
    shown = json.loads(skin("datasets", "show", second[:8], "--home", home, "--json").stdout)
    assert (shown["images"], shown["came"]["parent"], shown["openings_in_all_versions"], shown["moves"]) == (52, first, 1, [])
    assert any(note.startswith("the seed was 0 and is 5") for note in shown["came"]["notes"])
    difference = json.loads(skin("datasets", "diff", first[:8], "latest", "--home", home, "--json").stdout)
    assert {kind: difference[kind]["images"] for kind in ("added", "removed", "relabelled", "moved")} == {
        "added": 12, "removed": 0, "relabelled": 0, "moved": 0}
    plain = skin("datasets", "show", "--home", home).stdout
    assert "test was opened 1 time(s) in all versions, 1 time(s) with these very images" in plain
    assert all(label in plain for label in LABELS)
    assert "added: 12" in skin("datasets", "diff", first[:8], "--home", home).stdout
    wrong = skin("datasets", "show", "nothing", "--home", home, check=False)
    assert (wrong.returncode, "names no dataset" in wrong.stderr) == (1, True)


def test_an_image_that_moved_against_the_rule_fails_its_check(settings):
    assert materialized(settings, "version").success
    stores = Stores(settings)
    rows = stores.datasets.read(stores.datasets.latest())
    groups = {row.group_id for row in rows if row.split == "test"}
    freed = [row if row.group_id not in groups else type(row)(row.sha256, row.label, row.group_id, "train", row.s3_uri)
             for row in rows]
    parent = stores.datasets.latest()
    digest = freeze_rows(stores.datasets, freed, parent=parent)
    verdict = no_image_moved_but_by_the_rule(
        DatasetReference(digest, "", "", ()), StoresResource(home=str(settings.home.root)))
    assert not verdict.passed
    assert {row.data["why"] for row in verdict.metadata["against_the_rule"].records} == {"to a less held-out split"}


def test_a_split_that_the_configuration_forgot_stops_the_version_by_name(settings):
    assert materialized(settings, "version").success
    forgotten = configured(settings, "  test: {fraction: 0.15, locked: true, also_called: [testing]}\n", "")
    forgotten = configured(forgotten, "val: {fraction: 0.15", "val: {fraction: 0.3")
    result = materialized(forgotten, "version")
    assert not result.success
    assert "are in the split 'test', which dataset.yaml does not name" in (
        result.failure_data_for_node("datasets__version").user_failure_data.description)


def why(result: dg.ExecuteInProcessResult, noun: str = "datasets__version") -> str:
    assert not result.success
    return result.failure_data_for_node(noun).user_failure_data.description


def linked(settings: Settings, folder: Path, patients: int) -> None:
    """Deliver the images of a home once more, now with a table that says whose they are: of a few patients in all."""
    rows = Stores(settings).catalogue.read().select(["label", "s3_uri"]).to_pylist()
    objects, lines = Stores(settings).objects, ["file,label,patient_id"]
    for number, row in enumerate(sorted(rows, key=lambda row: row["s3_uri"])):
        key = row["s3_uri"].split("/", 3)[3]
        path = folder / row["label"] / Path(key).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.download_file("skin-images", key))
        lines.append(f"{row['label']}/{path.name},{row['label']},p{number % patients}")
    (folder / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    skin("ingest", "--home", settings.home.root, "--source", folder)


@pytest.fixture
def unlinked(settings, tmp_path):
    """A home whose images have no patients yet, frozen once."""
    delivery = small_delivery(tmp_path / "lab", images=30)
    (delivery / "manifest.csv").unlink()
    found = home_for(tmp_path / "unlinked", sorted(LABELS))
    skin("ingest", "--home", found.home.root, "--source", delivery)
    assert materialized(found, "version").success
    return found


def test_links_that_leave_nothing_to_learn_from_are_named_and_another_line_draws_the_splits_anew(unlinked, tmp_path):
    stores = Stores(unlinked)
    first = stores.datasets.version(stores.datasets.latest())
    linked(unlinked, tmp_path / "again", patients=4)
    reason = why(materialized(unlinked, "version"))
    learnt = first.images_by_split()["train"]
    assert f"{learnt} image(s) moved out of 'train' (" in reason
    assert "), which holds 0 now; " in reason
    assert "the 30 image(s) are of 4 group(s) in all" in reason
    assert "give `line` in dataset.yaml another name (scores before and after cannot be compared" in reason
    assert stores.datasets.latest() == first.digest
    anew = configured(unlinked, 'line: ""', "line: 2026-11-01")
    assert materialized(anew, "version").success
    second = stores.datasets.version(stores.datasets.latest())
    assert (second.came.line, second.came.parent, second.moved) == ("2026-11-01", None, 0)
    assert {"train", "val"} <= second.images_by_split().keys()
    told = " ".join(second.came.notes)
    assert f"a new line of versions, '2026-11-01', begins after dataset {first.digest[:12]} (line '')" in told
    assert "cannot be compared" in told
    assert "image(s) that judge or choose now were learnt from before" in told
    assert "image(s) that were locked in 'test' are in other splits now; it was opened 0 time(s)" in told
    assert materialized(anew, "version").success  # and from now on the splits are kept
    assert stores.datasets.latest() == second.digest
    back = configured(anew, "line: 2026-11-01", 'line: ""')
    assert "name a line that was not there before" in why(materialized(back, "version"))


def test_where_all_images_are_of_one_patient_another_line_is_not_offered(unlinked, tmp_path):
    linked(unlinked, tmp_path / "again", patients=1)
    reason = why(materialized(unlinked, "version"))
    assert "the 30 image(s) are of 1 group(s) in all" in reason
    assert "Splits that are drawn anew would not help either" in reason


def test_labels_that_dataset_yaml_does_not_name_are_told_where_nothing_can_be_learnt(settings):
    text = settings.home.dataset_config.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("labels:"))
    reason = why(materialized(configured(settings, line, f"labels: [{LABELS[1]}]"), "version"))
    assert f"there is {LABELS[1]}: deliver images of another label (" in reason
    assert "image(s) have a label that dataset.yaml does not name)" in reason


def test_a_lock_that_is_taken_away_is_on_record_and_shown(settings, tmp_path):
    assert materialized(settings, "version").success
    opened = configured(settings, "locked: true, ", "")
    assert materialized(opened, "version").success
    said = "'test' was locked and no split is now"
    assert said in skin("datasets", "show", "--home", settings.home.root).stdout  # of the same content: nothing was written
    skin("ingest", "--home", settings.home.root, "--source", small_delivery(tmp_path / "more", seed=78, images=6))
    assert materialized(opened, "version").success
    stores = Stores(opened)
    assert any(said in note for note in stores.datasets.version(stores.datasets.latest()).came.notes)
    again = configured(opened, "test: {fraction: 0.15, ", "test: {fraction: 0.15, locked: true, ")
    assert stores.datasets.version(stores.datasets.latest()).locked_digest == ""
    assert materialized(again, "version").success  # the same images, locked again: an opening must say which they are
    reference = stores.references.read(["datasets", "version"])
    assert (reference["digest"], reference["locked_split"]) == (stores.datasets.latest(), "test")
    assert reference["locked_digest"] == locked_digest(stores.datasets.manifest(reference["digest"]), "test") != ""


def test_splits_that_change_places_are_refused_before_anything_is_learnt_from_them(settings):
    assert materialized(settings, "version").success
    train = "  train: {fraction: 0.7, also_called: [training]}\n"
    val = "  val: {fraction: 0.15, also_called: [validation, valid, dev]}\n"
    swapped = configured(settings, train + val, val + train)
    assert "'train' was learnt from, and would choose or judge" in why(materialized(swapped, "version"))
    assert "the splits were train, val, test" in skin("datasets", "show", "--home", settings.home.root).stdout
    stores = Stores(swapped)
    with pytest.raises(dg.Failure, match="was learnt from, and would choose or judge"):
        training_rows(DatasetReference(stores.datasets.latest(), "", "", ()), stores)


def test_the_list_fits_a_terminal_and_a_label_without_images_is_said(settings):
    assert materialized(settings, "version").success
    listed = skin("datasets", "list", "--home", settings.home.root, env={"COLUMNS": "80"}).stdout.splitlines()
    assert [len(line) <= 80 for line in listed] == [True, True]
    assert listed[0].split() == ["digest", "frozen", "(UTC)", "images", "train", "val", "test", "moved"]
    configured(settings, "labels: [", "labels: [never delivered, ")
    shown = skin("datasets", "show", "--home", settings.home.root).stdout
    assert "dataset.yaml now: no image of label never delivered is in this version" in shown


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real images with patients in {REAL}")
def test_no_real_patient_straddles_with_several_seeds_and_after_adding_rows(tmp_path):
    settings = home_for(tmp_path / "home", sorted(path.name for path in REAL.iterdir() if path.is_dir()))
    half, rest = tmp_path / "half", tmp_path / "rest"
    for position, path in enumerate(sorted(REAL.rglob("*.png"))):
        target = (half, rest)[position % 2] / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for folder in (half, rest):
        shutil.copy(REAL / "metadata.csv", folder)
    stores, nothing = Stores(settings), ASSIGNED.empty_table()
    skin("ingest", "--home", settings.home.root, "--source", half)
    former = {seed: split_of(stores, seed, nothing) for seed in range(5)}
    skin("ingest", "--home", settings.home.root, "--source", rest)
    for seed, before in former.items():
        after = split_of(stores, seed, before.manifest.select(ASSIGNED.names))
        assert (len(before.manifest), len(after.manifest)) == (105, 209)
        moved = set(after.moves["sha256"].to_pylist())  # by near-duplicates that came with the rest
        assert {sha256 for sha256, split in splits(before).items() if splits(after)[sha256] != split} == moved
    assert len({tuple(sorted(splits(found).items())) for found in former.values()}) == len(former)


def split_of(stores: Stores, seed: int, assigned: pa.Table) -> Split:
    """The splits of the catalogue with this seed; no group and no patient of it is in two."""
    config = stores.settings.dataset
    offered, _ = stores.catalogue.trainable(assigned)
    found = split_candidates(offered, assigned, SplitPolicy(config.fractions, seed, config.locked_split),
                             config.vocabulary.splits)
    assert straddling(found.manifest, "group_id") == []
    patients = stores.catalogue.query("SELECT patient_id FROM lesions_data JOIN manifest USING (sha256) GROUP BY patient_id "
                                      "HAVING count(DISTINCT manifest.split) > 1", tables={"manifest": found.manifest})
    assert len(patients) == 0
    shares = Counter(splits(found).values())
    assert all(abs(shares[name] / len(found.manifest) - share) < 0.05 for name, share in config.fractions.items())
    return found


def splits(found: Split) -> dict[str, str]:
    return {row.sha256: row.split for row in rows_of(found.manifest)}

"""Promises of the split report: where copies and patients make a random split flatter, it says so; where not, not."""

import dagster as dg
import pytest

from skin_platform.dataset_template import render_dataset_config
from skin_platform.definitions import build_definitions
from skin_platform.defs.resources import default_resources
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World
from skin_platform_tests.deployments import LABELS, skin

pytestmark = pytest.mark.slow


def reported(folder, **options):
    """What the report says of a generated world, walked from the delivery on."""
    generate(World(images=160, labels=LABELS, seed=3, size_px=224, **options), folder / "delivery")
    settings = load_settings(skin_home=folder / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(LABELS)), encoding="utf-8")
    skin("ingest", "--home", settings.home.root, "--source", folder / "delivery")
    definitions = build_definitions(default_resources(settings))
    with dg.DagsterInstance.from_config(str(settings.home.dagster)) as instance:
        version = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["datasets", "version"])])
        assert version.success
        result = definitions.resolve_job_def("report_split").execute_in_process(instance=instance)
    assert result.success
    return Stores(settings), Stores(settings).references.read(["datasets", "split_report"])


def test_near_duplicates_make_a_random_split_flatter_by_a_clear_margin(tmp_path):
    stores, report = reported(tmp_path, patients=80, near_duplicates=0.5)
    print(report["verdict"])
    assert report["groups"] <= 80
    assert report["difference"]["interval"]["low"] > 0.02
    assert report["difference"]["value"] > 0.08
    assert report["verdict"].startswith("a random split flatters")
    rows = stores.datasets.read(report["dataset_digest"])
    open_rows = [row for row in rows if row.split != stores.settings.dataset.locked_split]
    assert report["images"] == len(open_rows) < len(rows)


def test_on_a_clean_world_a_random_split_does_not_flatter(tmp_path):
    _, report = reported(tmp_path, patients=160)
    print(report["verdict"])
    interval = report["difference"]["interval"]
    assert interval["low"] <= 0 <= interval["high"]
    assert abs(report["difference"]["value"]) < 0.06
    assert "flatters" not in report["verdict"]

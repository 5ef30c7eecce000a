"""The shape of the house: what holds for every room, whatever is in it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest

from skin_platform.definitions import ROOMS, defs
from skin_platform.settings import Settings

ROOT = Path(__file__).parents[1]
ROOM_NAMES = [room.__name__.split(".")[-2] for room in ROOMS]
HEAVY = ("torch", "lightning", "transformers", "mlflow", "bentoml", "onnxruntime")


def all_assets() -> list[dg.AssetSpec]:
    return sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)  # Dagster's order changes from process to process


@pytest.mark.parametrize("module", ["skin_platform.definitions", "skin_platform.cli"])
def test_definitions_and_command_line_load_without_what_learns_and_serves(module):
    code = f"import {module}, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", all_assets(), ids=lambda spec: spec.key.to_user_string())
def test_an_asset_has_one_address_an_owner_a_kind_and_a_sentence(spec):
    room, noun = spec.key.path
    assert spec.group_name == room
    assert room in ROOM_NAMES
    assert (ROOT / "skin_platform" / "defs" / room / "assets.py").is_file()
    assert (ROOT / "skin_platform_tests" / "defs" / room).is_dir()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", noun)
    assert spec.owners
    assert spec.kinds
    assert spec.description
    assert spec.description.rstrip().endswith(".")


def test_data_never_flows_to_an_earlier_room():
    for spec in all_assets():
        for dep in spec.deps:
            upstream, downstream = ROOM_NAMES.index(dep.asset_key.path[0]), ROOM_NAMES.index(spec.key.path[0])
            assert upstream <= downstream, f"{dep.asset_key} flows back to {spec.key}"


def test_every_room_has_its_folder_and_nothing_else_lies_between_them():
    folders = {path.name for path in (ROOT / "skin_platform" / "defs").iterdir() if path.is_dir() and path.name[0] != "_"}
    assert folders == set(ROOM_NAMES)


def test_every_check_says_what_is_true_when_it_passes():
    checks = [key for node in defs.asset_checks or [] for key in node.check_keys]
    assert checks
    for key in checks:
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+){2,}", key.name)


def test_import_directions_hold():
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_module_is_a_drawer_for_everything():
    names = {path.stem for path in (ROOT / "skin_platform").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "constants", "misc"}


def test_every_module_has_a_doorplate():
    bare = [path for path in (ROOT / "skin_platform").rglob("*.py") if not path.read_text(encoding="utf-8").startswith('"""')]
    assert bare == []


def test_every_setting_is_documented_where_people_look():
    example = dict(line.split("#")[0].split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines()
                   if "=" in line and not line.startswith("#"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert name.upper() in example, f"{name.upper()} is missing in .env.example"
        assert f"`{name.upper()}`" in readme, f"{name.upper()} is missing in README.md"
        assert field.description
    assert {name.lower() for name in example} == set(Settings.model_fields)


def test_the_committed_configuration_is_what_a_new_home_gets():
    from skin_platform.dataset_template import render_dataset_config
    from skin_platform.storage.stores import DEFAULT_LABELS

    assert (ROOT / "data" / "dataset.yaml").read_text(encoding="utf-8") == render_dataset_config(DEFAULT_LABELS)


def test_constraints_pin_every_installed_dependency():
    pins = (ROOT / "constraints.txt").read_text()
    assert "torch==2.13.0" in pins
    assert all("==" in line for line in pins.splitlines() if line and not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    declared = {re.split(r"[>=<\[]", item)[0] for item in wanted}
    pinned = {line.split("==")[0].lower() for line in pins.splitlines()}
    assert {name.lower() for name in declared} <= pinned


def test_no_diagnosis_stands_in_the_code():
    words = re.compile(r"melanoma|nevus|keratosis|carcinoma|\bBCC\b|\bSCC\b|\bMEL\b|\bNEV\b|\bACK\b|\bSEK\b")
    found = [str(path) for path in (ROOT / "skin_platform").rglob("*.py") if words.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_workspace_is_valid():
    env = {**os.environ, "DAGSTER_HOME": ""}
    done = subprocess.run([str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-w", "workspace.yaml"],
                          cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

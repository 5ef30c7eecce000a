"""The assets of the room: the bento of every registered version, the champion's export, and a version that gets none."""

from dataclasses import asdict

import dagster as dg
import pytest
from pydantic import TypeAdapter

from skin_platform.core.references import BundleReference, ModelVersionReference
from skin_platform.defs.bundles.assets import export, lesion_classifier
from skin_platform.defs.bundling import origin_of
from skin_platform.defs.resources import default_resources
from skin_platform.serving.launch import current_tag
from skin_platform_tests.defs.bundles.registered import new_home, promote, register

pytestmark = pytest.mark.slow


def materialize(stores, version):
    """Both assets in a run of their own, of the version that the registry handed on last."""
    reference = ModelVersionReference(version, origin_of(version, stores), "")
    stores.references.write(["registry", "model_version"], "earlier", asdict(reference))
    return dg.materialize([dg.AssetSpec(["registry", "model_version"]), lesion_classifier, export],
                          resources=default_resources(stores.settings), raise_on_error=False)


def shown(result, asset):
    key = dg.AssetKey(["bundles", asset])
    [event] = [event for event in result.get_asset_materialization_events() if event.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_every_version_gets_a_bento_and_the_champion_alone_is_exported(tmp_path):
    stores = new_home(tmp_path / "home")
    first = register(stores, 1)
    result = materialize(stores, first)
    assert result.success
    assert shown(result, "lesion_classifier")["bento"] == f"lesion_classifier:{first}"
    assert "nothing has been promoted yet" in shown(result, "export")["champion"]
    stored = TypeAdapter(BundleReference).validate_python(stores.references.read(["bundles", "lesion_classifier"]))
    assert (stored.version, stored.evaluation) == (first, origin_of(first, stores))

    promote(stores, first, "forced")
    challenger = register(stores, 2, seed=4)
    result = materialize(stores, challenger)
    assert shown(result, "lesion_classifier")["model_version"] == challenger
    told = shown(result, "export")
    assert (told["champion"], told["promotion"], told["by"]) == (first, "forced", "Ärztin")
    assert told["challenger"] == "none", "nobody challenges it yet"
    assert current_tag(stores.settings.home.export) == f"lesion_classifier:{first}"
    stores.moves.move("challenger", challenger, expected=0, kind="registered", by="Ärztin", why="the newest version")
    assert shown(materialize(stores, challenger), "export")["challenger"] == challenger

    stores.versions.write_file(challenger, "origin.json", stores.versions.read_file(first, "origin.json"))
    result = materialize(stores, challenger)
    assert not result.success
    failed = result.failure_data_for_node("bundles__lesion_classifier").user_failure_data
    assert f"model version {challenger} gets no bento" in failed.description

"""The gates as checks, and what a walk tells of them: one that judged nothing neither holds nor stops anything."""

import hashlib

import dagster as dg

from skin_platform.core.references import VerdictReference
from skin_platform.defs.listening import Listener, Told, Walked
from skin_platform.defs.registry.checks import gates
from skin_platform.defs.resources import StoresResource
from skin_platform_tests.defs.registry.versions import add_version, opened


def test_a_gate_that_judged_nothing_lets_pass_and_a_walk_says_that_it_did_not_judge(tmp_path):
    stores = opened(tmp_path / "home")
    version = add_version(stores, 1, floor=0.1)
    sha256 = hashlib.sha256(stores.versions.read_file(version, "verdict.json")).hexdigest()

    @dg.asset(key=["registry", "verdict"])
    def verdict() -> VerdictReference:
        return VerdictReference(version, sha256, ())

    told: list[Told] = []
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([verdict, gates], instance=instance, resources={
            "stores": StoresResource(home=str(stores.settings.home.root)), "io_manager": dg.mem_io_manager})
        listener = Listener(["registry/verdict"], Walked(), told.append)
        for entry in instance.all_logs(done.run_id):
            listener.hear(entry)
    found = {item.check_name: item for item in done.get_asset_check_evaluations()}
    assert found["not_worse_than_the_champion"].passed
    assert found["not_worse_than_the_champion"].description == "not judged: there is no champion yet"
    lines = [item.text for item in told]
    assert "NOT JUDGED: not worse than the champion (there is no champion yet)" in lines
    assert "holds: accuracy reaches the floor" in lines

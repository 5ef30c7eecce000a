"""`skin rebuild`: the catalogue made anew from what it follows from."""

import json
from dataclasses import asdict

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer


def rebuild(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make the catalogue anew from the batch manifests and all decisions: after an upgrade that says so, or a lost database.

    The job `rebuild_metadata` in the UI does the same. The content stays what it was.
    """
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources
    from skin_platform.defs.walk import instance_in, walk_job
    from skin_platform.storage.stores import Stores, prepare_home
    from skin_platform.telling import Teller

    settings = settings_of(home)
    prepare_home(settings)
    with instance_in(settings.home.dagster) as instance:
        walk_job(build_definitions(default_resources(settings)), instance, "rebuild_metadata",
                 Teller(printer(stderr=as_json)).tell)
    state = Stores(settings).catalogue.state()
    if state is None:
        raise ValueError("there is no batch to rebuild from")
    print(json.dumps(asdict(state)) if as_json
          else f"the catalogue holds {state.rows} rows, {state.trainable} may be trained on; digest {state.content_digest}")

"""The front door: the rooms in walking order, and the whole graph over given resources."""

from typing import Any

import dagster as dg

from skin_platform.defs.bundles import definitions as bundles
from skin_platform.defs.checkpoints import definitions as checkpoints
from skin_platform.defs.datasets import definitions as datasets
from skin_platform.defs.metadata import definitions as metadata
from skin_platform.defs.objects import definitions as objects
from skin_platform.defs.raw import definitions as raw
from skin_platform.defs.registry import definitions as registry
from skin_platform.defs.resources import default_resources
from skin_platform.settings import load_settings

ROOMS = (raw, objects, metadata, datasets, checkpoints, registry, bundles)


def build_definitions(resources: dict[str, Any]) -> dg.Definitions:
    """The whole graph over the given resources. Steps run in one process a run: a step's own process costs seconds."""
    shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
    return dg.Definitions.merge(*(room.defs for room in ROOMS), shared)


defs = build_definitions(default_resources(load_settings()))

"""The room ``datasets``, furnished."""

import dagster as dg

from skin_platform.defs.datasets.assets import no_group_in_two_splits, version
from skin_platform.defs.datasets.sensors import catalogue_sensor

defs = dg.Definitions(assets=[version], asset_checks=[no_group_in_two_splits], sensors=[catalogue_sensor])

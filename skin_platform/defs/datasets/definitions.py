"""The room ``datasets``, furnished."""

import dagster as dg

from skin_platform.defs.datasets.assets import version
from skin_platform.defs.datasets.checks import CHECKS
from skin_platform.defs.datasets.profile import profile
from skin_platform.defs.datasets.sensors import catalogue_sensor

defs = dg.Definitions(assets=[version, profile], asset_checks=CHECKS, sensors=[catalogue_sensor])

"""The room ``datasets``, furnished."""

import dagster as dg

from skin_platform.defs.datasets.assets import version
from skin_platform.defs.datasets.checks import CHECKS
from skin_platform.defs.datasets.profile import profile
from skin_platform.defs.datasets.sensors import catalogue_sensor
from skin_platform.defs.datasets.split_report import report_split, split_report

defs = dg.Definitions(
    assets=[version, profile, split_report], asset_checks=CHECKS, jobs=[report_split], sensors=[catalogue_sensor])

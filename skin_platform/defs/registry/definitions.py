"""The room ``registry``, furnished."""

import dagster as dg

from skin_platform.defs.registry.assets import champion, model_version, verdict
from skin_platform.defs.registry.checks import gates
from skin_platform.defs.registry.model_card import every_number_stands_in_the_evidence, model_card
from skin_platform.defs.registry.sensor import registry_sensor, sync_registry

defs = dg.Definitions(
    assets=[model_version, model_card, verdict, champion], asset_checks=[gates, every_number_stands_in_the_evidence],
    jobs=[sync_registry], sensors=[registry_sensor])

"""The room ``metadata``, furnished."""

import dagster as dg

from skin_platform.defs.metadata.assets import lesions_data
from skin_platform.defs.metadata.checks import no_image_has_two_labels, table_is_as_declared
from skin_platform.defs.metadata.jobs import rebuild_metadata

defs = dg.Definitions(
    assets=[lesions_data], asset_checks=[table_is_as_declared, no_image_has_two_labels], jobs=[rebuild_metadata])

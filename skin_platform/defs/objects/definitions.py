"""The room ``objects``, furnished."""

import dagster as dg

from skin_platform.defs.objects.assets import images
from skin_platform.defs.objects.checks import something_of_the_batch_was_stored, the_store_keeps_what_it_is_given

defs = dg.Definitions(assets=[images], asset_checks=[something_of_the_batch_was_stored, the_store_keeps_what_it_is_given])

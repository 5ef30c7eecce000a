"""The room ``objects``, furnished."""

import dagster as dg

from skin_platform.defs.objects.assets import images

defs = dg.Definitions(assets=[images])

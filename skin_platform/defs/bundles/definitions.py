"""The room ``bundles``, furnished."""

import dagster as dg

from skin_platform.defs.bundles.assets import export, lesion_classifier

defs = dg.Definitions(assets=[lesion_classifier, export])

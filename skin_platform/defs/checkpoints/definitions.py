"""The room ``checkpoints``, furnished."""

import dagster as dg

from skin_platform.defs.checkpoints.assets import lesion_classifier
from skin_platform.defs.checkpoints.evaluation import accuracy_reaches_the_threshold, evaluation
from skin_platform.defs.checkpoints.jobs import train_now

defs = dg.Definitions(
    assets=[lesion_classifier, evaluation], asset_checks=[accuracy_reaches_the_threshold], jobs=[train_now])

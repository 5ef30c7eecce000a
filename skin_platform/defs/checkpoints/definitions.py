"""The room ``checkpoints``, furnished."""

import dagster as dg

from skin_platform.defs.checkpoints.assets import lesion_classifier
from skin_platform.defs.checkpoints.evaluation import accuracy_reaches_the_threshold, evaluation
from skin_platform.defs.checkpoints.jobs import train_now
from skin_platform.defs.checkpoints.unrecorded import record_in_mlflow, unrecorded_sensor

defs = dg.Definitions(
    assets=[lesion_classifier, evaluation], asset_checks=[accuracy_reaches_the_threshold], jobs=[train_now, record_in_mlflow],
    sensors=[unrecorded_sensor])

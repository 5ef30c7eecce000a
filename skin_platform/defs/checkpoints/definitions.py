"""The room ``checkpoints``, furnished."""

import dagster as dg

from skin_platform.defs.checkpoints.assets import lesion_classifier
from skin_platform.defs.checkpoints.evaluation import evaluation
from skin_platform.defs.checkpoints.jobs import train_now
from skin_platform.defs.checkpoints.unrecorded import record_in_mlflow, unrecorded_sensor

defs = dg.Definitions(
    assets=[lesion_classifier, evaluation], jobs=[train_now, record_in_mlflow],
    sensors=[unrecorded_sensor])

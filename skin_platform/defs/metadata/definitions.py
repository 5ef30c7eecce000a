"""The room ``metadata``, furnished."""

import dagster as dg

from skin_platform.defs.metadata.assets import lesions_data
from skin_platform.defs.metadata.checks import CHECKS
from skin_platform.defs.metadata.embeddings import embed_batch, embeddings
from skin_platform.defs.metadata.jobs import apply_resolutions, rebuild_metadata
from skin_platform.defs.metadata.review_queue import review_labels, review_queue
from skin_platform.defs.metadata.sensors import embeddings_sensor

defs = dg.Definitions(
    assets=[lesions_data, embeddings, review_queue], asset_checks=CHECKS,
    jobs=[rebuild_metadata, apply_resolutions, embed_batch, review_labels], sensors=[embeddings_sensor])

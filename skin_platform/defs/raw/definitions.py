"""The room ``raw``, furnished."""

import dagster as dg

from skin_platform.defs.raw.assets import images
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.defs.raw.schedules import daily_landing
from skin_platform.defs.raw.sensors import landing_bucket_sensor, landing_sensor

defs = dg.Definitions(assets=[images], jobs=[ingest_batch], sensors=[landing_sensor, landing_bucket_sensor],
                      schedules=[daily_landing])

"""Jobs of the room ``raw``: a delivery walked from the folder to the catalogue."""

import dagster as dg

ingest_batch = dg.define_asset_job(
    "ingest_batch",
    selection=dg.AssetSelection.assets(["raw", "images"], ["objects", "images"], ["metadata", "lesions_data"]),
    description="Judge a delivery, store its images, catalogue them.",
)

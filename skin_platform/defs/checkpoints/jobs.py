"""Jobs of the room ``checkpoints``: from the catalogue to a served bundle."""

import dagster as dg

train_now = dg.define_asset_job(
    "train_now",
    selection=dg.AssetSelection.assets(
        ["datasets", "version"], ["datasets", "profile"], ["checkpoints", "lesion_classifier"], ["checkpoints", "evaluation"],
        ["bundles", "lesion_classifier"], ["bundles", "export"]),
    description="Freeze the dataset and describe it, train, evaluate, build the bundle, export it.",
)

"""Jobs of the room ``checkpoints``: from the catalogue to a bundle that may be served."""

import dagster as dg

train_now = dg.define_asset_job(
    "train_now",
    selection=dg.AssetSelection.assets(
        ["datasets", "version"], ["datasets", "profile"], ["checkpoints", "lesion_classifier"], ["checkpoints", "evaluation"],
        ["registry", "model_version"], ["registry", "model_card"], ["registry", "verdict"], ["registry", "champion"],
        ["bundles", "lesion_classifier"], ["bundles", "export"]),
    description="Freeze the dataset and describe it, train, evaluate, register, judge, promote where no gate has anything "
                "against it, build the bundle, export it.",
)

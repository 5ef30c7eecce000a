"""The skin platform: from a delivery of labelled lesion images to an HTTP answer, as one Dagster asset graph."""

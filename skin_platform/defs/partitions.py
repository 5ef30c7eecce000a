"""Partitions: one a batch, never one an image."""

import dagster as dg

BATCHES = dg.DynamicPartitionsDefinition(name="batches")

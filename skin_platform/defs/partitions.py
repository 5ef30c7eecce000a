"""Partitions: one a batch, never one an image."""

from collections.abc import Sequence

import dagster as dg
from sqlalchemy.exc import IntegrityError

BATCHES = dg.DynamicPartitionsDefinition(name="batches")
TRIES = 5  # each try finds what the others have added meanwhile


def add_batches(instance: dg.DagsterInstance, batch_ids: Sequence[str]) -> None:
    """Let the instance know the batches; those that it knows stay.

    Dagster looks and then inserts, so that of two processes that add the same batch at once one fails.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            return instance.add_dynamic_partitions(str(BATCHES.name), list(batch_ids))
        except IntegrityError:
            if not tries_left:
                raise

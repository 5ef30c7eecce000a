"""Requests: the runs that bring claimed batches into the catalogue.

Here: which batches to ask for, and until when. Not here: claiming them (``storage.landing``), when we look (``sensors``,
``schedules``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from skin_platform.defs.partitions import BATCHES
from skin_platform.defs.raw.jobs import ingest_batch
from skin_platform.storage.stores import Stores


@dataclass(frozen=True)
class Requests:
    """Runs to ask for, and how many batches nobody asks for any more since their runs failed too often."""

    requests: list[dg.RunRequest]
    given_up: int

    @property
    def partitions(self) -> dg.AddDynamicPartitionsRequest:
        """The partitions that the runs need."""
        return BATCHES.build_add_request([str(request.partition_key) for request in self.requests])


def requests_for(
    instance: dg.DagsterInstance, stores: Stores, at_most: int, is_mine: Callable[[str], bool] = lambda root: True
) -> Requests:
    """A run for each of the first claimed batches from places that are ``is_mine``, unless somebody is at it.

    Level-triggered: a run that was killed, or met a store that was down, is asked for again, TASK_RETRIES times. The ledger
    notes the batches that are given up then, so that they neither hold up later ones nor are asked about at each look.
    """
    batches = [batch for batch in stores.ledger.open_batches() if is_mine(batch.root)]
    requests: list[dg.RunRequest] = []
    given_up = sum(batch.is_given_up for batch in batches)
    waiting = (batch for batch in batches if not batch.is_given_up)
    for batch in waiting:
        if len(requests) >= at_most:
            break
        attempt = _attempts(instance, batch.batch_id)
        if attempt is not None and attempt > stores.settings.task_retries:
            stores.ledger.give_up(batch.batch_id, datetime.now(UTC))
            given_up += 1
        elif attempt is not None:
            requests.append(dg.RunRequest(
                run_key=f"{batch.batch_id}:{batch.digest[:16]}:{attempt}", partition_key=batch.batch_id,
                tags={"skin/batch": batch.batch_id, "dagster/max_retries": "0"}))
        else:
            at_most -= 1  # under way already: what is asked for and what runs are bounded together
    return Requests(requests, given_up)


def _attempts(instance: dg.DagsterInstance, batch_id: str) -> int | None:
    """How many runs of the batch have ended without bringing it into the catalogue; None while one is under way."""
    runs = instance.get_runs(dg.RunsFilter(job_name=ingest_batch.name, tags={"skin/batch": batch_id}))
    return None if any(not run.is_finished for run in runs) else len(runs)

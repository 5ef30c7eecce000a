"""Ingesting by hand: what has landed, through the same job as the sensor's, and what came of it.

Here: claiming, running, the outcome in figures. Not here: the plan (``planning``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skin_platform.core.consent import NO_CONSENT, UNCLEAR
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import WalkError, instance_in, walk_batches
from skin_platform.planning import Plan, landing_place, wanted_files
from skin_platform.settings import Settings
from skin_platform.storage.stores import Stores, prepare_home


@dataclass(frozen=True)
class Outcome:
    """What came of the files of an ingest: taken (of these kept out of training: ``kept_out``), refused; ``remarks`` counts
    unreadable tables and what tables list that was not delivered."""

    files: int = 0
    taken: int = 0
    kept_out: int = 0
    remarks: int = 0

    @property
    def refused(self) -> int:
        """Files that were refused."""
        return self.files - self.taken

    @property
    def took_nothing(self) -> bool:
        """Whether there were files, and none was taken."""
        return self.files > 0 and self.taken == 0


def ingest_now(settings: Settings, source: str | None, splits: Sequence[str], tell: Callable[[Told], None]) -> Outcome:
    """Claim what is new and run the ingest job on it, on the instance that the UI shows.

    Raises ``WalkError`` where a run failed for another reason than that no file of its batch could be used.
    """
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    prepare_home(settings)
    stores = Stores(settings)
    place = landing_place(stores, source)
    name = place.root.rstrip("/").rpartition("/")[2] if source else None
    stores.claim(place.root, name, settle_seconds=0, keep=wanted_files(stores, place, splits))
    batches = [batch.batch_id for batch in stores.ledger.open_batches()]  # those of an ingest that was killed, too
    with instance_in(settings.home.dagster) as instance:
        try:
            walk_batches(build_definitions(default_resources(settings)), instance, batches, tell)
        except WalkError as error:
            if not all(is_refused_whole(stores, batch) for batch in error.batches):
                raise
    return _sum([_counted(stores, batch) for batch in batches])


def is_refused_whole(stores: Stores, batch_id: str) -> bool:
    """Whether every file of a batch was judged, and none could be used: its run ends there, and there is nothing to repeat."""
    landed = stores.batches.find_manifest(batch_id, "landed")
    return landed is not None and landed["reason"].null_count == 0


def planned_outcome(plan: Plan) -> Outcome:
    """What would come of a plan."""
    counts = plan.counts
    return Outcome(len(plan.files), len(plan.files) - counts["quarantined"], counts["kept out"], len(plan.remarks))


def _counted(stores: Stores, batch_id: str) -> Outcome:
    """What came of the files of one batch."""
    delivery = stores.batches.read_delivery(batch_id)
    manifest = stores.batches.find_manifest(batch_id, "manifest") or stores.batches.find_manifest(batch_id, "landed")
    if delivery is None or manifest is None:
        return Outcome()
    rows = manifest.select(["reason", "sha256"]).to_pylist()
    taken = [row["sha256"] for row in rows if not row["reason"]]
    catalogued = stores.catalogue.rows_of(set(taken)) if taken else None
    silenced = {row["sha256"] for row in catalogued.select(["sha256", "exclusion"]).to_pylist()
                if row["exclusion"] in (NO_CONSENT, UNCLEAR)} if catalogued is not None else set()
    files = len(delivery.files)
    return Outcome(files, len(taken), sum(sha256 in silenced for sha256 in taken), len(rows) - files)


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    fields = ("files", "taken", "kept_out", "remarks")
    return Outcome(*(sum(getattr(outcome, name) for outcome in outcomes) for name in fields))

"""Quarantine: the files that were refused, with their names, their reasons in full, and what a person decided about them.

Here: the private record in the data bucket, and which entries are still open. Not here: judging (``storage.ingest``), the
retry (``skin_platform.quarantine``). The batches' manifests hold the same refusals without any name.

    private/quarantine/<batch>.json                  what was refused of a batch; none where nothing was
    private/quarantine-fates/<batch>/<file id>.json  retried or dropped: who, why, when
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from skin_platform.core.batches import Delivery
from skin_platform.storage.ingest import Judged
from skin_platform.storage.ledger import LandingLedger
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.places import path_in


@dataclass(frozen=True)
class Fate:
    """What became of a refused file: ``retried`` or ``dropped`` by a person, or ``came again`` by itself, with ``batch_id``."""

    fate: str
    batch_id: str | None = None
    who: str | None = None
    why: str | None = None
    at: str | None = None


@dataclass(frozen=True)
class Quarantined:
    """A refused file: ``file`` is its name in the place ``root``; ``kind`` file, table, or missing (listed, not delivered)."""

    batch_id: str
    file_id: str
    root: str
    file: str
    reason: str
    sha256: str | None
    kind: str
    fate: Fate | None = None

    def as_dict(self) -> dict[str, object]:
        """JSON-able form; names that are not UTF-8 are escaped."""
        shown = asdict(self) | {"file": self.file.encode("utf-8", "backslashreplace").decode()}
        return {name: value for name, value in shown.items() if name != "fate" or value}


class Quarantine:
    """The quarantine in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write(self, delivery: Delivery, judged: Iterable[Judged]) -> None:
        """Keep what was refused of a delivery, in place of what a former run refused."""
        self._write(delivery.batch_id, [
            Quarantined(delivery.batch_id, item.row["file_id"], delivery.root, item.name, item.in_full or item.reason,
                        item.row.get("sha256"), item.kind)
            for item in judged if item.reason])

    def add(self, delivery: Delivery, refused: Sequence[tuple[str, str, str]]) -> None:
        """Keep (file id, name, reason) of files that were refused after they had been judged."""
        late = [Quarantined(delivery.batch_id, file_id, delivery.root, name, reason, None, "file")
                for file_id, name, reason in refused]
        if late:
            ids = {entry.file_id for entry in late}
            self._write(delivery.batch_id, [*(e for e in self.of_batch(delivery.batch_id) if e.file_id not in ids), *late])

    def of_batch(self, batch_id: str) -> list[Quarantined]:
        """What was refused of a batch, whatever became of it."""
        try:
            stored = json.loads(self._objects.download_file(self._bucket, _record_key(batch_id)))
        except KeyError:
            return []
        return [Quarantined(**entry) for entry in stored]

    def entries(self, ledger: LandingLedger) -> Iterator[Quarantined]:
        """Everything that was ever refused, batch by batch, each with its fate; open ones have none."""
        decided = {key: item for item in self._objects.list_objects(self._bucket, "private/quarantine-fates")
                   for key in [item.key.removesuffix(".json").partition("private/quarantine-fates/")[2]]}
        for item in self._objects.list_objects(self._bucket, "private/quarantine"):
            found = self.of_batch(item.key.removesuffix(".json").rpartition("/")[2])
            last = ledger.batches_of([path_in(entry.root, entry.file) for entry in found])
            for entry in found:
                key = f"{entry.batch_id}/{entry.file_id}"
                again = last.get(path_in(entry.root, entry.file), entry.batch_id)
                if key in decided:
                    yield replace(entry, fate=self._fate(decided[key].key))
                else:
                    yield entry if again == entry.batch_id else replace(entry, fate=Fate("came again", again))

    def decide(self, entry: Quarantined, fate: Fate) -> None:
        """Record what a person decided about a refused file."""
        key = f"private/quarantine-fates/{entry.batch_id}/{entry.file_id}.json"
        self._objects.upload_file(self._bucket, key, json.dumps(asdict(fate)).encode())

    def _fate(self, key: str) -> Fate:
        return Fate(**json.loads(self._objects.download_file(self._bucket, key)))

    def _write(self, batch_id: str, entries: Sequence[Quarantined]) -> None:
        if entries:
            rows = [{name: value for name, value in asdict(entry).items() if name != "fate"} for entry in entries]
            self._objects.upload_file(self._bucket, _record_key(batch_id), json.dumps(rows).encode())
        else:
            self._objects.delete_object(self._bucket, _record_key(batch_id))


def _record_key(batch_id: str) -> str:
    return f"private/quarantine/{batch_id}.json"

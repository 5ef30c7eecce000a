"""Unrecorded: what a training has to tell the tracking server and could not yet, kept until it is told.

    <models bucket>/skin/unrecorded/<kind>/<run key>.json
    <models bucket>/skin/models/<run key>/mlflow.json      the tracking run that the fit stands in, once it does

Here: keeping and finding the records. Not here: what is in them and how it is told (``defs.checkpoints.recording``).
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from skin_platform.storage.objects import ObjectStore

Kind = Literal["evaluation", "fit"]


class Unrecorded:
    """The records of one models bucket that wait to be told."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def keep(self, kind: Kind, run_key: str, record: Mapping[str, Any]) -> None:
        """Keep ``record``, in place of an earlier one of its kind and run."""
        self._objects.upload_file(self._bucket, _key(kind, run_key), json.dumps(record, ensure_ascii=False).encode())

    def waiting(self, kind: Kind) -> list[str]:
        """The run keys of which a record of this kind waits, in order of name."""
        prefix = f"skin/unrecorded/{kind}/"
        found = self._objects.list_objects(self._bucket, prefix)
        return sorted(item.key.removeprefix(prefix).removesuffix(".json") for item in found)

    def read(self, kind: Kind, run_key: str) -> dict[str, Any]:
        """The record. Raises ``KeyError`` where none waits."""
        found: dict[str, Any] = json.loads(self._objects.download_file(self._bucket, _key(kind, run_key)))
        return found

    def told(self, kind: Kind, run_key: str, tracking_run: str) -> None:
        """Forget the record: it stands in ``tracking_run`` now, which is remembered."""
        self._objects.upload_file(self._bucket, f"skin/models/{run_key}/mlflow.json",
                                  json.dumps({"run_id": tracking_run}).encode())
        self._objects.delete_object(self._bucket, _key(kind, run_key))

    def tracking_run(self, run_key: str) -> str | None:
        """The tracking run that the fit of ``run_key`` stands in; None before it was told."""
        try:
            stored = json.loads(self._objects.download_file(self._bucket, f"skin/models/{run_key}/mlflow.json"))
        except KeyError:
            return None
        return str(stored["run_id"])


def _key(kind: str, run_key: str) -> str:
    return f"skin/unrecorded/{kind}/{run_key}.json"

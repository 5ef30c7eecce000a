"""References between assets, as JSON in the data bucket: what an asset handed on, by run and newest.

    references/<room>/<noun>[/<partition>]/<run id>.json
    references/<room>/<noun>[/<partition>]/latest.json
"""

import json
from collections.abc import Sequence
from typing import Any

from skin_platform.storage.objects import ObjectStore


class References:
    """The references in one data bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def write(self, path: Sequence[str], run_id: str, value: Any) -> str:
        """Keep ``value`` as the reference of this run and as the newest; returns the key."""
        data = json.dumps(value, ensure_ascii=False, indent=1).encode()
        base = "/".join(("references", *path))
        self._objects.upload_file(self._bucket, f"{base}/{run_id}.json", data)
        self._objects.upload_file(self._bucket, f"{base}/latest.json", data)
        return f"{base}/{run_id}.json"

    def read(self, path: Sequence[str], run_ids: Sequence[str] = ()) -> Any:
        """The reference of the first of ``run_ids`` that has one, else the newest; ``KeyError`` where there is none."""
        base = "/".join(("references", *path))
        for name in (*run_ids, "latest"):
            try:
                return json.loads(self._objects.download_file(self._bucket, f"{base}/{name}.json"))
            except KeyError:
                continue
        raise KeyError(f"{'/'.join(path)} has never been materialized")

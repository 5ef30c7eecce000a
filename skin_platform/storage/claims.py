"""Claims: names of the form vYYYYMMDD_HHMMSS (UTC) in the object store, each given once.

    <folder>/<name>/<token>.json    who took the name; stays when the thing is deleted, so that no name comes twice
"""

import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore

NAME_FORMAT = "v%Y%m%d_%H%M%S"
ATTEMPTS = 60  # several uploads of one second part after as many


def claim_second(objects: ObjectStore, bucket: str, folder: str, clock: Callable[[], datetime]) -> tuple[str, datetime]:
    """A name of the present second, or of one of the next, that nobody has or had; with its moment.

    Each writes a claim of its own and then looks: of two, at least one sees both and gives way. That needs a store whose
    listing shows what was written (S3, MinIO, a local folder) and works where conditional creation does not (rclone).
    """
    first = moment = clock().astimezone(UTC).replace(microsecond=0)
    for _ in range(ATTEMPTS):
        name = moment.strftime(NAME_FORMAT)
        claims = f"{folder}/{name}"
        if not any(objects.list_objects(bucket, claims)):
            mine = f"{claims}/{uuid.uuid4().hex}.json"
            objects.upload_file(bucket, mine, json.dumps({"claimed_at": clock().isoformat()}).encode())
            if [item.key for item in objects.list_objects(bucket, claims)] == [mine]:
                return name, moment
            objects.delete_object(bucket, mine)
            time.sleep(random.uniform(0, 0.2))  # two that give way to each other part here
            if random.random() < 0.5:
                continue
        moment += timedelta(seconds=1)
    raise StorageError(f"none of the {ATTEMPTS} names from {first:{NAME_FORMAT}} on is free: is the clock right?")

"""Claims: what only one process may have, taken in an object store that may know no conditional creation.

    <folder>/<name>/<token>.json    who claims the name, written by that process alone

Here: claiming a name against others, and names of seconds (vYYYYMMDD_HHMMSS, UTC), each given once: their claims stay when the
thing is deleted. Not here: what is claimed (``storage.versions``, ``storage.moves``).
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import obstore

from skin_platform.storage.faults import StorageError, repeated, translated
from skin_platform.storage.objects import ObjectStore

NAME_FORMAT = "v%Y%m%d_%H%M%S"
ATTEMPTS = 60  # several uploads of one second part after as many
GIVING_WAY_SECONDS = 0.5  # the others give way within a request or two; who holds the name does not
BETWEEN_SECONDS = 0.05


@dataclass(frozen=True)
class Claim:
    """A claim of another, and whether its maker may be taken for dead: it is older than the lease."""

    key: str
    made_at: datetime
    is_stale: bool


@dataclass(frozen=True)
class Claiming:
    """What became of a claim: it holds where there are no ``others``; else it is gone, and they are in the way."""

    key: str
    others: tuple[Claim, ...] = ()


def claim(objects: ObjectStore, bucket: str, name: str, words: Mapping[str, str], lease_seconds: float = float("inf")
          ) -> Claiming:
    """Claim ``name`` (a folder's key) for this process, with ``words`` for who finds it in the way.

    Each writes a claim of its own and then looks: of two, at least one sees both. Who sees another gives way, but for the one
    whose token is the smallest: it waits until it is alone. That needs a store whose listing shows what was written (S3, MinIO,
    a local folder) and works where conditional creation does not (rclone). A claim's age is the difference of two times that
    the store gave, to ours and to it, so that no machine's clock counts. A claim that holds stays until its object is deleted.
    """
    mine = f"{name}/{uuid.uuid4().hex}.json"
    objects.upload_file(bucket, mine, json.dumps(dict(words), ensure_ascii=False).encode())
    deadline = time.monotonic() + GIVING_WAY_SECONDS
    while others := _others(objects, bucket, name, mine, lease_seconds):
        live = [item.key for item in others if not item.is_stale]
        if not live or min(live) < mine or time.monotonic() > deadline:
            objects.delete_object(bucket, mine)
            break
        time.sleep(BETWEEN_SECONDS)
    return Claiming(mine, others)


def _others(objects: ObjectStore, bucket: str, name: str, mine: str, lease_seconds: float) -> tuple[Claim, ...]:
    """The claims of others on ``name``, judged by ours; ``StorageError`` where ours is not listed."""
    with translated(objects.address, bucket, name, is_local=objects.is_local):
        entries = repeated(lambda: [entry for chunk in obstore.list(objects.opened(bucket), name) for entry in chunk])
    made = {entry["path"]: entry["last_modified"] for entry in entries}
    if mine not in made:
        raise StorageError(f"{objects.address} does not list s3://{bucket}/{mine}, which was written just now: nothing can be "
                           "claimed in a store that lists late, or where somebody deletes claims")
    now = made.pop(mine)
    return tuple(Claim(key, at, (now - at).total_seconds() > lease_seconds) for key, at in sorted(made.items()))


def claim_second(objects: ObjectStore, bucket: str, folder: str, clock: Callable[[], datetime]) -> tuple[str, datetime]:
    """A name of the present second, or of one of the next, that nobody has or had; with its moment."""
    first = moment = clock().astimezone(UTC).replace(microsecond=0)
    for _ in range(ATTEMPTS):
        name = moment.strftime(NAME_FORMAT)
        place = f"{folder}/{name}"
        is_free = not any(objects.list_objects(bucket, place))
        if is_free and not claim(objects, bucket, place, {"claimed_at": clock().isoformat()}).others:
            return name, moment
        moment += timedelta(seconds=1)
    raise StorageError(f"none of the {ATTEMPTS} names from {first:{NAME_FORMAT}} on is free: is the clock right?")

"""Endpoint: an S3 endpoint that objects lie in.

Here: obstore's client with its retries, metadata as headers, creation only where there is none.
Not here: the nine operations (``storage.objects``), access and buckets (``storage.buckets``), the local folder.
"""

import uuid
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.store import S3Store

from skin_platform.storage.buckets import CONNECT_SECONDS, S3Access, S3Buckets

RETRIES = 5
RETRY_SECONDS = 60  # a store that restarts is back by then; one that is down refuses at once, which takes about 2 s
REQUEST_SECONDS = 300  # a part of 5 MB beside eleven others on a line of 2 Mbit/s
NOT_METADATA = {"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control"}
CREATION = "created-by"  # which call created an object, by which a repeated request knows its own work


class Endpoint:
    """An S3 endpoint. What fails with a 5xx, a 429, a reset or a time-out is repeated, with backoff.

    A download that breaks off in the middle goes on there; an upload is signed with its SHA-256, which AWS and MinIO verify.
    Methods raise what obstore raises.
    """

    is_local = False

    def __init__(self, access: S3Access) -> None:
        self._access, self.address = access, access.endpoint
        self._buckets = S3Buckets(access)
        self._opened: dict[str, S3Store] = {}

    def create(self, bucket: str) -> None:
        """Create the bucket where it is missing."""
        if not self._buckets.exists(bucket):
            self._buckets.create(bucket)

    def exists(self, bucket: str) -> bool:
        """Whether the bucket is there; ``StorageError`` where the endpoint refuses to say."""
        return self._buckets.exists(bucket)

    def opened(self, bucket: str) -> S3Store:
        """obstore's client of the bucket; asks the endpoint nothing yet."""
        if bucket not in self._opened:
            access = self._access
            self._opened[bucket] = S3Store(
                bucket, endpoint=access.endpoint, region=access.region, access_key_id=access.access_key,
                secret_access_key=access.secret_key, virtual_hosted_style_request=False,
                client_options={"allow_http": True, "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                                "timeout": timedelta(seconds=REQUEST_SECONDS)},
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
            )
        return self._opened[bucket]

    def put(self, bucket: str, key: str, data: bytes | Path, metadata: dict[str, str]) -> None:
        """Store an object in place of a former one."""
        obstore.put(self.opened(bucket), key, data, attributes=_headers(metadata))

    def put_if_absent(self, bucket: str, key: str, data: bytes | Path, metadata: dict[str, str]) -> None:
        """Store an object where there is none.

        Raises ``AlreadyExistsError`` where there is one, on an endpoint that knows ``If-None-Match``.
        """
        mine = uuid.uuid4().hex
        headers = _headers(metadata | {CREATION: mine})
        try:
            obstore.put(self.opened(bucket), key, data, attributes=headers, mode="create")
        except AlreadyExistsError:  # perhaps by ourselves: the answer was lost, and the client asked again
            if self._attributes(bucket, key).get(CREATION) != mine:
                raise

    def metadata(self, bucket: str, key: str) -> dict[str, str]:
        """What was said of the object at its upload, and ``size_bytes``."""
        found = self._attributes(bucket, key)
        found.pop(CREATION, None)
        return found

    def delete(self, bucket: str, key: str) -> None:
        """Remove the object."""
        try:
            obstore.delete(self.opened(bucket), key)
        except (NotFoundError, FileNotFoundError):
            return

    def is_hidden(self, key: str) -> bool:
        """Every object is one."""
        return False

    def url(self, bucket: str, key: str, expires: timedelta) -> str:
        """A signed URL that reads the object."""
        return str(obstore.sign(self.opened(bucket), "GET", key, expires))

    def _attributes(self, bucket: str, key: str) -> dict[str, str]:
        found = obstore.get(self.opened(bucket), key, options={"head": True})
        attributes = {str(name): unquote(value) for name, value in found.attributes.items() if name not in NOT_METADATA}
        return attributes | {"size_bytes": str(found.meta["size"])}


def _headers(metadata: dict[str, str]) -> dict[str, str]:
    """Header values must be ASCII; labels need not be."""
    return {name: quote(value, safe=" /:;,") for name, value in metadata.items()}

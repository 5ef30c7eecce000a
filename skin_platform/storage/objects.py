"""Objects: one store with nine operations, the same over S3 and over a local folder.

Here: buckets and objects through obstore, bucket administration through boto3, credentials that fail clearly.
Not here: what the objects mean (``storage.batches``, ``storage.datasets``, ``storage.models``), the image cache.

A local folder keeps an object's metadata in ``<bucket>/.metadata/<key>.json``, since files have none.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
METADATA_FOLDER = ".metadata"
REFUSED_KEYS = ("status code: 403", "status code: 401", "(403) when calling", "(401) when calling", "InvalidAccessKeyId",
                "SignatureDoesNotMatch", "AccessDenied")


class StorageError(RuntimeError):
    """The object store cannot do what was asked; the message names the place and the remedy, never a secret."""


@dataclass(frozen=True)
class S3Access:
    """Where an S3 endpoint is and how to sign for it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise StorageError(f"S3_ENDPOINT is '{self.endpoint}': it must begin with http:// or https://")


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it."""

    key: str
    size_bytes: int


class ObjectStore:
    """Buckets of objects on S3 or in a local folder. Every error of the store comes out as ``StorageError``."""

    def __init__(self, place: S3Access | Path) -> None:
        self._place = place
        self._open: dict[str, LocalStore | S3Store] = {}

    @property
    def is_local(self) -> bool:
        """True where a local folder stands in for S3."""
        return isinstance(self._place, Path)

    @property
    def address(self) -> str:
        """The endpoint or folder, for messages."""
        return str(self._place) if isinstance(self._place, Path) else self._place.endpoint

    def create_bucket(self, bucket: str) -> None:
        """Create ``bucket``; does nothing where it is there already."""
        if isinstance(self._place, Path):
            (self._place / bucket).mkdir(parents=True, exist_ok=True)
        elif not self.bucket_exists(bucket):
            self._administer(lambda client: client.create_bucket(Bucket=bucket), bucket)

    def bucket_exists(self, bucket: str) -> bool:
        """True where ``bucket`` is there and may be read."""
        if isinstance(self._place, Path):
            return (self._place / bucket).is_dir()
        found = self._administer(lambda client: [b.get("Name") for b in client.list_buckets()["Buckets"]], bucket)
        return bucket in found

    def upload_file(self, bucket: str, key: str, data: bytes | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Store ``data`` (bytes, or the file at a path) under ``key``, whole or not at all, with ``metadata``."""
        metadata = dict(metadata or {})
        store = self._bucket(bucket)
        with self._translated(bucket, key):
            if isinstance(store, S3Store):
                # header values must be ASCII; labels need not be
                headers = {name: quote(value, safe=" /:;,") for name, value in metadata.items()}
                obstore.put(store, key, data, attributes=headers)
                return
            obstore.put(store, key, data)
            if metadata:
                obstore.put(store, f"{METADATA_FOLDER}/{key}.json", json.dumps(metadata).encode())
                return
        self._delete(bucket, f"{METADATA_FOLDER}/{key}.json")  # what the former object under this key was given

    def download_file(self, bucket: str, key: str) -> bytes:
        """The bytes under ``key``; raises ``KeyError`` where there is no such object."""
        with self._translated(bucket, key):
            return bytes(obstore.get(self._bucket(bucket), key).bytes())

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose key begins with ``prefix`` (whole folders), by key."""
        with self._translated(bucket, prefix):
            found = [
                StoredObject(entry["path"], entry["size"])
                for chunk in obstore.list(self._bucket(bucket), prefix or None)
                for entry in chunk
                if not entry["path"].startswith(f"{METADATA_FOLDER}/")
            ]
        yield from sorted(found, key=lambda item: item.key)

    def delete_object(self, bucket: str, key: str) -> None:
        """Remove the object and its metadata; does nothing where it is gone already."""
        keys = [key] if not self.is_local else [key, f"{METADATA_FOLDER}/{key}.json"]
        for name in keys:
            self._delete(bucket, name)

    def get_object_metadata(self, bucket: str, key: str) -> dict[str, str]:
        """The metadata given at upload, plus ``size_bytes``; raises ``KeyError`` where there is no such object."""
        with self._translated(bucket, key):
            store = self._bucket(bucket)
            size = {"size_bytes": str(obstore.head(store, key)["size"])}
            if isinstance(store, S3Store):
                attributes = obstore.get(store, key).attributes
                known = {"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control"}
                return {k: unquote(v) for k, v in attributes.items() if k not in known} | size
        try:
            return dict(json.loads(self.download_file(bucket, f"{METADATA_FOLDER}/{key}.json"))) | size
        except KeyError:
            return size

    def object_exists(self, bucket: str, key: str) -> bool:
        """True where there is an object under ``key``."""
        try:
            with self._translated(bucket, key):
                obstore.head(self._bucket(bucket), key)
        except KeyError:
            return False
        return True

    def get_presigned_url(self, bucket: str, key: str, expires: timedelta = timedelta(hours=1)) -> str:
        """A URL that reads the object without a key for ``expires``; ``file://`` on a local folder."""
        store = self._bucket(bucket)
        if isinstance(self._place, Path) or isinstance(store, LocalStore):
            return (Path(self.address) / bucket / key).resolve().as_uri()
        with self._translated(bucket, key):
            return str(obstore.sign(store, "GET", key, expires))

    def _delete(self, bucket: str, key: str) -> None:
        try:
            with self._translated(bucket, key):
                obstore.delete(self._bucket(bucket), key)
        except KeyError:
            return

    def _bucket(self, bucket: str) -> LocalStore | S3Store:
        if bucket not in self._open:
            if isinstance(self._place, Path):
                if not self.bucket_exists(bucket):
                    raise KeyError(f"there is no bucket '{bucket}' in {self._place}")
                self._open[bucket] = LocalStore(self._place / bucket)
            else:
                self._open[bucket] = S3Store(
                    bucket, endpoint=self._place.endpoint, region=self._place.region,
                    access_key_id=self._place.access_key, secret_access_key=self._place.secret_key,
                    virtual_hosted_style_request=False,
                    client_options={"allow_http": True, "timeout": timedelta(seconds=60)},
                    retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
                )
        return self._open[bucket]

    def _administer(self, action: Callable[["S3Client"], T], bucket: str) -> T:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        assert isinstance(self._place, S3Access)
        client = boto3.client(
            "s3", endpoint_url=self._place.endpoint, region_name=self._place.region,
            aws_access_key_id=self._place.access_key, aws_secret_access_key=self._place.secret_key,
            config=Config(retries={"max_attempts": 4}, connect_timeout=5, s3={"addressing_style": "path"}),
        )
        try:
            return action(client)
        except ClientError as error:
            raise self._explained(bucket, str(error)) from None
        except BotoCoreError as error:
            raise self._explained(bucket, f"{type(error).__name__}") from None

    def _translated(self, bucket: str, key: str) -> "_Translated":
        return _Translated(self, bucket, key)

    def _explained(self, bucket: str, message: str) -> StorageError:
        """What went wrong, for a person: the endpoint's words may carry the key id and are not repeated."""
        if self.is_local:
            return StorageError(f"cannot use bucket '{bucket}' in {self.address}: {message}")
        if any(sign in message for sign in REFUSED_KEYS):
            return StorageError(
                f"{self.address} refused the credentials for bucket '{bucket}': check S3_ACCESS_KEY and S3_SECRET_KEY"
            )
        first_line = message.strip().splitlines()[0][:200] if message.strip() else "no answer"
        return StorageError(f"{self.address} cannot be used (bucket '{bucket}'): check S3_ENDPOINT. {first_line}")


class _Translated:
    """Turns obstore's errors into ``KeyError`` (not there) or ``StorageError`` (everything else)."""

    def __init__(self, store: ObjectStore, bucket: str, key: str) -> None:
        self._store, self._bucket, self._key = store, bucket, key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        no_bucket = isinstance(error, BaseError) and "NoSuchBucket" in str(error)  # of a listing: a general error
        if no_bucket or isinstance(error, NotFoundError | FileNotFoundError):
            raise KeyError(f"s3://{self._bucket}/{self._key} is not there") from None
        if isinstance(error, BaseError):
            raise self._store._explained(self._bucket, str(error)) from None


def parse_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key); raises ``ValueError`` for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ValueError(f"'{uri}' is no object's address: s3://<bucket>/<key>")
    return bucket, key

"""Buckets of an S3 endpoint: how to reach and sign for it, and the administration of its buckets.

Here: boto3, since obstore has no operation on buckets. Not here: objects (``storage.places``, ``storage.objects``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skin_platform.storage.faults import StorageError, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS = 4
CONNECT_SECONDS = 3
ANSWER_SECONDS = 30
USUAL_REGION = "us-east-1"


@dataclass(frozen=True)
class S3Access:
    """Where an S3 endpoint is and how to sign for it."""

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = USUAL_REGION

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise StorageError(f"S3_ENDPOINT is '{self.endpoint}': it must begin with http:// or https://")


class S3Buckets:
    """The buckets of an endpoint. What fails with a 5xx, a 429, a reset or a time-out is repeated, with backoff."""

    def __init__(self, access: S3Access) -> None:
        self._access = access
        self._client: S3Client | None = None

    def exists(self, bucket: str) -> bool:
        """Whether ``bucket`` is there; asks for the bucket itself, since a key need not be allowed to list all of them.

        Raises ``StorageError`` where the endpoint refuses to say.
        """
        return self._status(lambda client: client.head_bucket(Bucket=bucket), bucket, expected=404) != 404

    def create(self, bucket: str) -> None:
        """Create ``bucket``; does nothing where another process was faster. ``StorageError`` where it cannot be."""
        region = self._access.region

        def action(client: "S3Client") -> object:
            if region == USUAL_REGION:  # S3 refuses it as a location
                return client.create_bucket(Bucket=bucket)
            return client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})

        if self._status(action, bucket, expected=409) == 409 and not self.exists(bucket):
            raise StorageError(f"{self._access.endpoint} did not create bucket '{bucket}': its name is taken, choose another")

    def _status(self, action: Callable[["S3Client"], object], bucket: str, expected: int) -> int:
        """200, or ``expected`` where the endpoint answered that; everything else is raised."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection

        try:
            action(self._connected())
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == expected:
                return expected
            raise explained(self._access.endpoint, bucket, str(error), is_local=False) from None
        except (HTTPClientError, NoConnection):
            raise explained(self._access.endpoint, bucket, "Nobody answers there.", is_local=False) from None
        except BotoCoreError as error:
            raise explained(self._access.endpoint, bucket, type(error).__name__, is_local=False) from None
        return 200

    def _connected(self) -> "S3Client":
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3", endpoint_url=self._access.endpoint, region_name=self._access.region,
                aws_access_key_id=self._access.access_key, aws_secret_access_key=self._access.secret_key,
                config=Config(retries={"total_max_attempts": ATTEMPTS, "mode": "standard"}, connect_timeout=CONNECT_SECONDS,
                              read_timeout=ANSWER_SECONDS, s3={"addressing_style": "path"}),
            )
        return self._client

"""Faults: what the object store's errors mean to a person.

Here: ``StorageError``, the translation of the client libraries' errors into it, and the one retry that they lack.
Not here: their own retries (``storage.endpoint``, ``storage.buckets``).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError

REFUSED_KEYS = ("status code: 403", "status code: 401", "403 Forbidden", "401 Unauthorized", "(403) when calling",
                "(401) when calling", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
ELSEWHERE = ("(301) when calling", "301 Moved Permanently", "PermanentRedirect", "AuthorizationHeaderMalformed")


BROKEN_OFF = ("response body", "NoSuchUpload")
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.1

T = TypeVar("T")


class StorageError(RuntimeError):
    """The object store cannot do what was asked; the message names the place and the remedy, never a secret."""


class DamagedError(StorageError):
    """An object is there, and is not what was written there."""


@contextmanager
def translated(address: str, bucket: str, key: str, *, is_local: bool) -> Iterator[None]:
    """Turns obstore's errors into ``KeyError`` (not there), ``FileExistsError`` or ``StorageError`` (everything else)."""
    try:
        yield
    except (AlreadyExistsError, FileExistsError):
        raise FileExistsError(f"s3://{bucket}/{key} is there already") from None
    except (NotFoundError, FileNotFoundError):
        raise KeyError(f"s3://{bucket}/{key} is not there") from None
    except (BaseError, PermissionError) as error:
        if "NoSuchBucket" in str(error):  # of a listing: a general error
            raise KeyError(f"s3://{bucket}/{key} is not there") from None
        raise explained(address, bucket, str(error), is_local=is_local) from None


def repeated(action: Callable[[], T]) -> T:
    """The result of ``action``, asked for again where its answer broke off half-way.

    obstore repeats requests and goes on with objects, but gives up where the answer to a listing or a deletion breaks off, and
    where that to the end of an upload in parts is lost: asked again, the endpoint knows no such upload any more. What is passed
    here must do no harm when it is done twice.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return action()
        except (BaseError, FileNotFoundError) as error:
            if not any(sign in str(error) for sign in BROKEN_OFF):
                raise
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
    return action()


def explained(address: str, bucket: str, message: str, *, is_local: bool) -> StorageError:
    """What went wrong, for a person: of the client's words the first line, as the rest may carry the key's id."""
    if is_local:
        return StorageError(f"cannot use bucket '{bucket}' in {address}: {_first_line(message)}")
    if any(sign in message for sign in ELSEWHERE):
        return StorageError(f"{address} keeps bucket '{bucket}' in another region: check S3_REGION")
    if any(sign in message for sign in REFUSED_KEYS):
        return StorageError(f"{address} refused the credentials for bucket '{bucket}': check S3_ACCESS_KEY and S3_SECRET_KEY, "
                            "and what they may do there")
    return StorageError(f"{address} cannot be used (bucket '{bucket}'): check S3_ENDPOINT. {_first_line(message)}")


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0][:200] if message.strip() else "no answer"

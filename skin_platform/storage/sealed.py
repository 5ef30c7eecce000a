"""Sealed objects: JSON objects that hold the SHA-256 of their own content and place.

    {…, "sha256": of the key and the rest}

Here: sealing one and opening it. An object that was changed, cut off, or copied to another key does not open. Not here: what
the objects are and the remedy for a damaged one (``storage.numbered_log``, ``storage.versions``).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def seal(key: str, told: Mapping[str, Any]) -> bytes:
    """The bytes to be kept under ``key``."""
    return json.dumps({**told, "sha256": _digest(key, told)}, indent=1, ensure_ascii=False).encode()


def unseal(key: str, data: bytes) -> dict[str, Any]:
    """What was sealed for ``key``; raises ``ValueError`` that says what is wrong with the bytes."""
    try:
        told = json.loads(data)
    except ValueError:
        raise ValueError("it cannot be read" if data else "it is empty") from None
    if not isinstance(told, dict) or "sha256" not in told:
        raise ValueError("it holds no SHA-256 of its own content: this release has not written it")
    if told.pop("sha256") != _digest(key, told):
        raise ValueError("it is not as it was written")
    return told


def _digest(key: str, told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([key, told], sort_keys=True).encode()).hexdigest()

"""Pseudonyms: patient and lesion ids as keyed digests, so that no store holds the hospital's own ids."""

import hashlib
import hmac


def pseudonym(value: str | None, kind: str, key: str) -> str | None:
    """HMAC-SHA-256 (RFC 2104) of ``kind:value`` under ``key``, first 20 hex digits; None stays None."""
    if value is None:
        return None
    return hmac.new(key.encode(), f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()[:20]

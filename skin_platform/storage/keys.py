"""Keys: who may ask the service, and for what.

Here: names, scopes, rates; found by their hash, in memory. Not here: where they are written (``online.store``), what a route
asks for (``serving.access``).
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from skin_platform.storage.online.store import OnlineStore

SCOPES = ("predict", "feedback", "operate")
ENVIRONMENT = "environment"  # the name of the key in API_KEY


@dataclass(frozen=True)
class Key:
    """Who asks: the name that logs and predictions carry, what it may do, and how often (None: as the settings say)."""

    name: str
    scopes: frozenset[str]
    rate_per_minute: int | None = None


class KeyRing:
    """The keys in force; those of the database are read anew in the background."""

    def __init__(self, store: OnlineStore | None, env_key: str, mirror: Path | None = None, rate_per_minute: int = 0,
                 refresh_seconds: float = 2.0) -> None:
        self._store, self._mirror, self._rate = store, mirror, rate_per_minute
        self._keys: list[tuple[str, Key]] = []
        self.fault: str | None = None  # why the keys of the database are not known
        if env_key:
            self._keys.append((hashlib.sha256(env_key.encode()).hexdigest(), Key(ENVIRONMENT, frozenset(SCOPES))))

    def find(self, token: str) -> Key | None:
        """The key of this secret, or None; takes as long whichever it is."""
        digest, found = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest(), None
        for known, key in self._keys:
            if hmac.compare_digest(known, digest):
                found = key
        return found

    def rate_of(self, name: str) -> int:
        """Images a minute that the key ``name`` may ask for; 0: no limit."""
        rates = {key.name: key.rate_per_minute for _, key in self._keys}
        rate = rates.get(name)
        return self._rate if rate is None else rate

    @property
    def is_open(self) -> bool:
        """Whether no key was ever made, nor is one configured: then everything is allowed."""
        return not self._keys

    def close(self) -> None:
        """Stop reading."""

"""Keys: who may ask the service, and for what.

Here: names, scopes, rates; found by the hash of their secret, in memory, also while the database is away. Not here: where they
are written (``online.store``), what a route asks for (``serving.access``).
"""

import hashlib
import hmac
import logging
import re
import secrets
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skin_platform.storage.key_mirror import mirrored, write_mirror
from skin_platform.storage.online.reaching import OnlineStoreError
from skin_platform.storage.online.store import OnlineStore

logger = logging.getLogger(__name__)
SCOPES = ("predict", "feedback", "operate")
ENVIRONMENT = "environment"  # the name of the key in API_KEY
NAME = re.compile(r"\w[\w .@-]{0,62}\w|\w")  # it stands in logs, metrics and predictions
REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class Key:
    """Who asks: the name that logs and predictions carry, what it may do, and how often (None: as the settings say)."""

    name: str
    scopes: frozenset[str]
    rate_per_minute: int | None = None


class KeyRing:
    """The keys in force: that of the environment, and those of the database, read anew in the background.

    While the database is away those that it had hold, also across a restart: ``mirror`` has their hashes. ``fault`` says why
    they are not known at all, if so; then only the environment's key opens anything. Closed by ``close``.
    """

    def __init__(self, store: OnlineStore | None, env_key: str, mirror: Path | None = None, rate_per_minute: int = 0,
                 refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._store, self._mirror, self._rate, self._pause = store, mirror, rate_per_minute, refresh_seconds
        self._own = [(_hash(env_key), Key(ENVIRONMENT, frozenset(SCOPES)))] if env_key else []
        self._rows: list[dict[str, Any]] | None = [] if store is None else mirrored(mirror)
        self._had_keys = bool(self._rows)
        self.fault: str | None = None
        self._keys = self._in_force(self._rows or ())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
        if store is not None:
            self._refresh(store)
            self._thread.start()

    def find(self, token: str) -> Key | None:
        """The key of this secret, or None; which one it is cannot be told from the time that it takes."""
        digest, found = _hash(token), None
        for known, key in self._keys:
            if hmac.compare_digest(known, digest):
                found = key
        return found

    def rate_of(self, name: str) -> int:
        """Images a minute that the key ``name`` may ask for; 0: no limit."""
        rate = next((key.rate_per_minute for _, key in self._keys if key.name == name), None)
        return self._rate if rate is None else rate

    @property
    def is_open(self) -> bool:
        """Whether no key was ever made, nor one configured: then everything is allowed.

        Neither to revoke the last key nor to lose the database opens anything.
        """
        return not self._own and self._rows == [] and not self._had_keys

    @property
    def is_alive(self) -> bool:
        """Whether the keys are still read anew."""
        return self._store is None or self._thread.is_alive()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(REFRESH_SECONDS)

    def _run(self) -> None:
        assert self._store is not None
        while not self._stop.wait(self._pause):
            try:
                self._refresh(self._store)
            except Exception:  # a fault of ours; but without this thread no key could be revoked any more
                logger.exception("the keys could not be read")

    def _refresh(self, store: OnlineStore) -> None:
        try:
            rows = store.api_keys()
        except OnlineStoreError as error:
            self._unread(error)
            return
        if self.fault is not None:
            logger.info("the keys are known again")
        self.fault = None
        if rows == self._rows:
            return
        self._rows, self._keys = rows, self._in_force(rows)
        if not rows and self._had_keys:
            logger.error("the online store %s has lost its keys: none opens anything now. Make them anew with `skin keys add`; "
                         "to have a service without keys, delete %s and start it anew", store.shown_url, self._mirror)
            return
        self._had_keys = bool(rows)
        try:
            write_mirror(self._mirror, rows)
        except OSError as error:
            logger.warning("a restart while the online store is away would know no keys: %s", error)

    def _unread(self, error: OnlineStoreError) -> None:
        if self._rows is None:
            if self.fault is None:
                logger.warning("no key of the online store is known yet: %s", error)
            self.fault = f"the keys are not known yet: {error}"

    def _in_force(self, rows: Sequence[dict[str, Any]]) -> list[tuple[str, Key]]:
        return [*self._own, *((row["secret_sha256"], Key(row["name"], frozenset(row["scopes"]), row["rate_per_minute"]))
                              for row in rows if row["revoked_at"] is None)]


def issued(name: str, scopes: Sequence[str], rate_per_minute: int | None = None) -> tuple[str, dict[str, Any]]:
    """A new secret, to be shown once, and the row of its key. Raises ``ValueError`` for a bad name, scope or rate.

    The secret has 256 random bits: nobody can try them out, so that a fast hash (SHA-256) keeps it.
    """
    if name == ENVIRONMENT or not NAME.fullmatch(name):
        raise ValueError(f"a key cannot be named {name!r}: take up to 64 letters, digits, spaces or . _ @ -, and not "
                         f"{ENVIRONMENT!r}, which is the key in API_KEY")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise ValueError(f"there is no scope {', '.join(unknown)}: there are {', '.join(SCOPES)}")
    if not scopes or (rate_per_minute is not None and rate_per_minute < 0):
        raise ValueError("a key needs a scope, and a rate of 0 (no limit) or more images a minute")
    secret = f"skin_{secrets.token_urlsafe(32)}"
    return secret, {"key_id": str(uuid.uuid4()), "name": name, "secret_sha256": _hash(secret),
                    "scopes": sorted(set(scopes), key=SCOPES.index), "rate_per_minute": rate_per_minute,
                    "created_at": datetime.now(UTC), "revoked_at": None}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

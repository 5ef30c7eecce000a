"""The mirror of the keys: their hashes in a file of this machine, for a start while the database is away.

Here: written whole or not at all, read where it is sound. Not here: the keys (``storage.keys``).
"""

import json
import logging
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from skin_platform.storage.private_files import made_private

logger = logging.getLogger(__name__)
MOMENTS = ("created_at", "revoked_at")


def mirrored(path: Path | None) -> list[dict[str, Any]] | None:
    """The keys' rows as the database had them last; None where that is not known."""
    if path is None or not path.exists():
        return None
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [row | {name: datetime.fromisoformat(row[name]) if row[name] else None for name in MOMENTS}
                | {"scopes": list(row["scopes"]), "secret_sha256": str(row["secret_sha256"]), "name": str(row["name"])}
                for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s is damaged and will be written anew: %s", path, error)
        return None


def write_mirror(path: Path | None, rows: Sequence[dict[str, Any]]) -> None:
    """Put the keys' rows in place of those that the mirror has; for nobody else to read. Raises ``OSError``."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = made_private(path.with_name(f"{path.name}.{os.getpid()}"))
    told = [row | {name: row[name].isoformat() if row[name] else None for name in MOMENTS} for row in rows]
    with fresh.open("w", encoding="utf-8") as stream:
        json.dump(told, stream, ensure_ascii=False)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, path)

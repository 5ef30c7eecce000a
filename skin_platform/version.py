"""The code version: which code made a thing, even where it was not committed."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_version() -> str:
    """``<package version>+<first 12 digits of the SHA-256 over all source files>``; the same sources give the same."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{version('skin-platform')}+{digest.hexdigest()[:12]}"

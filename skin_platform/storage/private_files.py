"""Private files: databases on this machine that only the platform's own user may read."""

import os
from pathlib import Path


def made_private(path: Path) -> Path:
    """``path``, a file with the mode 0600: made empty where it is missing, narrowed where others could read it.

    SQLite gives the files that it makes beside a database the mode of the database. A file that is there is not opened: to
    close it would drop the locks that this process has on it by another connection. Raises ``OSError`` where the folder is not
    there, or the file is somebody else's.
    """
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path

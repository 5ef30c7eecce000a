"""The folder of ``SKIN_HOME``: it is there, and something can be written into it.

Here: what is wrong with it, and what is to be done. Not here: what lies in it (``settings.Home``).
"""

import errno
import os
import tempfile
from pathlib import Path

TRIED_BYTES = 256_000  # what the spool and SQLite's files beside it take before the first row
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class HomeError(RuntimeError):
    """Nothing can be kept in ``SKIN_HOME``; the message names the folder and the remedy."""


def check_home(home: Path, folder: Path | None = None) -> None:
    """Make ``home``, or ``folder`` in it, where it is missing, and write into it what is gone again on return.

    Raises ``HomeError``.
    """
    root = folder or home
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root, buffering=0) as file:
            file.write(bytes(TRIED_BYTES))
            os.fsync(file.fileno())  # some file systems find out only then
            if file.tell() < TRIED_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise HomeError(_told(root, home, error)) from error


def _told(root: Path, home: Path, error: OSError) -> str:
    if error.errno in FULL:
        return f"no space left in {root} (SKIN_HOME={home}), where what is answered is kept: free some there, or set " \
               "SKIN_HOME to a folder on another disk"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        taken = next((path for path in (root, *root.parents) if path.exists()), root)
        return f"{taken} is a file, and has to be a folder (SKIN_HOME={home}): set SKIN_HOME to another, or move the file away"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the user of number {os.getuid()} may not write into {root} (SKIN_HOME={home}): give the folder to that user " \
               "(chown), or set SKIN_HOME to one of its own"
    return f"{root} (SKIN_HOME={home}) cannot be written ({error.strerror}): mend that, or set SKIN_HOME to one that can be"

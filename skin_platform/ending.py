"""Ending: how a command ends, its exit code and the one line that says why.

Here: signals, a full disk, errors that a person can mend. Not here: the commands (``cli``), what an interrupt does to a run
(``defs.interrupts``).
"""

import errno
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console

from skin_platform.defs.interrupts import Terminated
from skin_platform.saying import said

INTERRUPTED, TERMINATED = 130, 143  # as a shell tells of SIGINT and SIGTERM
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SAYS_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "database or disk is full", "disk I/O error")


def run(command: Callable[[], object]) -> int:
    """The exit code of ``command``; an error that a person can mend is one line, not a traceback."""
    from skin_platform.lineage import LineageError

    # an interrupt that hits the closing of a connection is told below, not with SQLAlchemy's traceback
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    _heed_signals()
    try:
        command()
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        _tell("interrupted", "nothing is lost; the same command goes on from here")
        return TERMINATED if any(isinstance(error, Terminated) for error in _chain(end)) else INTERRUPTED
    except Exception as error:
        if any(_is_full(one) for one in _chain(error)):
            _tell("error", f"no space left {_where()}: free some, then give the same command again; nothing is lost")
        elif isinstance(error, KeyError) and _is_sentence(error):
            _tell("error", error.args[0])
        elif isinstance(error, LineageError | OSError | ValueError | RuntimeError):
            _tell("error", str(error) or type(error).__name__)
        else:
            raise
        return 1
    return 0


def _heed_signals() -> None:
    """SIGTERM ends a command as Ctrl-C does; Dagster gives both the handler that SIGINT has, so that one tells them apart."""
    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell has it ignored
        signal.signal(signal.SIGINT, stop)


def _is_full(error: BaseException) -> bool:
    """Whether this says that nothing more can be written: of the system, SQLite, DuckDB, or a library that passes it on."""
    return (isinstance(error, OSError) and error.errno in FULL) or any(sign in str(error) for sign in SAYS_FULL)


def _is_sentence(error: KeyError) -> bool:
    """Whether this was raised to say what is not there; what a dict misses is a key, which is a word or two."""
    return bool(error.args) and isinstance(error.args[0], str) and error.args[0].count(" ") > 2


def _where() -> str:
    """Where nothing more can be written: the home, or the folder for temporary files where that has less room."""
    home = os.environ.get("SKIN_HOME", "SKIN_HOME")
    try:
        temporary = tempfile.gettempdir()
        if shutil.disk_usage(temporary).free < shutil.disk_usage(home).free:
            return f"in {temporary}"
    except OSError:  # no folder for temporary files can be written to, or there is no home yet
        return f"under {home} or in the folder for temporary files"
    return f"under {home}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _tell(what: str, why: str) -> None:
    Console(stderr=True).print(f"[bold red]{what}[/]: {said(why)}", highlight=False, soft_wrap=True)

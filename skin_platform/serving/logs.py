"""Logs: one JSON object a line, or a line for people where a terminal reads along.

Here: the form, for our lines and those of BentoML and uvicorn, and the line that each request leaves. No secret, no file name,
no patient id: a line holds the fields named here, and nothing that a caller sent but a request id that was checked.
Not here: numbers (``serving.metrics``).
"""

import json
import logging
import re
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from skin_platform.serving.bundle import Provenance
from skin_platform.serving.metrics import observe_lost_line

Form = Literal["auto", "json", "human"]
Written = Callable[[WrappedLogger, str, EventDict], bytes]
OTHERS = ("bentoml", "uvicorn", "uvicorn.error", "circus")  # loggers that come with handlers and forms of their own
LONGEST = 3000  # characters of a text: a pipe that has room has room for 4,096 bytes, more would wait for its reader
MASKED = (  # libraries quote what they were given
    (re.compile(r"(?i)\b(bearer\s+|(?:password|api_key|secret|token)\s*[=:]\s*)[^\s,;&'\"]+"), r"\1…"),
    (re.compile(r"(\w://[^\s:/@]*:)[^\s@]+@"), r"\1…@"))
logger = structlog.get_logger("skin_platform")


def configure(form: Form = "auto", stream: TextIO | None = None) -> None:
    """Give all logging of this process one form: ``json``, ``human``, or ``auto`` (``human`` on a terminal).

    Our own lines do without the standard library's logging, which costs three times as much as the rest of a line.
    """
    stream = stream or sys.stdout
    is_human = form == "human" or (form == "auto" and stream.isatty())
    written, lines = _person(stream) if is_human else _line, _Lines(stream.buffer)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _mask, written],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), logger_factory=lambda *_: lines)
    handler = _Handler(lines)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, _mask,
                    lambda *told: written(*told).decode()]))
    logging.root.handlers = [handler]
    for name in OTHERS:
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("bentoml").setLevel(logging.INFO)
    access = logging.getLogger("uvicorn.access")  # one line a request is enough: ours
    access.handlers, access.propagate = [], False
    logging.captureWarnings(capture=True)


def tell(event: str, **fields: Any) -> None:
    """One thing that happened in the service, such as a swap."""
    logger.info(event, **fields)


def warn(event: str, **fields: Any) -> None:
    """One thing that somebody should look at; ``exc_info=True`` adds the exception that is being handled."""
    logger.warning(event, **fields)


def request_line(*, request_id: str, route: str, method: str, status: int, seconds: float, key_name: str | None = None,
                 origin: Provenance | None = None, code: str | None = None) -> None:
    """The line of one answered request: ``route`` is the template, ``origin`` the bundle that answered, ``code`` an error's."""
    model = {"model_version": origin.model_version, "bundle": origin.tag, "run_id": origin.dagster_run_id} if origin else {}
    logger.info("request", request_id=request_id, route=route, method=method, status=status, ms=round(seconds * 1000, 2),
                key=key_name, code=code, **model)


class _Lines:
    """Writes whole lines. What cannot be written now is counted: no request may fail by its log, nor wait for who reads it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._descriptor = stream, -1
        with suppress(OSError):  # of a stream in memory, which always has room
            self._descriptor = stream.fileno()

    def msg(self, line: bytes) -> None:
        """Write one line at once, where there is room: a pipe that nobody empties would hold up every request."""
        try:
            if self._descriptor >= 0 and not self._has_room():
                raise BlockingIOError
            self._stream.write(line + b"\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads, a full disk, a reader that has gone, a stream that was closed
            observe_lost_line()

    def _has_room(self) -> bool:
        room = select.poll()  # one a call: threads may not share it
        room.register(self._descriptor, select.POLLOUT)
        return bool(room.poll(0))

    info = warning = error = critical = exception = msg


class _Handler(logging.Handler):
    """The lines of others, written as ours are."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._lines.msg(self.format(record).encode("utf-8", "backslashreplace"))


def _line(_: WrappedLogger, level: str, event: EventDict) -> bytes:
    """The event as JSON; fields without a value are left out."""
    told = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": event.pop("level", level),
            "event": event.pop("event")}
    told.update((name, value) for name, value in event.items() if value is not None)
    return json.dumps(told, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def _person(stream: TextIO) -> Written:
    """The event as a line for people, in colours where ``stream`` is a terminal."""
    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)

    def shown(told_to: WrappedLogger, level: str, event: EventDict) -> bytes:
        fields = {name: value for name, value in event.items() if value is not None}
        timed = {"timestamp": f"{datetime.now():%H:%M:%S}", "level": level} | fields
        return str(console(told_to, level, timed)).encode("utf-8", "backslashreplace")

    return shown


def _mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The texts without what looks like a secret, and the end of those that are long: there an exception says what it is."""
    for name in ("event", "exception"):
        if isinstance(text := event.get(name), str):
            for pattern, instead in MASKED:
                text = pattern.sub(instead, text)
            event[name] = text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"
    return event

"""Logs: one JSON object a line, or a line for people where a terminal reads along.

Here: the form, for our lines and those of BentoML and uvicorn, and the line that each request leaves. No secret, no file name,
no patient id: a line holds the fields named here, and nothing that a caller sent but a request id that was checked.
Not here: numbers (``serving.metrics``).
"""

import logging
import sys
from typing import Any, TextIO

import structlog

from skin_platform.serving.bundle import Provenance

logger = structlog.get_logger("skin_platform")


def configure(form: str = "auto", stream: TextIO | None = None) -> None:
    """Give all logging of this process one form: ``json``, ``human``, or ``auto`` (``human`` on a terminal)."""
    stream = stream or sys.stdout
    logging.getLogger("bentoml.access").setLevel(logging.WARNING)  # one line a request is enough: ours


def tell(event: str, **fields: Any) -> None:
    """One thing that happened in the service, such as a swap."""
    logger.info(event, **fields)


def warn(event: str, **fields: Any) -> None:
    """One thing that somebody should look at."""
    logger.warning(event, **fields)


def request_line(*, request_id: str, route: str, method: str, status: int, seconds: float, key_name: str | None = None,
                 origin: Provenance | None = None, code: str | None = None) -> None:
    """The line of one answered request. ``origin`` is the bundle that answered, ``code`` that of an error."""
    model = {"model_version": origin.model_version, "bundle": origin.tag, "run_id": origin.dagster_run_id} if origin else {}
    logger.info("request", request_id=request_id, route=route, method=method, status=status, ms=round(seconds * 1000, 2),
                key=key_name, code=code, **model)

"""Requests: what the routes read of a request besides its body (``serving.bodies``) and its key (``serving.access``)."""

import re

from fastapi import Request

from skin_platform.serving.asked import asked_of
from skin_platform.serving.errors import RouteError
from skin_platform.serving.predictions import Asking, Mode

TOP_K = 3
TOP_K_MAX = 1000


def asking_of(request: Request, mode: Mode) -> Asking:
    """Who asks, how, and for how many labels. Raises ``RouteError``."""
    asked = asked_of(request)
    return Asking(asked.request_id, mode, asked.key_name, top_k_of(request), asked.started)


def top_k_of(request: Request) -> int:
    """How many labels are asked for. Raises ``RouteError``."""
    if not request.scope["query_string"]:
        return TOP_K
    given = request.query_params.get("top_k", str(TOP_K))
    if not re.fullmatch("[0-9]{1,4}", given) or not 1 <= int(given) <= TOP_K_MAX:
        raise RouteError("invalid_request", f"top_k must be a whole number from 1 to {TOP_K_MAX}")
    return int(given)

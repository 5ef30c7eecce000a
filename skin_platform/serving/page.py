"""The page at ``/``: in a demo a place to drop an image, elsewhere where to go instead.

Here: which page is answered. Not here: what it looks like (``page.html``), the answers that it shows (``serving.routes``).
"""

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse


def add_page(app: FastAPI, env: str) -> None:
    """Answer ``/`` as ``env`` (``SKIN_ENV``) asks for."""
    def index(request: Request) -> HTMLResponse:
        """The page for people."""
        return HTMLResponse(f"<!doctype html><title>skin platform</title><p>{env}: <a href=docs>API</a>")

    app.add_api_route("/", index, methods=["GET"], include_in_schema=False)

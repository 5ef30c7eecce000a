"""The page at ``/``: in a demo a place to drop an image, elsewhere where to go instead.

Here: which page is answered, and what it may do. Not here: what it looks like (``page.html``), the answers that it shows
(``serving.routes``).
"""

import base64
import hashlib
import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

PAGE = Path(__file__).with_name("page.html")
SIGNPOST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Skin platform</title><link rel="icon" href="data:,">
<style>body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1.25rem; }}
code {{ overflow-wrap: anywhere; }}</style>
<h1>Skin platform</h1>
<p>This is a service for programs ({env}). <a href="docs">All routes with examples</a>, <a href="openapi.json">their
description</a>, <a href="health">is it up</a>, <a href="model-status">which model answers</a>,
<a href="metrics">measures</a>.</p>
<p>A page to drop an image on is there with <code>SKIN_ENV=demo</code>; from a shell: <code>skin predict IMAGE</code>.</p>
<p>Research software, not a medical device: no diagnosis may rest on an answer.</p>
</html>
"""


def add_page(app: FastAPI, env: str) -> None:
    """Answer ``/`` as ``env`` (``SKIN_ENV``) asks for; the page is read once."""
    text = PAGE.read_text(encoding="utf-8") if env == "demo" else SIGNPOST.format(env=env)
    headers = {"Content-Security-Policy": _policy(text), "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
               "Cache-Control": "no-cache"}

    async def index() -> HTMLResponse:
        """The page for people."""
        return HTMLResponse(text, headers=headers)

    app.add_api_route("/", index, methods=["GET"], include_in_schema=False)


def _policy(text: str) -> str:
    """A content security policy that lets the page's own style and script run, ask this service, and nothing else."""
    def digests(tag: str) -> str:
        found = [hashlib.sha256(part.encode()).digest() for part in re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)]
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in found) or "'none'"

    return (f"default-src 'none'; script-src {digests('script')}; style-src {digests('style')}; img-src blob: data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")

"""Remedies: what a person at the command line can do about an answer of the service that is none.

Here: a sentence for each refusal that more than the image is to blame for, and one for names that look like options. Not here:
the refusals (``serving.errors``), when one is asked about again (``retrying``).
"""

from pathlib import Path

import typer
from typer.core import TyperCommand

NO_KEY = ("the service asks for a key and none was given: put it into API_KEY (in .env or the environment), or give --api-key; "
          "who runs the service makes one with `skin keys add NAME --scope predict`")
KEY = ("the service does not know the key from {source}, or it was revoked: check it, or ask who runs the service for another "
       "(`skin keys add NAME --scope predict`; `skin keys list` shows those in force)")
REMEDIES = {
    "forbidden": "ask who runs the service for a key that may (`skin keys add NAME --scope predict`)",
    "rate_limited": "ask again then, or ask who runs the service for a key of a higher rate (`skin keys add NAME --rate N`)",
    "too_large": "make the picture smaller, or let who runs the service raise SKIN_MAX_IMAGE_BYTES or SKIN_MAX_IMAGE_PIXELS",
    "overloaded": "the service has more to do than it can: give the same command again later",
    "spool_full": "give the same command again later; if it stays so, who runs the service finds the cause with "
                  "`skin database status`",
    "keys_unknown": "give the same command again later; if it stays so, who runs the service finds the cause with "
                    "`skin database status`",
    "not_found": "check --url and API_BASE_URL: it is the address of the service without any path",
    "not_ready": "who runs the service finds more in its log and at /model-status",
    "unreachable": "start it with `skin serve`, or name another with --url or API_BASE_URL",
    "bad_address": "an address is like http://127.0.0.1:8000: check --url and API_BASE_URL",
    "bad_key": "check --api-key and API_KEY",
}


def in_plain_words(code: str, message: str, *, status: int = 0, source: str | None = None) -> str:
    """What went wrong, and what to do. ``source``: where the key came from, None where there was none."""
    if code == "unauthorized":
        return NO_KEY if source is None else KEY.format(source=source)
    if code == "error":
        return (f"what answers is not this service (HTTP {status}): check --url and API_BASE_URL, and whether a proxy stands "
                "before it")
    if code not in REMEDIES:
        return message
    remedy = REMEDIES[code]
    return f"{message} {remedy[0].upper()}{remedy[1:]}" if message.endswith("?") else f"{message.rstrip('.')}: {remedy}"


class NamingFiles(TyperCommand):
    """A command that takes files, and says what to do where the name of one begins with a dash and looks like an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """As ever, once no file is taken for options."""
        known = {name for parameter in self.params for name in parameter.opts}
        for given in args[:args.index("--")] if "--" in args else args:
            if given.startswith("-") and given.partition("=")[0] not in known and Path(given).is_file():
                raise typer.BadParameter(f"{given} begins with a dash and is taken for an option: write ./{given}, or put -- "
                                         "before the files")
        return super().parse_args(ctx, args)

"""Environments: what ``SKIN_ENV`` asks of the other settings.

Here: which secrets are too weak for prod, and what a demo has no place for. Not here: the settings themselves (``settings``).
"""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

SHORT_KEY = 12  # characters
WEAK_SECRETS = {"", "admin", "admin123", "changeme", "change-me", "demo", "minioadmin", "not-a-secret", "password", "postgres",
                "secret", "skin", "test"}


def is_weak(secret: str) -> bool:
    """Whether somebody who tries well-known or short words finds ``secret``."""
    return secret.strip().lower() in WEAK_SECRETS or len(secret.strip()) < SHORT_KEY


def prod_fault(secrets: Mapping[str, str], database_url: str | None) -> str | None:
    """Why these do for no production, by name and without a value; None where they do."""
    weak = [name for name, secret in secrets.items() if is_weak(secret)]
    try:
        password = urlsplit(database_url or "").password
    except ValueError:  # no URL at all: SQLAlchemy says so where it is used
        password = None
    if password is not None and unquote(password).lower() in WEAK_SECRETS:
        weak.append("the password in DATABASE_URL")
    if not weak:
        return None
    what = "is empty, well known or shorter" if len(weak) == 1 else "are empty, well known or shorter"
    return (f"SKIN_ENV is prod, but {', '.join(weak)} {what} than {SHORT_KEY} characters: set one of your own, for instance "
            "from `openssl rand -hex 24`")


def demo_fault(given: Mapping[str, bool]) -> str | None:
    """Why a demo cannot be what was asked for: what is ``given`` would have no effect, and somebody may rely on it."""
    idle = [name for name, is_given in given.items() if is_given]
    if not idle:
        return None
    return (f"SKIN_ENV is demo, in which nothing is recorded and no key is asked for, but {', '.join(idle)} "
            f"{'is' if len(idle) == 1 else 'are'} set: leave {'it' if len(idle) == 1 else 'them'} out, or set SKIN_ENV=dev")

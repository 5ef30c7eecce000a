"""Ids: the form of the ids that the service gives to predictions and jobs.

Here: that form. Not here: request ids, which callers may choose (``serving.front``).
"""

import re

ID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def is_id(text: str) -> bool:
    """Whether ``text`` may be an id of ours."""
    return re.fullmatch(ID_PATTERN[1:-1], text) is not None

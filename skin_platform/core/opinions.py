"""Opinions: what people said that the image of a prediction shows, and whose word counts.

Here: the rule. Not here: where feedback is taken and kept (``serving.feedback``, ``storage.online``).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

SHOWN = ("correct_label", "given_by", "given_at", "note", "key_name")


def opinions(feedback: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The ``feedback`` on one prediction, oldest first, each with ``counts``.

    Of each person (``given_by``) the latest counts, by ``given_at``; what they said before is kept and shown. Several persons
    may differ: then each one's latest counts, and nothing here decides between them. ``given_at`` becomes ISO 8601.
    """
    ordered = sorted(feedback, key=lambda row: (row["given_at"], row["feedback_id"]))
    latest = {row["given_by"]: row["feedback_id"] for row in ordered}
    return [{name: _plain(row[name]) for name in SHOWN} | {"counts": latest[row["given_by"]] == row["feedback_id"]}
            for row in ordered]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

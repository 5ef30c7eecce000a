"""Saying: delivered words on a terminal.

Here: what keeps them from being taken for commands to it. Not here: what is told of a walk or a plan (``telling``).
"""

from rich.markup import escape


def said(text: str) -> str:
    """``text`` without markup, and with control characters, which could steer the terminal, written out (``\\x1b``)."""
    return escape("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "backslashreplace").decode()
                          for c in text))

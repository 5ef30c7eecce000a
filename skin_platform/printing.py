"""Printing: where commands print to, a terminal or a file.

Here: how wide that is. Not here: what keeps delivered words from steering a terminal (``saying``), what is told (``telling``).
"""

import sys

from rich.console import Console

ENDLESS = 100_000  # columns; a table is only as wide as what is in it


def printer(*, stderr: bool = False) -> Console:
    """The console of the output, or of ``stderr``.

    A line is wrapped at the width of a terminal; in a pipe or a file it stays whole, for ``grep`` and ``awk``, where Rich would
    wrap and cut at 80 columns.
    """
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if is_terminal else ENDLESS)

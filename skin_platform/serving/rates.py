"""Rates: how many images each key has asked for within the last minute.

Here: a sliding window counter (two counts a key: of the minute that runs, and of the one before, weighted by what of it still
lies within the last 60 s). ``limits`` has one, too, but starts a thread for nearly every request to forget old counts, a tenth
of what a request costs the loop here. Not here: which rate a key has (``storage.keys``), what is answered over it
(``serving.access``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

MINUTE_SECONDS = 60.0


@dataclass(slots=True)
class Window:
    """The counts of one key: ``current`` in the minute of that number, ``previous`` in the one before."""

    minute: int
    current: int = 0
    previous: int = 0

    def move_to(self, minute: int) -> None:
        """Let ``minute`` be the one that runs."""
        if minute != self.minute:
            self.previous = self.current if minute == self.minute + 1 else 0
            self.current, self.minute = 0, minute


class Rates:
    """The windows of all keys, in this process. For one thread, which is the loop's. ``clock``: seconds, never going back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._windows = clock, dict[str, Window]()

    def take(self, name: str, per_minute: int, cost: int = 1) -> float:
        """Note ``cost`` images of the key ``name`` and return 0; where they are over its rate, note none and return the seconds
        after which they would pass (``inf`` where never). A negative ``cost`` takes back what was noted."""
        minute, passed = divmod(self._clock() / MINUTE_SECONDS, 1)
        window = self._windows.setdefault(name, Window(int(minute)))
        window.move_to(int(minute))
        room = per_minute - cost
        if window.previous * (1 - passed) + window.current <= room:
            window.current = max(0, window.current + cost)
            return 0.0
        if room < 0:
            return float("inf")
        if window.current <= room:
            return MINUTE_SECONDS * (1 - passed - (room - window.current) / window.previous)
        return MINUTE_SECONDS * (1 - passed + max(0.0, 1 - room / window.current))

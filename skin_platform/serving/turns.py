"""Turns: the images that wait, by the key that asked, so that one key's crowd does not stand before everybody else.

Here: which image is next (one of each key in turn, round robin), and how many places a key may hold. Not here: the lanes that
compute, the lock around all of this (``serving.batching``).

How much one key may hold follows from how much is left (Choudhury and Hahne 1998, Dynamic queue length thresholds for
shared-memory packet switches): ``SHARE`` times as many places as are free. Alone it comes to 7/8 of all, so that whoever comes
next finds an eighth free; of two keys that both want more each comes to 7/15, of three to 7/22. Nobody has to be remembered for
that, nothing has to be taken back from who holds it already, and no place is kept for a key that does not ask.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence

from skin_platform.serving.waiting import Waiting

SHARE = 7


class Turns:
    """At most ``places`` images that wait or are computed. Not for several threads at once."""

    def __init__(self, places: int) -> None:
        self._places, self.taken, self.waiting = places, 0, 0
        self._held = Counter[str]()
        self._lines: OrderedDict[str | None, deque[Waiting]] = OrderedDict()  # of those keys that wait; the first is next

    def refusal(self, owner: str | None, count: int) -> str | None:
        """Why ``count`` more images of the key ``owner`` (None: no key is asked for) may not come in; None where they may."""
        left = self._places - self.taken - count
        if left < 0:
            return f"{self.taken} images wait already, and {self._places} may"
        held = self._held[owner] if owner is not None else 0
        if owner is not None and held + count > SHARE * left:
            return (f"{held} images of the key {owner!r} wait already, and of {self._places} places {left + count} are left "
                    "for all keys: ask again once some are answered")
        return None

    def put(self, owner: str | None, images: Sequence[Waiting]) -> None:
        """Let ``images`` of the key ``owner`` wait, behind those that it has here already."""
        self.taken += len(images)
        self.waiting += len(images)
        if owner is not None:
            self._held[owner] += len(images)
        if images:
            self._lines.setdefault(owner, deque()).extend(images)

    def next(self) -> Waiting:
        """The image whose turn it is; it keeps its place until ``leave``. There must be one that waits."""
        owner, line = next(iter(self._lines.items()))
        image = line.popleft()
        self.waiting -= 1
        if not line:
            del self._lines[owner]
        elif len(self._lines) > 1:
            self._lines.move_to_end(owner)
        return image

    def leave(self, images: Sequence[Waiting]) -> None:
        """Give the places of ``images`` free."""
        self.taken -= len(images)
        for image in images:
            if image.owner is not None:
                self._held[image.owner] -= 1
                if not self._held[image.owner]:
                    del self._held[image.owner]  # keys come and go

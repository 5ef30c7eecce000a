"""Interrupts: an interrupt (Ctrl-C, or SIGTERM) that nobody can swallow.

Dagster catches SIGINT around parts of a run and forgets one that came where it does not look again; libraries drop one in a
bare ``except``. The walk would then go on for minutes as if nothing had been said.
"""

import os
import signal
import socket
import threading
import time
from types import TracebackType

PATIENCE_SECONDS = 3.0  # for clearing up: another interrupt in the middle of that would break it


HEEDED = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interrupt with another exit code."""


class Interrupts:
    """Notices every SIGINT and SIGTERM of this process while the block runs, whichever handler gets it
    (``signal.set_wakeup_fd``)."""

    def __enter__(self) -> "Interrupts":
        self._told, self._teller = socket.socketpair()
        for end in (self._told, self._teller):
            end.setblocking(False)
        self._came, self._delivered = 0, 0.0
        self._is_main = threading.current_thread() is threading.main_thread()  # no other thread may set it
        if self._is_main:
            self._former = signal.set_wakeup_fd(self._teller.fileno(), warn_on_full_buffer=False)
            self._handler = signal.getsignal(signal.SIGTERM)  # Dagster leaves it that of SIGINT
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_main:
            signal.set_wakeup_fd(self._former)
            signal.signal(signal.SIGTERM, self._handler)
        self._told.close()
        self._teller.close()

    @property
    def came(self) -> int:
        """The number of the first signal that came; 0 before one did."""
        try:
            while numbers := self._told.recv(4096):
                heeded = [number for number in numbers if number in HEEDED]
                if heeded and not self._came:
                    self._came, self._delivered = heeded[0], time.monotonic()
        except BlockingIOError:
            pass  # all read
        return self._came

    def deliver_again(self) -> None:
        """Send the signal once more where one came and the program goes on as if it had not."""
        if self.came and time.monotonic() - self._delivered > PATIENCE_SECONDS:
            self._delivered = time.monotonic()
            os.kill(os.getpid(), self._came)

"""The parent: BentoML's supervisor, which started the process that answers.

Here: not outliving it. Not here: what is done at the end (``serving.opening``).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def end_with_parent() -> None:
    """Let this process be asked to end when its parent dies, however that dies (Linux; elsewhere nothing is done).

    A worker whose supervisor was killed would go on answering from the port, with nobody to restart it, and the next service
    could not have the port.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we had asked
        os.kill(os.getpid(), signal.SIGTERM)

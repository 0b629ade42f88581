"""What a process of the server does about itself: its name, its parent, its signals."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable

LIFELINE = "METERWAN_LIFELINE_FD"
"""Environment variable: the descriptor that reaches end of file when the supervisor is gone."""

EXIT_CANNOT_START = 78
"""A child's exit status when trying again would fail in the same way (sysexits: EX_CONFIG)."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def _prctl(option: int, argument: int | bytes) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def set_name(name: str) -> None:
    """Set the name that ``ps`` and ``top`` show (15 bytes)."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def follow_parent(grace_s: float = 5.0, end: Callable[[], None] | None = None) -> None:
    """End when the supervisor ends, also when it is killed: by the kernel's signal and by the lifeline.

    The lifeline catches what the signal misses: a supervisor that died before the signal was asked for. A process that
    does not end within ``grace_s`` of SIGTERM ends hard, so that its successor can have its lock.
    """
    descriptor = os.environ.pop(LIFELINE, "")
    if not descriptor.isdigit():
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(int(descriptor), 1):
                pass
        (end or _terminate)()
        time.sleep(grace_s)
        os._exit(EXIT_CANNOT_START)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)

"""Where tests keep what is gone a moment later."""

from __future__ import annotations

import os
import shutil

MEMORY = "/dev/shm"
ROOM = 2 << 30
"""Bytes that must be free there: a container may have 64 MiB."""


def scratch() -> str | None:
    """A folder in memory where there is room in one, else None: the place that the system has for such files.

    A test loses nothing by it: a process that is killed leaves its files as they are, and a disk that loses what was not
    written through is simulated.
    """
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        return MEMORY
    return None

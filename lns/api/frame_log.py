"""What the frame log takes on the disk, and how long that goes well."""

from __future__ import annotations

import shutil
import sqlite3

from internalapi import messages as m
from lns.clock import system_now
from lns.network import DAY_US, Network

LOOK_BACK_US = 7 * DAY_US
OLD_AFTER_US = 10_000_000


async def usage(network: Network) -> m.FrameLogStatus:
    """Measured now, or a moment ago: pages and metrics ask often."""
    now = system_now()
    if network.frame_log_status is None or now.mono_us - network.frame_log_status[0] > OLD_AFTER_US:
        status = await network.read(lambda db: _measure(network, db, now.wall_us))
        network.frame_log_status = now.mono_us, status
    return network.frame_log_status[1]


def _measure(network: Network, db: sqlite3.Connection, wall_us: int) -> m.FrameLogStatus:
    packed = network.frame_log.usage()
    fresh, oldest_us = db.execute("SELECT count(*), min(time_us) FROM frame").fetchone()
    if packed.oldest_us is not None:
        oldest_us = packed.oldest_us
    frames = packed.frames + fresh
    size = packed.bytes + sum(one.stat().st_size for one in network.path.parent.glob(network.path.name + "*"))
    since_us = wall_us - LOOK_BACK_US if oldest_us is None else max(oldest_us, wall_us - LOOK_BACK_US)
    lately = network.frame_log.frames_since(since_us) + _fresh_since(db, since_us)
    per_day = lately * DAY_US / max(DAY_US / 24, wall_us - since_us) if lately else 0.0
    # The journal's own tables do not grow with frames, so packed months tell what a frame takes.
    per_frame = packed.bytes / packed.frames if packed.frames else ASSUMED_BYTES
    free = shutil.disk_usage(network.path.parent).free
    limit = network.settings.frame_log_max_mb * 1_000_000
    full = per_frame * per_day * network.settings.frame_log_days
    if limit:
        full = min(full, limit)
    grows = full - per_frame * frames
    days = free / (per_frame * per_day) if per_day and grows > free else None
    return m.FrameLogStatus(
        frames=frames,
        bytes=size,
        bytes_per_frame=round(per_frame, 1),
        oldest_us=oldest_us,
        frames_per_day=round(per_day, 1),
        bytes_when_full=int(max(full, packed.bytes)),
        disk_free_bytes=free,
        days_left=None if days is None else round(days, 1),
    )


ASSUMED_BYTES = 160.0
"""Of a frame, as long as none is packed."""


def _fresh_since(db: sqlite3.Connection, since_us: int) -> int:
    return int(db.execute("SELECT count(*) FROM frame WHERE time_us >= ?", (since_us,)).fetchone()[0])

"""Flags that devices raise and clear: from the first frame with one to the first without, in whatever order frames come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from appserver.db import Connection
from appserver.decoding import Frame, read_frame

Read = Callable[[str, int | None, bytes, int], Frame]


def turn(
    connection: Connection, dev_eui: str, before: Collection[str], now: Iterable[str], at_us: int, uplink_id: int
) -> None:
    """Flags go from ``before`` to ``now`` with the newest frame of a device."""
    flags = list(dict.fromkeys(now))
    connection.executemany(
        "INSERT INTO device_flag (dev_eui, flag, raised_at_us, uplink_id, note) VALUES (?, ?, ?, ?, '')",
        [(dev_eui, flag, at_us, uplink_id) for flag in flags if flag not in before],
    )
    connection.executemany(
        "UPDATE device_flag SET cleared_at_us = ? WHERE dev_eui = ? AND flag = ? AND cleared_at_us IS NULL",
        [(at_us, dev_eui, flag) for flag in sorted(set(before) - set(flags))],
    )


def has_any(connection: Connection, dev_eui: str) -> bool:
    """Whether a device ever raised a flag."""
    return connection.execute("SELECT 1 FROM device_flag WHERE dev_eui = ? LIMIT 1", (dev_eui,)).fetchone() is not None


def rebuild(connection: Connection, dev_eui: str, from_us: int, read: Read = read_frame) -> tuple[str, ...]:
    """Read a device's frames from a moment on again, because one of them came late. Returns the flags of the last.

    What was raised and cleared before stays; notes stay with their flag and moment.
    """
    rows = connection.execute(
        "SELECT flag, raised_at_us, note FROM device_flag WHERE dev_eui = ? AND raised_at_us >= ?", (dev_eui, from_us)
    ).fetchall()
    notes = {(flag, raised_us): note for flag, raised_us, note in rows if note}
    connection.execute("DELETE FROM device_flag WHERE dev_eui = ? AND raised_at_us >= ?", (dev_eui, from_us))
    connection.execute(
        "UPDATE device_flag SET cleared_at_us = NULL WHERE dev_eui = ? AND cleared_at_us >= ?", (dev_eui, from_us)
    )
    standing = connection.execute(
        "SELECT flag FROM device_flag WHERE dev_eui = ? AND cleared_at_us IS NULL ORDER BY id", (dev_eui,)
    ).fetchall()
    flags: tuple[str, ...] = tuple(flag for (flag,) in standing)
    frames: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, codec, f_port, data, received_at_us FROM uplink WHERE dev_eui = ? AND received_at_us >= ?"
        " AND state <> 'undecoded' ORDER BY received_at_us, session_id, f_cnt",
        (dev_eui, from_us),
    ).fetchall()
    for id_, label, f_port, data, at_us in frames:
        decoded = read(label.partition("@")[0], f_port, data, at_us).decoded
        if decoded is not None and decoded.flags is not None and set(decoded.flags) != set(flags):
            turn(connection, dev_eui, flags, decoded.flags, at_us, id_)
            flags = decoded.flags
    connection.executemany(
        "UPDATE device_flag SET note = ? WHERE dev_eui = ? AND flag = ? AND raised_at_us = ?",
        [(note, dev_eui, flag, raised_us) for (flag, raised_us), note in notes.items()],
    )
    return flags

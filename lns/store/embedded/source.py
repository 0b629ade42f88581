"""Devices and sessions out of their rows, one at a time, when they are first needed.

The connection is the engine thread's own. It reads through SQLite's cache: a device with its session costs some 40 µs, once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from lns.device import Device
from lns.radio import from_text
from lns.session import Session
from lns.state import NetworkState
from lns.store.embedded.restored import skip_counters
from lorawan.identifiers import DevAddr

_DEVICES = (
    "SELECT id, dev_eui, join_eui, name, profile, activation, tags, disabled, created_at_us, battery, margin_db,"
    " status_us FROM device"
)
_SESSIONS = (
    "SELECT id, device_id, dev_addr, lorawan_1_1, sealed_keys, activated_at_us, ended, confirmed, f_cnt_up,"
    " replay_window, last_mic, last_frame_id, n_f_cnt_down, a_f_cnt_down, conf_f_cnt_down, radio, dr, tx_power,"
    " nb_trans, adr_reason, last_seen_us, rssi_dbm, snr_db, gateways, adr FROM session"
)


class JournalSource:
    """What of the journal is not in memory yet; a :class:`lns.devices.DeviceSource`."""

    def __init__(self, state: NetworkState, db: sqlite3.Connection, steps: int) -> None:
        """``steps``: restores that the journal does not know of, see :mod:`lns.store.embedded.restored`."""
        self._state = state
        self._db = db
        self._steps = steps

    def close(self) -> None:
        self._db.close()

    def by_id(self, id: int) -> Device | None:
        row = self._db.execute(f"{_DEVICES} WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._device(row)

    def by_dev_eui(self, dev_eui: int) -> Device | None:
        row = self._db.execute(f"{_DEVICES} WHERE dev_eui = ?", (dev_eui.to_bytes(8, "big"),)).fetchone()
        return None if row is None else self._device(row)

    def dev_euis(self) -> Iterator[int]:
        rows = self._db.execute("SELECT dev_eui FROM device").fetchall()
        return (int.from_bytes(dev_eui, "big") for (dev_eui,) in rows)

    def session(self, id: int) -> Session | None:
        """A session by its number, also an ended one, whose last frames wait to be handed over."""
        row = self._db.execute(f"{_SESSIONS} WHERE id = ?", (id,)).fetchone()
        device = self._state.devices_by_id.get(row[1]) if row is not None else None
        if device is None:
            return None
        return next((one for one in device.sessions if one.id == id), None) or self._session(device, row)

    def _device(self, row: tuple[Any, ...]) -> Device:
        state = self._state
        id, dev_eui, join_eui, name, profile, activation, tags, disabled, created, battery, margin, status = row
        device = Device(
            id, int.from_bytes(dev_eui, "big"), int.from_bytes(join_eui, "big"), name, state.profiles[profile]
        )
        device.activation = activation
        device.tags = json.loads(tags) or None if tags != "{}" else None
        device.disabled = bool(disabled)
        device.created_at_us = created
        device.battery, device.margin_db, device.status_us = battery, margin, status
        state.devices_by_id[id] = device
        state.devices.enter(device)
        for one in self._db.execute(f"{_SESSIONS} WHERE device_id = ? AND ended = 0 ORDER BY id", (id,)).fetchall():
            session = self._session(device, one)
            skip_counters(state, session, self._steps)
            state.sessions.enter(session)
            if session.confirmed:
                device.session = session
            else:
                if device.pending is not None:
                    device.superseded = (*device.superseded, device.pending)
                device.pending = session
        return device

    def _session(self, device: Device, row: tuple[Any, ...]) -> Session:
        state = self._state
        radio = state.radio(from_text(row[15], state.plan))
        session = Session(row[0], device, DevAddr(row[2]), bool(row[3]), row[4], row[5], radio)
        session.confirmed = bool(row[7])
        session.f_cnt_up = row[8]
        session.window = int.from_bytes(row[9], "little")
        session.last_mic, session.last_frame_id = row[10], row[11]
        session.n_f_cnt_down, session.a_f_cnt_down, session.conf_f_cnt_down = row[12], row[13], row[14]
        session.dr, session.tx_power, session.nb_trans, session.adr_reason = row[16], row[17], row[18], row[19]
        session.last_seen_us, session.rssi_dbm, session.snr_db, session.gateways = row[20], row[21], row[22], row[23]
        session.adr = row[24]
        return session

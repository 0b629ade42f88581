"""Read the journal into the server's memory at start."""

from __future__ import annotations

import json
import sqlite3
from collections import deque

import msgspec

from lns.clock import Now
from lns.device import BUILT_IN_PROFILES, Device, Profile
from lns.downlink.listener import Listener
from lns.downlink.queue import Item, ItemState
from lns.gateways.basicstation.credentials import Token
from lns.gateways.basicstation.firmware import Firmware
from lns.gateways.gateway import Gateway
from lns.radio import from_text
from lns.session import Session
from lns.state import NetworkState
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.restored import cancel_items, restores, skip_counters, skip_numbers
from lns.store.embedded.statements import MARKS, RESTORES
from lns.uplink.gather import Gathered, Kind
from lns.uplink.reception import from_detail
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import DevAddr


def load(
    state: NetworkState, db: sqlite3.Connection, now: Now, restored: int = 0, log: FrameLog | None = None
) -> list[Gathered]:
    """Fill ``state``. Returns the frames that were accepted and not handed over before the last stop.

    ``restored``: the file comes from a backup, so downlinks after it may have used counters that it does not know. It is
    the number of the restore, so that the same backup restored again skips further; 0 is no restore.
    """
    marks = dict(db.execute("SELECT name, value FROM mark"))
    state.last_frame_id, state.last_event_id, state.last_session_id, state.handed_over_id = (
        marks.get(name, 0) for name in MARKS
    )
    if log is not None:
        _after_log(state, log)
    _profiles(state, db)
    _gateways(state, db)
    _stations(state, db)
    state.airtime.restore(
        db.execute("SELECT frame_id, wall_us, mono_us, ways FROM airtime"), state.gateways, state.plan, now
    )
    _devices(state, db)
    steps = restores(state, marks.get(RESTORES, 0), restored)
    sessions = _sessions(state, db, steps)
    _queue(state, db, now)
    if steps:
        for device in state.devices.values():
            cancel_items(state, device)
    _listeners(state, db)
    state.batch.operations.extend(
        ("frame_outcome", ("unknown: the server stopped before the gateway answered", *row))
        for row in db.execute(
            "SELECT gateway, frequency_hz, datr, detail, id FROM frame WHERE outcome = 'scheduled' AND id > ?",
            (max(0, state.last_frame_id - 100_000),),
        )
    )
    waiting = _not_handed_over(state, db, sessions)
    skip_numbers(state, steps)
    return waiting


def _after_log(state: NetworkState, log: FrameLog) -> None:
    """What lies in the frame log has left the journal, also when the process died before the journal forgot it, and when
    the journal comes from a backup that is older than the log."""
    state.last_frame_id = max(state.last_frame_id, log.last_frame_id)
    state.last_event_id = max(state.last_event_id, log.last_event_id)
    state.handed_over_id = max(state.handed_over_id, log.last_frame_id)
    state.last_device_id = log.max_device_id
    state.batch.operations.append(("frames_packed", (log.last_frame_id,)))
    state.batch.operations.append(("events_packed", (log.last_event_id,)))


def _profiles(state: NetworkState, db: sqlite3.Connection) -> None:
    for profile in BUILT_IN_PROFILES:
        state.profiles[profile.name] = profile
    for name, body in db.execute("SELECT name, body FROM profile"):
        state.profiles[name] = msgspec.json.decode(body, type=Profile)
    for profile in BUILT_IN_PROFILES:
        state.batch.operations.append(("profile_put", (profile.name, profile_body(state.profiles[profile.name]))))


def profile_body(profile: Profile) -> str:
    """A profile as its row keeps it."""
    return msgspec.json.encode(profile).decode()


def _gateways(state: NetworkState, db: sqlite3.Connection) -> None:
    row = db.execute("SELECT time_us FROM frame ORDER BY id DESC LIMIT 1").fetchone()
    alive_us = row[0] if row else None  # nothing is known to have been heard after that
    for eui, body, created_at_us in db.execute("SELECT eui, body, created_at_us FROM gateway"):
        gateway = state.gateways.add(int.from_bytes(eui, "big"))
        gateway.dark_since_us = alive_us
        gateway.created_at_us = created_at_us
        apply_gateway(gateway, json.loads(body))


def _stations(state: NetworkState, db: sqlite3.Connection) -> None:
    for hash, eui, purpose, sealed, created_at_us in db.execute(
        "SELECT hash, eui, purpose, sealed, created_at_us FROM station_token"
    ):
        state.station_tokens.add(Token(hash, int.from_bytes(eui, "big"), purpose, sealed, created_at_us))
    for name, body, created_at_us in db.execute("SELECT name, body, created_at_us FROM firmware"):
        fields = json.loads(body)
        state.firmware[name] = Firmware(
            name=name, created_at_us=created_at_us, **(fields | {"gateways": tuple(fields["gateways"])})
        )


def apply_gateway(gateway: Gateway, body: dict[str, object]) -> None:
    """Take over what the operator wrote about a gateway."""
    for name, value in body.items():
        setattr(gateway, name, value)


def _devices(state: NetworkState, db: sqlite3.Connection) -> None:
    rows = db.execute(
        "SELECT id, dev_eui, join_eui, name, profile, activation, tags, disabled, created_at_us, battery, margin_db,"
        " status_us FROM device"
    )
    for row in rows:
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
        state.devices[device.dev_eui] = device
    # A deleted device's frames stay in the log: its number is nobody else's.
    (in_log,) = db.execute("SELECT coalesce(max(device_id), 0) FROM frame").fetchone()
    state.last_device_id = max(state.last_device_id, in_log, *state.devices_by_id)


def _sessions(state: NetworkState, db: sqlite3.Connection, steps: int) -> dict[int, Session]:
    sessions = {}
    rows = db.execute(
        "SELECT id, device_id, dev_addr, lorawan_1_1, sealed_keys, activated_at_us, ended, confirmed, f_cnt_up,"
        " replay_window, last_mic, last_frame_id, n_f_cnt_down, a_f_cnt_down, conf_f_cnt_down, radio, dr, tx_power,"
        " nb_trans, adr_reason, last_seen_us, rssi_dbm, snr_db, gateways, adr FROM session ORDER BY id"
    )
    for row in rows:
        device = state.devices_by_id.get(row[1])
        if device is None:
            continue
        session = Session(
            row[0], device, DevAddr(row[2]), bool(row[3]), row[4], row[5], state.radio(from_text(row[15], state.plan))
        )
        session.confirmed = bool(row[7])
        session.f_cnt_up = row[8]
        session.window = int.from_bytes(row[9], "little")
        session.last_mic, session.last_frame_id = row[10], row[11]
        session.n_f_cnt_down, session.a_f_cnt_down, session.conf_f_cnt_down = row[12], row[13], row[14]
        session.dr, session.tx_power, session.nb_trans, session.adr_reason = row[16], row[17], row[18], row[19]
        session.last_seen_us, session.rssi_dbm, session.snr_db, session.gateways = row[20], row[21], row[22], row[23]
        session.adr = row[24]
        sessions[session.id] = session
        if len(sessions) == 1:
            _check_key(state, session)
        if row[6]:
            continue  # ended: kept only for frames that wait to be handed over
        skip_counters(state, session, steps)
        state.sessions.add(session)
        if session.confirmed:
            device.session = session
        else:
            if device.pending is not None:
                device.superseded = (*device.superseded, device.pending)
            device.pending = session
    return sessions


def _check_key(state: NetworkState, session: Session) -> None:
    """One session shows whether the key-encryption key is the right one. Raises StateError."""
    try:
        state.keys.unseal(session.sealed_keys, session.lorawan_1_1)
    except FrameError as error:
        raise StateError(
            f"the key-encryption key does not open the session keys in network.db ({error}): "
            "put the kek file that belongs to this data folder back"
        ) from error


def _listeners(state: NetworkState, db: sqlite3.Connection) -> None:
    for device_id, gateways in db.execute("SELECT device_id, gateways FROM listener"):
        device = state.devices_by_id.get(device_id)
        if device is not None and device.profile.device_class != "A":
            device.listener = Listener()
            device.listener.unpack(gateways)


def _queue(state: NetworkState, db: sqlite3.Connection, now: Now) -> None:
    rows = db.execute(
        "SELECT dev_eui, id, seq, f_port, data, confirmed, created_at_us, expires_at_us, attempts, at_most_once,"
        " state, reason, f_cnt_down, session_id, attempts_made, not_before_us, encrypted_f_cnt FROM queue_item WHERE state IN ('queued', 'scheduled', 'sent', 'unknown') ORDER BY seq"
    )
    for row in rows:
        device = state.devices.get(int.from_bytes(row[0], "big"))
        if device is None:
            continue
        id, seq, f_port, data, confirmed, created, expires, attempts, at_most_once = row[1:10]
        item = Item(
            id, seq, device.dev_eui, f_port, data, bool(confirmed), created, expires, attempts, bool(at_most_once)
        )
        item.state = ItemState(row[10])
        item.reason, item.f_cnt_down, item.session_id, item.attempts_made, item.not_before_us = row[11:16]
        item.encrypted_f_cnt = row[16]
        if item.state is ItemState.SCHEDULED:
            why = "the server stopped before the gateway answered; it may have been sent"
            item.transmitted(ItemState.UNKNOWN, why, None, now.wall_us)
            state.batch.operations.append(("item_state", item.row()))
        if item.is_open:
            if device.queue is None:
                device.queue = deque()
            device.queue.append(item)
    state.last_item_seq = db.execute("SELECT coalesce(max(seq), 0) FROM queue_item").fetchone()[0]


def _not_handed_over(state: NetworkState, db: sqlite3.Connection, sessions: dict[int, Session]) -> list[Gathered]:
    """Frames behind the mark, oldest first: the mark moves in the order of acceptance."""
    waiting = []
    rows = db.execute(
        "SELECT id, kind, time_us, session_id, f_cnt, frequency_hz, datr, phy, detail FROM frame"
        " WHERE id > ? AND kind IN ('up', 'late') ORDER BY id",
        (state.handed_over_id,),
    )
    for id, kind, time_us, session_id, f_cnt, frequency_hz, datr, phy, detail in rows:
        session = sessions.get(session_id)
        if session is None:
            continue
        rx = from_detail(detail, phy, frequency_hz, int(datr) if datr.isdigit() else datr, time_us, state.gateways)
        gathered = Gathered(Kind.LATE if kind == "late" else Kind.DATA, rx, session.dr or 0, 0)
        gathered.dr = state.plan.dr_of(rx.datr) or 0
        gathered.session = session
        gathered.f_cnt = f_cnt
        gathered.frame_id = id
        waiting.append(gathered)
    return waiting

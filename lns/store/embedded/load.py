"""Read the journal into the server's memory at start."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from urllib.parse import quote

import msgspec

from lns.clock import Now
from lns.device import BUILT_IN_PROFILES, Profile
from lns.downlink.listener import Listener
from lns.downlink.queue import Item, ItemState
from lns.gateways.basicstation.credentials import Token
from lns.gateways.basicstation.firmware import Firmware
from lns.gateways.gateway import Gateway
from lns.state import NetworkState
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.load_multicast import load_groups
from lns.store.embedded.restored import cancel_items, restores, skip_numbers
from lns.store.embedded.source import JournalSource
from lns.store.embedded.statements import MARKS, RESTORES
from lns.uplink.gather import Gathered, Kind
from lns.uplink.reception import from_detail
from lns.uplink.relaxed import Reset
from lorawan.errors import FrameError, StateError


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
    steps = restores(state, marks.get(RESTORES, 0), restored)
    state.restores = marks.get(RESTORES, 0) + steps
    source = _devices(state, db, steps)
    _queue(state, db, now)
    if steps:
        # This reads every device now: a counter that would go ahead only when its device is first needed could be passed
        # over by the next start, which knows the restore.
        for device in state.devices.values():
            cancel_items(state, device)
    _listeners(state, db)
    load_groups(state, db, steps)
    state.batch.operations.extend(
        ("frame_outcome", ("unknown: the server stopped before the gateway answered", *row))
        for row in db.execute(
            "SELECT gateway, frequency_hz, datr, detail, id FROM frame WHERE outcome = 'scheduled' AND id > ?",
            (max(0, state.last_frame_id - 100_000),),
        )
    )
    for session_id, mic in db.execute("SELECT session_id, mic FROM taken_mic"):
        state.resets.setdefault(session_id, Reset()).mics += mic
    for session_id, before in db.execute("SELECT session_id, before FROM f_cnt_reset"):
        state.resets.setdefault(session_id, Reset()).before = before
    waiting = _not_handed_over(state, db, source)
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


def _devices(state: NetworkState, db: sqlite3.Connection, steps: int) -> JournalSource:
    """Only who there is; a device and its sessions are read when they are first needed."""
    own = sqlite3.connect(
        f"file:{quote(db.execute('PRAGMA database_list').fetchone()[2])}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=16,
    )
    own.execute("PRAGMA cache_size = -32768")
    source = JournalSource(state, own, steps)
    state.devices.source = state.devices_by_id.source = source
    state.sessions.load = state.devices_by_id.get
    count, last_id = db.execute("SELECT count(*), coalesce(max(id), 0) FROM device").fetchone()
    state.devices.count_stored(count)
    state.sessions.know_stored(db.execute("SELECT dev_addr, device_id FROM session WHERE ended = 0"))
    # A deleted device's frames stay in the log: its number is nobody else's.
    (in_log,) = db.execute("SELECT coalesce(max(device_id), 0) FROM frame").fetchone()
    state.last_device_id = max(state.last_device_id, in_log, last_id)
    _check_key(state, db)
    return source


def _check_key(state: NetworkState, db: sqlite3.Connection) -> None:
    """One session shows whether the key-encryption key is the right one. Raises StateError."""
    row = db.execute("SELECT sealed_keys, lorawan_1_1 FROM session LIMIT 1").fetchone()
    if row is None:
        return
    try:
        state.keys.unseal(row[0], bool(row[1]))
    except FrameError as error:
        raise StateError(
            f"the key-encryption key does not open the session keys in network.db ({error}): "
            "put the kek file that belongs to this data folder back"
        ) from error


def _listeners(state: NetworkState, db: sqlite3.Connection) -> None:
    for device_id, gateways in db.execute("SELECT device_id, gateways FROM listener"):
        device = state.devices_by_id.get(device_id)
        if device is not None:
            device.listener = Listener()
            device.listener.unpack(gateways)


def _queue(state: NetworkState, db: sqlite3.Connection, now: Now) -> None:
    rows = db.execute(
        "SELECT dev_eui, id, seq, f_port, data, confirmed, created_at_us, expires_at_us, attempts, at_most_once,"
        " state, reason, f_cnt_down, session_id, attempts_made, not_before_us, encrypted_f_cnt"
        " FROM queue_item WHERE state IN ('queued', 'scheduled', 'sent', 'unknown') ORDER BY seq"
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
            state.expiries.add(device, item)
    state.last_item_seq = db.execute("SELECT coalesce(max(seq), 0) FROM queue_item").fetchone()[0]


def _not_handed_over(state: NetworkState, db: sqlite3.Connection, source: JournalSource) -> list[Gathered]:
    """Frames behind the mark, oldest first: the mark moves in the order of acceptance."""
    waiting = []
    rows = db.execute(
        "SELECT id, kind, time_us, session_id, f_cnt, frequency_hz, datr, phy, detail FROM frame"
        " WHERE id > ? AND kind IN ('up', 'late') ORDER BY id",
        (state.handed_over_id,),
    )
    for id, kind, time_us, session_id, f_cnt, frequency_hz, datr, phy, detail in rows:
        session = source.session(session_id)
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

"""Sessions and the downlink queue of a device."""

from __future__ import annotations

import uuid
from collections import deque

from internalapi import messages as m
from lns.api import parse
from lns.api.devices import known
from lns.api.errors import Refused, invalid, not_found
from lns.clock import system_now
from lns.downlink.queue import Item, ItemState, drop_closed
from lns.lifecycle import end_session, open_session
from lns.network import Network
from lns.session import RadioParameters
from lorawan.counters import LATE_WINDOW
from lorawan.crypto import SessionKeys

MAX_PAYLOAD = 242
MAX_QUEUE = 100
MAX_COUNTER = 1 << 32
ALL_SEEN = (1 << LATE_WINDOW + 1) - 1


async def session(network: Network, request: m.Key) -> m.SessionRecord:
    device = known(network, request.key)
    session = device.session or device.pending
    if session is None:
        raise not_found("session of device", request.key)
    plan = network.state.plan
    channels = [channel.frequency_hz for channel in plan.default_channels]
    return m.SessionRecord(
        dev_eui=device.dev_eui_text,
        dev_addr=f"{session.dev_addr:08x}",
        mac_version="1.1" if session.lorawan_1_1 else "1.0",
        activated_at_us=session.activated_at_us,
        confirmed_by_uplink=session.confirmed,
        f_cnt_up=session.f_cnt_up - 1 if session.f_cnt_up else None,
        f_cnt_down=session.n_f_cnt_down,
        a_f_cnt_down=session.a_f_cnt_down,
        rx1_delay_s=session.radio.rx1_delay_s,
        rx1_dr_offset=session.radio.rx1_dr_offset,
        rx2_dr=session.radio.rx2_dr,
        rx2_frequency_hz=session.radio.rx2_frequency_hz,
        channels_hz=channels + [hz for hz in session.radio.channels_hz if hz],
        dr=session.dr,
        tx_power_index=session.tx_power,
        nb_trans=session.nb_trans,
        adr_reason=session.adr_reason,
    )


async def session_put(network: Network, request: m.SessionWrite) -> m.Ok:
    """Set a session from outside: an ABP device, or one taken over from another server."""
    device = known(network, request.dev_eui)
    state = network.state
    dev_addr = parse.dev_addr(request.dev_addr)
    app_s_key = parse.key(request.app_s_key, "app_s_key")
    if device.profile.lorawan_1_1 and not request.nwk_s_key:
        keys = SessionKeys(
            parse.key(request.f_nwk_s_int_key, "f_nwk_s_int_key"),
            parse.key(request.s_nwk_s_int_key, "s_nwk_s_int_key"),
            parse.key(request.nwk_s_enc_key, "nwk_s_enc_key"),
            app_s_key,
            lorawan_1_1=True,
        )
    else:
        keys = SessionKeys.for_1_0(parse.key(request.nwk_s_key, "nwk_s_key"), app_s_key)
    for name in ("f_cnt_up", "f_cnt_down", "a_f_cnt_down"):
        if not 0 <= getattr(request, name) <= MAX_COUNTER:
            raise invalid(f"{name}: the next value of a 32-bit counter", name)
    plan = state.plan
    radio = RadioParameters(
        plan.receive_delay1_s
        if device.activation == "ABP"
        else max(device.profile.rx1_delay_s, state.settings.rx1_delay_s),
        0,
        plan.rx2_dr,
        plan.rx2_frequency_hz,
        state.extra_channels_hz,
    )
    for session in device.sessions:
        end_session(state, session)
    fresh = open_session(state, device, dev_addr, keys, radio, system_now().wall_us)
    fresh.f_cnt_up, fresh.n_f_cnt_down, fresh.a_f_cnt_down = request.f_cnt_up, request.f_cnt_down, request.a_f_cnt_down
    # What was counted elsewhere may have been heard there: none of it is late data here.
    fresh.window = ALL_SEEN >> max(0, LATE_WINDOW + 1 - fresh.f_cnt_up)
    fresh.confirmed = True
    device.session, device.pending, device.mac = fresh, None, None
    await network.durable()
    return m.Ok()


async def session_delete(network: Network, request: m.Key) -> m.Ok:
    device = known(network, request.key)
    for session in device.sessions:
        end_session(network.state, session)
    await network.durable()
    return m.Ok()


async def queue(network: Network, request: m.Key) -> m.QueuePage:
    """The device's items, newest first, closed ones included."""
    device = known(network, request.key)
    rows = await network.read(
        lambda db: db.execute(
            "SELECT id, f_port, data, confirmed, state, reason, created_at_us, expires_at_us, f_cnt_down FROM queue_item"
            " WHERE dev_eui = ? ORDER BY seq DESC LIMIT 200",
            (device.dev_eui.to_bytes(8, "big"),),
        ).fetchall()
    )
    return m.QueuePage(
        [
            m.QueueItem(id, device.dev_eui_text, port, data, bool(conf), state, reason, created, expires, f_cnt)
            for id, port, data, conf, state, reason, created, expires, f_cnt in rows
        ]
    )


async def queue_put(network: Network, request: m.QueueWrite) -> m.QueueItem:
    """Queue an item; the same Idempotency-Key again gives the item that it made."""
    async with network.queue_lock:
        return await _queue_put(network, request)


async def _queue_put(network: Network, request: m.QueueWrite) -> m.QueueItem:
    device = known(network, request.dev_eui)
    state, now = network.state, system_now()
    if not 1 <= request.f_port <= 223:
        raise invalid("f_port: 1 to 223", "f_port")
    if len(request.data) > MAX_PAYLOAD:
        raise invalid(f"data: {len(request.data)} bytes, LoRaWAN carries at most {MAX_PAYLOAD}", "data")
    if request.expires_at_us is not None and request.expires_at_us <= now.wall_us:
        raise invalid("expires_at: it is in the past", "expires_at_us")
    if request.idempotency_key:
        before = await _by_idempotency_key(network, device.dev_eui, request.idempotency_key)
        if before is not None:
            if (before.f_port, before.data, before.confirmed) != (request.f_port, request.data, request.confirmed):
                raise Refused("conflict", "this Idempotency-Key was used for another item", "idempotency_key")
            return before
    if device.queue is not None and len(device.queue) >= MAX_QUEUE:
        raise Refused("conflict", f"the queue of {device.dev_eui_text} holds {MAX_QUEUE} items already; delete some")
    state.last_item_seq += 1
    item = Item(
        str(uuid.uuid4()),
        state.last_item_seq,
        device.dev_eui,
        request.f_port,
        request.data,
        request.confirmed,
        now.wall_us,
        request.expires_at_us,
    )
    state.batch.operations.append(
        (
            "item_add",
            (
                item.seq,
                item.id,
                device.dev_eui.to_bytes(8, "big"),
                item.f_port,
                item.data,
                item.confirmed,
                item.state.value,
                item.reason,
                item.created_at_us,
                item.expires_at_us,
                request.idempotency_key or None,
            ),
        )
    )
    if device.queue is None:
        device.queue = deque()
    device.queue.append(item)
    network.engine.queue_changed(device)
    await network.durable()
    return _item(item)


async def _by_idempotency_key(network: Network, dev_eui: int, key: str) -> m.QueueItem | None:
    row = await network.read(
        lambda db: db.execute(
            "SELECT id, f_port, data, confirmed, state, reason, created_at_us, expires_at_us, f_cnt_down FROM queue_item"
            " WHERE dev_eui = ? AND idempotency_key = ?",
            (dev_eui.to_bytes(8, "big"), key),
        ).fetchone()
    )
    if row is None:
        return None
    id, port, data, confirmed, state, reason, created, expires, f_cnt = row
    return m.QueueItem(id, f"{dev_eui:016x}", port, data, bool(confirmed), state, reason, created, expires, f_cnt)


async def queue_delete(network: Network, request: m.Key) -> m.Ok:
    """Cancel what is still queued; what has been handed to a gateway goes its way."""
    device = known(network, request.key)
    for item in list(device.queue or ()):
        if item.state is ItemState.QUEUED:
            item.move(ItemState.CANCELLED, "cancelled before it was sent")
            network.state.batch.operations.append(("item_state", item.row()))
    drop_closed(device)
    await network.durable()
    return m.Ok()


def _item(item: Item) -> m.QueueItem:
    return m.QueueItem(
        item.id,
        f"{item.dev_eui:016x}",
        item.f_port,
        item.data,
        item.confirmed,
        item.state.value,
        item.reason,
        item.created_at_us,
        item.expires_at_us,
        item.f_cnt_down,
    )

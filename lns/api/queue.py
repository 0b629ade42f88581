"""The downlink queue of a device."""

from __future__ import annotations

import sqlite3
import uuid
from collections import deque
from typing import Any

from internalapi import messages as m
from lns.api.devices import known
from lns.api.errors import Refused, invalid
from lns.clock import system_now
from lns.downlink.expiry import expire
from lns.downlink.queue import MAX_ATTEMPTS, Item, ItemState, drop_closed
from lns.network import Network
from lorawan.counters import MAX_F_CNT

MAX_PAYLOAD = 242
MAX_QUEUE = 100
COLUMNS = (
    "id, f_port, data, confirmed, state, reason, created_at_us, expires_at_us, f_cnt_down, attempts, at_most_once,"
    " attempts_made"
)


async def queue(network: Network, request: m.Key) -> m.QueuePage:
    """The device's items, newest first, closed ones included."""
    device = known(network, request.key)

    def items(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return db.execute(
            f"SELECT {COLUMNS} FROM queue_item WHERE dev_eui = ? ORDER BY seq DESC LIMIT 200",
            (device.dev_eui.to_bytes(8, "big"),),
        ).fetchall()

    return m.QueuePage([_of_row(device.dev_eui_text, row) for row in await network.read(items)])


async def queue_put(network: Network, request: m.QueueWrite) -> m.QueueItem:
    """Queue an item; the same Idempotency-Key again gives the item that it made."""
    async with network.queue_lock:
        return await _queue_put(network, request)


async def _queue_put(network: Network, request: m.QueueWrite) -> m.QueueItem:
    device = known(network, request.dev_eui)
    state, now = network.state, system_now()
    check(request, now.wall_us)
    if request.idempotency_key:
        before = await _by_idempotency_key(network, device.dev_eui, request.idempotency_key)
        if before is not None:
            same = ("f_port", "data", "confirmed", "at_most_once")
            if any(getattr(before, name) != getattr(request, name) for name in same):
                raise Refused("conflict", "this Idempotency-Key was used for another item", "idempotency_key")
            return before
    expire(state, device, now.wall_us)
    if device.queue is not None and len(device.queue) >= MAX_QUEUE:
        raise Refused("conflict", f"the queue of {device.dev_eui_text} holds {MAX_QUEUE} items already; delete some")
    session = device.session or device.pending
    if session is not None and session.is_end_to_end and request.encrypted_f_cnt is None:
        raise invalid(
            "encrypted_f_cnt: only the application has this device's AppSKey; encrypt the data and give its FCntDown",
            "encrypted_f_cnt",
        )
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
        (request.attempts or device.profile.confirmed_attempts) if request.confirmed else 1,
        request.at_most_once,
        request.encrypted_f_cnt,
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
                item.attempts,
                item.at_most_once,
                item.encrypted_f_cnt,
            ),
        )
    )
    if device.queue is None:
        device.queue = deque()
    device.queue.append(item)
    state.expiries.add(device, item)
    network.engine.queue_changed(device)
    await network.durable()
    return _of_item(item)


def check(request: m.QueueWrite, wall_us: int) -> None:
    """Raise Refused for an item that LoRaWAN or good sense does not allow."""
    if not 1 <= request.f_port <= 223:
        raise invalid("f_port: 1 to 223", "f_port")
    if len(request.data) > MAX_PAYLOAD:
        raise invalid(f"data: {len(request.data)} bytes, LoRaWAN carries at most {MAX_PAYLOAD}", "data")
    if request.expires_at_us is not None and request.expires_at_us <= wall_us:
        raise invalid("expires_at: it is in the past", "expires_at_us")
    if isinstance(request, m.QueueWrite):
        if request.confirmed and request.at_most_once:
            raise invalid(
                "at_most_once: a confirmed item is sent again until it is acknowledged; ask for one of the two",
                "at_most_once",
            )
        if request.encrypted_f_cnt is not None and not 0 <= request.encrypted_f_cnt <= MAX_F_CNT:
            raise invalid("encrypted_f_cnt: a 32-bit FCntDown", "encrypted_f_cnt")
        if request.encrypted_f_cnt is not None and request.confirmed and request.attempts != 1:
            raise invalid("attempts: encrypted data is good for one frame only; ask for 1", "attempts")
        if request.attempts is not None and not 1 <= request.attempts <= MAX_ATTEMPTS:
            raise invalid(f"attempts: 1 to {MAX_ATTEMPTS}", "attempts")
        if request.attempts is not None and not request.confirmed:
            raise invalid("attempts: only a confirmed item is tried again", "attempts")


async def _by_idempotency_key(network: Network, dev_eui: int, key: str) -> m.QueueItem | None:
    row = await network.read(
        lambda db: db.execute(
            f"SELECT {COLUMNS} FROM queue_item WHERE dev_eui = ? AND idempotency_key = ?",
            (dev_eui.to_bytes(8, "big"), key),
        ).fetchone()
    )
    return None if row is None else _of_row(f"{dev_eui:016x}", row)


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


def _of_row(dev_eui: str, row: tuple[Any, ...]) -> m.QueueItem:
    id, port, data, confirmed, state, reason, created, expires, f_cnt, attempts, at_most_once, made = row
    return m.QueueItem(
        id,
        dev_eui,
        port,
        data,
        bool(confirmed),
        state,
        reason,
        created,
        expires,
        f_cnt,
        attempts,
        bool(at_most_once),
        made,
    )


def _of_item(item: Item) -> m.QueueItem:
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
        item.attempts,
        item.at_most_once,
        item.attempts_made,
    )

"""Read the multicast groups and their queues into the server's memory at start."""

from __future__ import annotations

import json
import sqlite3

from lns.downlink.queue import Item, ItemState
from lns.multicast.group import Group
from lns.state import NetworkState
from lns.store.embedded.restored import F_CNT_SKIP
from lorawan.identifiers import DevAddr


def load_groups(state: NetworkState, db: sqlite3.Connection, steps: int) -> None:
    """Fill ``state.groups``. ``steps``: restores since the file was written; counters go ahead and what waits is cancelled."""
    rows = db.execute(
        "SELECT id, mc_addr, sealed_keys, device_class, name, dr, frequency_hz, ping_periodicity, f_cnt_down, gateways,"
        " created_at_us FROM multicast_group"
    )
    for id, mc_addr, sealed_keys, device_class, name, dr, hz, periodicity, f_cnt_down, gateways, created in rows:
        group = state.groups[id] = Group(id, DevAddr(mc_addr), sealed_keys, device_class)
        group.name, group.dr, group.frequency_hz, group.ping_periodicity = name, dr, hz, periodicity
        group.f_cnt_down, group.created_at_us = f_cnt_down, created
        group.gateways = tuple(int(eui, 16) for eui in json.loads(gateways))
        if steps:
            group.f_cnt_down += steps * F_CNT_SKIP
            state.batch.operations.append(("group_counter", (group.f_cnt_down, id)))
    for id, dev_eui in db.execute("SELECT group_id, dev_eui FROM multicast_member"):
        if id in state.groups:
            state.groups[id].members.add(int.from_bytes(dev_eui, "big"))
    _items(state, db, steps)


def _items(state: NetworkState, db: sqlite3.Connection, steps: int) -> None:
    rows = db.execute(
        "SELECT group_id, id, seq, f_port, data, created_at_us, expires_at_us, state, reason, f_cnt_down"
        " FROM multicast_item WHERE state IN ('queued', 'scheduled') ORDER BY seq"
    )
    for group_id, id, seq, f_port, data, created, expires, item_state, reason, f_cnt_down in rows:
        group = state.groups.get(group_id)
        if group is None:
            continue
        item = Item(id, seq, 0, f_port, data, False, created, expires)
        item.state, item.reason, item.f_cnt_down = ItemState(item_state), reason, f_cnt_down
        if item.state is ItemState.SCHEDULED:
            item.move(ItemState.UNKNOWN, "the server stopped while gateways were sending it; some may not have")
        elif steps:
            item.move(ItemState.CANCELLED, "the server was restored from a backup: this may have been sent since")
        else:
            group.queue.append(item)
            continue
        state.batch.operations.append(("group_item_state", (item.state.value, item.reason, item.f_cnt_down, item.id)))
    (last_seq,) = db.execute("SELECT coalesce(max(seq), 0) FROM multicast_item").fetchone()
    state.last_item_seq = max(state.last_item_seq, last_seq)

"""Multicast groups, their members and their queues. The keys can be written and never read."""

from __future__ import annotations

import json
import sqlite3
import uuid
from typing import Any

from msgspec import UNSET

from internalapi import messages as m
from lns.api import parse
from lns.api.devices import known
from lns.api.errors import Refused, invalid, not_found
from lns.api.queue import MAX_PAYLOAD, MAX_QUEUE
from lns.clock import system_now
from lns.downlink.listener import class_of
from lns.downlink.queue import Item, ItemState
from lns.multicast.coverage import coverage
from lns.multicast.group import Group
from lns.network import Network
from lorawan.counters import MAX_F_CNT
from lorawan.crypto import SessionKeys
from regional import PlanError

MAX_NAME = 200
COLUMNS = "id, f_port, data, state, reason, created_at_us, expires_at_us, f_cnt_down"


async def groups(network: Network, request: m.ListRequest) -> m.GroupPage:
    limit, q = parse.limit(request.limit), request.q.lower()
    found = sorted(
        (
            group
            for group in network.state.groups.values()
            if group.id > request.cursor and (q in group.name.lower() or q in f"{group.mc_addr:08x}" or q in group.id)
        ),
        key=lambda group: group.id,
    )
    page = found[:limit]
    return m.GroupPage([_record(network, group) for group in page], page[-1].id if len(found) > limit else None)


async def group(network: Network, request: m.Key) -> m.GroupRecord:
    return _record(network, _known(network, request.key))


async def group_put(network: Network, request: m.GroupWrite) -> m.GroupRecord:
    """Make a group (empty ``id``) or change one. New keys or another address begin with the counter that is given."""
    state, now = network.state, system_now()
    before = _known(network, request.id) if request.id else None
    mc_addr, gateways = _checked(network, request)
    if any(one is not before and one.mc_addr == mc_addr for one in state.groups.values()):
        raise Refused("conflict", f"another group has the address {mc_addr:08x}", "mc_addr")
    group = before
    if group is None:
        keys = SessionKeys.for_1_0(_key(request, "mc_nwk_s_key"), _key(request, "mc_app_s_key"))
        group = Group(str(uuid.uuid4()), mc_addr, state.keys.seal(keys), request.device_class)
        group.created_at_us = now.wall_us
        state.groups[group.id] = group
    else:
        _rekey(network, group, request, mc_addr)
    if request.f_cnt_down is not UNSET:
        group.f_cnt_down = request.f_cnt_down
    group.name, group.device_class = request.name, request.device_class
    group.dr, group.frequency_hz = request.dr, request.frequency_hz
    group.ping_periodicity, group.gateways = request.ping_periodicity, gateways
    _keep(network, group)
    network.engine.multicast.wake(group)
    await network.durable()
    return _record(network, group)


def _checked(network: Network, request: m.GroupWrite) -> tuple[Any, tuple[int, ...]]:
    """The address and the gateways of a request that says nothing impossible."""
    plan = network.state.plan
    if not request.name or len(request.name) > MAX_NAME:
        raise invalid(f"name: 1 to {MAX_NAME} characters", "name")
    if request.device_class not in ("B", "C"):
        raise invalid("device_class: B or C; devices of class A hear no multicast", "device_class")
    try:
        plan.data_rate(request.dr, downlink=True)
    except PlanError as error:
        raise invalid(f"dr: {error}", "dr") from None
    by_region = request.device_class == "B" and request.frequency_hz == 0
    if not by_region and not _is_in_band(network, request.frequency_hz):
        raise invalid(f"frequency_hz: {request.frequency_hz} Hz is outside {plan.name}", "frequency_hz")
    if not 0 <= request.ping_periodicity <= 7:
        raise invalid("ping_periodicity: 0 (every second) to 7 (every 128 s)", "ping_periodicity")
    if request.f_cnt_down is not UNSET and not 0 <= request.f_cnt_down <= MAX_F_CNT:
        raise invalid("f_cnt_down: the next value of a 32-bit counter", "f_cnt_down")
    gateways = tuple(int(parse.eui(text, "gateways")) for text in request.gateways)
    for eui in gateways:
        if network.state.gateways.get(eui) is None:
            raise invalid(f"gateways: {eui:016x} is not registered", "gateways")
    return parse.dev_addr(request.mc_addr), gateways


def _is_in_band(network: Network, frequency_hz: int) -> bool:
    bands = network.state.plan.sub_bands
    if not bands:
        return frequency_hz > 0
    return network.state.plan.sub_band(frequency_hz) is not None


def _key(request: m.GroupWrite, name: str) -> bytes:
    text = getattr(request, name)
    if text is UNSET:
        raise invalid(f"{name}: is required for a new group", name)
    return parse.key(text, name)


def _rekey(network: Network, group: Group, request: m.GroupWrite, mc_addr: Any) -> None:
    """Other keys or another address: what is in the air with the old ones is not continued."""
    state = network.state
    old = state.keys.unseal(group.sealed_keys, lorawan_1_1=False)
    nwk, app = request.mc_nwk_s_key, request.mc_app_s_key
    keys = SessionKeys.for_1_0(
        old.nwk_s_enc_key if nwk is UNSET else parse.key(nwk, "mc_nwk_s_key"),
        old.app_s_key if app is UNSET else parse.key(app, "mc_app_s_key"),
    )
    lowered = request.f_cnt_down is not UNSET and request.f_cnt_down < group.f_cnt_down
    if lowered and keys.shares_any(old):
        why = f"the members have heard {group.f_cnt_down - 1}; a lower counter needs new keys, other ones than the group has"
        raise invalid(f"f_cnt_down: {why}", "f_cnt_down")
    if keys != old or group.mc_addr != mc_addr:
        group.sealed_keys, group.mc_addr, group.cipher = state.keys.seal(keys), mc_addr, None


def _keep(network: Network, group: Group) -> None:
    network.state.batch.operations.append(
        (
            "group_put",
            (
                group.id,
                group.name,
                int(group.mc_addr),
                group.sealed_keys,
                group.device_class,
                group.dr,
                group.frequency_hz,
                group.ping_periodicity,
                group.f_cnt_down,
                json.dumps([f"{eui:016x}" for eui in group.gateways]),
                group.created_at_us,
            ),
        )
    )


async def group_delete(network: Network, request: m.Key) -> m.Ok:
    group = _known(network, request.key)
    del network.state.groups[group.id]
    operations = network.state.batch.operations
    operations += [(name, (group.id,)) for name in ("group_delete", "group_members_delete", "group_items_delete")]
    await network.durable()
    return m.Ok()


async def group_members_put(network: Network, request: m.GroupMembers) -> m.GroupRecord:
    """Add and remove members."""
    group = _known(network, request.group)
    added = [known(network, text) for text in request.add]
    removed = [int(parse.eui(text, "remove")) for text in request.remove]
    for device in added:
        if device.profile.device_class == "A" and class_of(device) == "A":
            why = f"{device.dev_eui_text} is of class A by its profile {device.profile.name} and hears no multicast"
            raise Refused("conflict", why, "add")
    operations = network.state.batch.operations
    for device in added:
        group.members.add(device.dev_eui)
        operations.append(("member_add", (group.id, device.dev_eui.to_bytes(8, "big"))))
    for dev_eui in removed:
        group.members.discard(dev_eui)
        operations.append(("member_delete", (group.id, dev_eui.to_bytes(8, "big"))))
    network.engine.multicast.wake(group)
    await network.durable()
    return _record(network, group)


async def group_members(network: Network, request: m.Key) -> m.GroupMemberList:
    group = _known(network, request.key)
    return m.GroupMemberList([f"{dev_eui:016x}" for dev_eui in sorted(group.members)])


async def group_queue(network: Network, request: m.Key) -> m.GroupQueuePage:
    """The group's items, newest first, closed ones included."""
    group = _known(network, request.key)

    def items(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return db.execute(
            f"SELECT {COLUMNS} FROM multicast_item WHERE group_id = ? ORDER BY seq DESC LIMIT 200", (group.id,)
        ).fetchall()

    return m.GroupQueuePage([_of_row(group.id, row) for row in await network.read(items)])


async def group_queue_put(network: Network, request: m.GroupQueueWrite) -> m.GroupItem:
    """Queue an item; the same Idempotency-Key again gives the item that it made."""
    async with network.queue_lock:
        return await _queue_put(network, request)


async def _queue_put(network: Network, request: m.GroupQueueWrite) -> m.GroupItem:
    group = _known(network, request.group)
    state, now = network.state, system_now()
    if not 1 <= request.f_port <= 223:
        raise invalid("f_port: 1 to 223", "f_port")
    if len(request.data) > MAX_PAYLOAD:
        raise invalid(f"data: {len(request.data)} bytes, LoRaWAN carries at most {MAX_PAYLOAD}", "data")
    limit = state.plan.max_mac_payload(group.dr, downlink=True) - 8
    if len(request.data) > limit:
        raise invalid(f"data: {len(request.data)} bytes, but at the group's DR{group.dr} at most {limit} fit", "data")
    if request.expires_at_us is not None and request.expires_at_us <= now.wall_us:
        raise invalid("expires_at: it is in the past", "expires_at_us")
    if request.idempotency_key:
        row = await network.read(
            lambda db: db.execute(
                f"SELECT {COLUMNS} FROM multicast_item WHERE group_id = ? AND idempotency_key = ?",
                (group.id, request.idempotency_key),
            ).fetchone()
        )
        if row is not None:
            if (row[1], row[2]) != (request.f_port, request.data):
                raise Refused("conflict", "this Idempotency-Key was used for another item", "idempotency_key")
            return _of_row(group.id, row)
    if not group.members and not group.gateways:
        raise Refused("conflict", f"group {group.name} has neither members nor chosen gateways: nobody would send it")
    if len(group.queue) >= MAX_QUEUE:
        raise Refused("conflict", f"the queue of group {group.name} holds {MAX_QUEUE} items already; delete some")
    state.last_item_seq += 1
    item = Item(
        str(uuid.uuid4()),
        state.last_item_seq,
        0,
        request.f_port,
        request.data,
        False,
        now.wall_us,
        request.expires_at_us,
    )
    group.queue.append(item)
    key = request.idempotency_key or None
    values = (item.state.value, item.reason, item.created_at_us, item.expires_at_us, key)
    state.batch.operations.append(("group_item_add", (item.seq, item.id, group.id, item.f_port, item.data, *values)))
    network.engine.multicast.wake(group)
    await network.durable()
    return _of_item(group.id, item)


async def group_queue_delete(network: Network, request: m.Key) -> m.Ok:
    """Cancel what is still queued; what gateways are sending goes its way."""
    group = _known(network, request.key)
    for item in list(group.queue):
        if item.state is ItemState.QUEUED:
            item.move(ItemState.CANCELLED, "cancelled before it was sent")
            group.queue.remove(item)
            row = (item.state.value, item.reason, item.f_cnt_down, item.id)
            network.state.batch.operations.append(("group_item_state", row))
    await network.durable()
    return m.Ok()


def _known(network: Network, id: str) -> Group:
    group = network.state.groups.get(id)
    if group is None:
        raise not_found("multicast group", id)
    return group


def _record(network: Network, group: Group) -> m.GroupRecord:
    way = coverage(network.state, group)
    return m.GroupRecord(
        id=group.id,
        name=group.name,
        mc_addr=f"{group.mc_addr:08x}",
        device_class=group.device_class,
        dr=group.dr,
        frequency_hz=group.frequency_hz,
        ping_periodicity=group.ping_periodicity,
        f_cnt_down=group.f_cnt_down,
        gateways=[f"{eui:016x}" for eui in group.gateways],
        created_at_us=group.created_at_us,
        members=len(group.members),
        queued=len(group.queue),
        gateways_now=[gateway.eui_text for gateway in way.gateways],
        unreached=way.unreached,
    )


def _of_row(group_id: str, row: tuple[Any, ...]) -> m.GroupItem:
    id, f_port, data, state, reason, created, expires, f_cnt = row
    return m.GroupItem(id, group_id, f_port, data, state, reason, created, expires, f_cnt)


def _of_item(group_id: str, item: Item) -> m.GroupItem:
    return m.GroupItem(
        item.id,
        group_id,
        item.f_port,
        item.data,
        item.state.value,
        item.reason,
        item.created_at_us,
        item.expires_at_us,
        item.f_cnt_down,
    )

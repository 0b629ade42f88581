"""Multicast groups of the network process in memory."""

from __future__ import annotations

import uuid
from typing import Any

from msgspec import UNSET

from internalapi import messages as m
from internalapi.client import ApiError


def _refuse(status: int, code: str, detail: str) -> ApiError:
    return ApiError(status, m.Problem(code, detail, None))


class MemoryGroups:
    """The methods of ``MemoryNetwork`` that concern groups."""

    now_us: int
    device_table: dict[str, m.DeviceRecord]

    def __init__(self) -> None:
        self.group_table: dict[str, m.GroupRecord] = {}
        self.group_keys: dict[str, dict[str, Any]] = {}
        self.member_table: dict[str, set[str]] = {}
        self.group_items: dict[str, list[m.GroupItem]] = {}

    def _group(self, id: str) -> m.GroupRecord:
        if id not in self.group_table:
            raise _refuse(404, "not_found", f"multicast group {id} does not exist")
        return self.group_table[id]

    def do_groups(self, r: m.ListRequest) -> m.GroupPage:
        found = [g for id, g in sorted(self.group_table.items()) if id > r.cursor and r.q.lower() in g.name.lower()]
        return m.GroupPage(found[: r.limit], found[r.limit - 1].id if len(found) > r.limit else None)

    def do_group(self, r: m.Key) -> m.GroupRecord:
        return self._group(r.key)

    def do_group_put(self, r: m.GroupWrite) -> m.GroupRecord:
        before = self._group(r.id) if r.id else None
        if before is None and UNSET in (r.mc_nwk_s_key, r.mc_app_s_key):
            raise _refuse(422, "invalid", "mc_nwk_s_key: is required for a new group")
        if any(g.mc_addr == r.mc_addr and g is not before for g in self.group_table.values()):
            raise _refuse(409, "conflict", f"another group has the address {r.mc_addr}")
        id = r.id or str(uuid.uuid4())
        self.group_keys.setdefault(id, {}).update(
            {name: getattr(r, name) for name in ("mc_nwk_s_key", "mc_app_s_key") if getattr(r, name) is not UNSET}
        )
        members = self.member_table.setdefault(id, set())
        self.group_table[id] = m.GroupRecord(
            id=id,
            name=r.name,
            mc_addr=r.mc_addr,
            device_class=r.device_class,
            dr=r.dr,
            frequency_hz=r.frequency_hz,
            ping_periodicity=r.ping_periodicity,
            f_cnt_down=(before.f_cnt_down if before else 0) if r.f_cnt_down is UNSET else r.f_cnt_down,
            gateways=r.gateways,
            created_at_us=before.created_at_us if before else self.now_us,
            members=len(members),
            queued=len(self.group_items.setdefault(id, [])),
            gateways_now=r.gateways,
            unreached=len(members),
        )
        return self.group_table[id]

    def do_group_delete(self, r: m.Key) -> m.Ok:
        del self.group_table[self._group(r.key).id]
        return m.Ok()

    def do_group_members(self, r: m.Key) -> m.GroupMemberList:
        return m.GroupMemberList(sorted(self.member_table[self._group(r.key).id]))

    def do_group_members_put(self, r: m.GroupMembers) -> m.GroupRecord:
        group = self._group(r.group)
        for dev_eui in r.add:
            if dev_eui not in self.device_table:
                raise _refuse(404, "not_found", f"device {dev_eui} does not exist")
        self.member_table[group.id] |= set(r.add)
        self.member_table[group.id] -= set(r.remove)
        group.members = len(self.member_table[group.id])
        return group

    def do_group_queue(self, r: m.Key) -> m.GroupQueuePage:
        return m.GroupQueuePage(list(reversed(self.group_items[self._group(r.key).id])))

    def do_group_queue_put(self, r: m.GroupQueueWrite) -> m.GroupItem:
        group = self._group(r.group)
        item = m.GroupItem(
            str(uuid.uuid4()), group.id, r.f_port, r.data, "queued", "", self.now_us, r.expires_at_us, None
        )
        self.group_items[group.id].append(item)
        group.queued += 1
        return item

    def do_group_queue_delete(self, r: m.Key) -> m.Ok:
        for item in self.group_items[self._group(r.key).id]:
            if item.state == "queued":
                item.state = "cancelled"
        return m.Ok()

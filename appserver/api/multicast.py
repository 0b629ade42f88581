"""Multicast groups: one downlink for many devices of class B or C. Keys can be written and never read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import (
    Base64,
    DevAddrHex,
    Eui,
    Input,
    Key128,
    Output,
    Page,
    PageQuery,
    RequiredName,
    Time,
    microseconds_of,
    time_of,
)
from appserver.api.problems import Problem, not_found
from appserver.api.router import Api, Call
from internalapi import messages as m
from internalapi.client import ApiError

api = Api("Multicast groups")

GroupId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class GroupBody(Input):
    """What may be said of a group."""

    name: RequiredName
    mc_addr: DevAddrHex
    device_class: Literal["B", "C"] = Field("C", alias="class")
    dr: int = Field(0, ge=0, le=15)
    frequency_hz: int = Field(0, ge=0, le=3_000_000_000)
    """Where the members listen; 0 in class B: the region's ping slot frequency."""
    ping_periodicity: int = Field(7, ge=0, le=7)
    """Class B: a ping slot every 2**n s."""
    fcnt_down: int | None = Field(None, ge=0, le=2**32 - 1)
    """Next FCntDown; without it unchanged, or 0 for a new group."""
    gateways: list[Eui] = Field(default_factory=list, max_length=1000)
    """Gateways that send; none: the fewest that reach all members."""


class NewGroup(GroupBody):
    """A group to make."""

    mc_nwk_s_key: Key128
    mc_app_s_key: Key128


class ChangedGroup(GroupBody):
    """All that may change; keys that are left out stay."""

    mc_nwk_s_key: Key128 | None = None
    mc_app_s_key: Key128 | None = None


class Group(Output):
    """A group and what would be done with a frame for it now."""

    id: str
    name: str
    mc_addr: str
    device_class: str = Field(alias="class")
    dr: int
    frequency_hz: int
    ping_periodicity: int
    fcnt_down: int
    gateways: list[str]
    created_at: Time
    members: int
    queued: int
    gateways_now: list[str]
    """The chosen gateways, or the fewest that reach all members: those with a path to them."""
    unreached: int
    """Members that none of these is known to reach."""


class GroupPath(Input):
    id: GroupId


class MemberPath(Input):
    id: GroupId
    dev_eui: Eui


class Member(Output):
    """A device in a group."""

    dev_eui: str


class NewMember(Input):
    """A device to add."""

    dev_eui: Eui


class GroupItem(Output):
    """An item of a group's queue; ``state`` is where it is, ``reason`` says why."""

    id: str
    f_port: int
    data: Base64
    state: str
    reason: str
    created_at: Time
    expires_at: Time | None
    fcnt_down: int | None


class NewGroupItem(Input):
    """Bytes for all members."""

    f_port: int = Field(ge=1, le=223)
    data: Annotated[Base64, Field(max_length=242)]
    expires_at: Time | None = None


def group_view(record: m.GroupRecord) -> Group:
    """The API's form of a group."""
    same = {name: getattr(record, name) for name in _SAME_NAME}
    return Group.model_construct(**same, created_at=time_of(record.created_at_us), fcnt_down=record.f_cnt_down)


_SAME_NAME = [name for name in Group.model_fields if name in m.GroupRecord.__struct_fields__]


def item_view(item: m.GroupItem) -> GroupItem:
    """The API's form of an item."""
    return GroupItem.model_construct(
        id=item.id,
        f_port=item.f_port,
        data=item.data,
        state=item.state,
        reason=item.reason,
        created_at=time_of(item.created_at_us),
        expires_at=time_of(item.expires_at_us),
        fcnt_down=item.f_cnt_down,
    )


async def find_group(call: Call, id: str) -> m.GroupRecord:
    """The group, or the 404 that names it."""
    try:
        found: m.GroupRecord = await call.services.network.group(key=id)
    except ApiError as error:
        if error.problem.code == "not_found":
            raise not_found("multicast group", id) from error
        raise
    return found


async def write_group(call: Call, body: GroupBody, id: str = "") -> m.GroupRecord:
    """Make a group, or change the one with this id."""
    given: dict[str, Any] = {
        "mc_nwk_s_key": getattr(body, "mc_nwk_s_key", None),
        "mc_app_s_key": getattr(body, "mc_app_s_key", None),
        "f_cnt_down": body.fcnt_down,
    }
    record: m.GroupRecord = await call.services.network.group_put(
        id=id,
        name=body.name,
        mc_addr=body.mc_addr,
        device_class=body.device_class,
        dr=body.dr,
        frequency_hz=body.frequency_hz,
        ping_periodicity=body.ping_periodicity,
        gateways=body.gateways,
        **{name: value for name, value in given.items() if value is not None},
    )
    await call.audit("multicast.change" if id else "multicast.create", f"multicast/{record.id}", {"name": body.name})
    return record


async def remove_group(call: Call, id: str) -> None:
    """Remove a group; its members stay."""
    await find_group(call, id)
    await call.services.network.group_delete(key=id)
    await call.audit("multicast.delete", f"multicast/{id}")


async def change_members(call: Call, id: str, add: list[str], remove: list[str]) -> m.GroupRecord:
    """Add devices to a group and take others from it."""
    await find_group(call, id)
    record: m.GroupRecord = await call.services.network.group_members_put(group=id, add=add, remove=remove)
    await call.audit("multicast.members", f"multicast/{id}", {"add": add, "remove": remove})
    return record


async def enqueue(call: Call, id: str, body: NewGroupItem, idempotency_key: str = "") -> m.GroupItem:
    """Put an item into the group's queue; the same ``idempotency_key`` gives the same item again."""
    await find_group(call, id)
    item: m.GroupItem = await call.services.network.group_queue_put(
        group=id,
        f_port=body.f_port,
        data=body.data,
        expires_at_us=microseconds_of(body.expires_at) if body.expires_at else None,
        idempotency_key=idempotency_key,
    )
    detail = {"id": item.id, "f_port": body.f_port, "bytes": len(body.data)}
    await call.audit("multicast.queue.add", f"multicast/{id}", detail)
    return item


@api.add("GET", "/multicast-groups", answers=Page[Group], summary="List multicast groups")
async def list_groups(call: Call, query: PageQuery) -> Page[Group]:
    page = await call.services.network.groups(cursor=query.cursor, limit=query.limit, q=query.q)
    return Page(items=[group_view(item) for item in page.items], next_cursor=page.next_cursor)


@api.add("POST", "/multicast-groups", answers=Group, status=201, summary="Make a multicast group")
async def post_group(call: Call, body: NewGroup) -> Group:
    return group_view(await write_group(call, body))


@api.add("GET", "/multicast-groups/{id}", answers=Group, summary="Show a multicast group")
async def get_group(call: Call, path: GroupPath) -> Group:
    return group_view(await find_group(call, path.id))


@api.add("PUT", "/multicast-groups/{id}", answers=Group, summary="Change a multicast group")
async def put_group(call: Call, path: GroupPath, body: ChangedGroup) -> Group:
    await find_group(call, path.id)
    return group_view(await write_group(call, body, path.id))


@api.add("DELETE", "/multicast-groups/{id}", answers=None, status=204, summary="Remove a multicast group")
async def delete_group(call: Call, path: GroupPath) -> None:
    await remove_group(call, path.id)


@api.add("GET", "/multicast-groups/{id}/members", answers=Page[Member], summary="List a group's members")
async def list_members(call: Call, path: GroupPath) -> Page[Member]:
    await find_group(call, path.id)
    members = await call.services.network.group_members(key=path.id)
    return Page(items=[Member.model_construct(dev_eui=dev_eui) for dev_eui in members.dev_euis])


@api.add("POST", "/multicast-groups/{id}/members", answers=Group, status=201, summary="Add a device to a group")
async def post_member(call: Call, path: GroupPath, body: NewMember) -> Group:
    return group_view(await change_members(call, path.id, [body.dev_eui], []))


@api.add(
    "DELETE", "/multicast-groups/{id}/members/{dev_eui}", answers=None, status=204, summary="Take a device from a group"
)
async def delete_member(call: Call, path: MemberPath) -> None:
    await change_members(call, path.id, [], [path.dev_eui])


@api.add("GET", "/multicast-groups/{id}/queue", answers=Page[GroupItem], summary="List a group's downlink queue")
async def list_group_queue(call: Call, path: GroupPath) -> Page[GroupItem]:
    await find_group(call, path.id)
    queue = await call.services.network.group_queue(key=path.id)
    return Page(items=[item_view(item) for item in queue.items])


@api.add(
    "POST",
    "/multicast-groups/{id}/queue",
    answers=GroupItem,
    status=201,
    summary="Queue a downlink for a group",
    headers=("Idempotency-Key",),
)
async def post_group_queue(call: Call, path: GroupPath, body: NewGroupItem) -> GroupItem:
    key = call.request.headers.get("Idempotency-Key", "")
    if len(key) > 200 or not key.isascii() or not key.isprintable():
        raise Problem(422, "Idempotency-Key: at most 200 printable ASCII characters.")
    return item_view(await enqueue(call, path.id, body, key))


@api.add("DELETE", "/multicast-groups/{id}/queue", answers=None, status=204, summary="Empty a group's downlink queue")
async def delete_group_queue(call: Call, path: GroupPath) -> None:
    await find_group(call, path.id)
    await call.services.network.group_queue_delete(key=path.id)
    await call.audit("multicast.queue.empty", f"multicast/{path.id}")

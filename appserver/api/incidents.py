"""Incidents (НС): list, acknowledge, comment; who is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from appserver import incidents as room
from appserver import registry
from appserver.api.fields import Eui, Id, Input, Limit, Name, Output, Page, Search, Text, Time, microseconds_of, time_of
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.incidents import subscriptions as subscribing
from appserver.incidents.store import PLACE
from appserver.integrations.addresses import AllowList
from appserver.metering.readings import read_cursor, write_cursor
from appserver.models import Subscription

api = Api("Incidents")

IncidentKind = Literal[
    "silent_meter",
    "silent_gateway",
    "leak",
    "burst",
    "magnet",
    "opened",
    "reverse_flow",
    "no_flow",
    "device_fault",
    "low_battery",
    "clock",
    "conflict",
    "verification",
    "temperature_graph",
    "imbalance",
    "theft",
]
Layer = Literal["device", "data", "network"]
Severity = Literal["info", "warning", "critical"]


class CommentView(Output):
    """Something said of an incident."""

    at: Time
    author: str
    text: str


class IncidentView(Output):
    """An incident from its start to its end (``ended_at`` null: it holds now)."""

    id: int
    kind: str
    layer: str
    severity: str
    building_id: int | None
    address: str
    premises: str
    point_id: int | None
    resource: str
    meter_id: int | None
    serial: str
    dev_eui: str
    gateway_eui: str
    started_at: Time
    ended_at: Time | None
    seen_at: Time
    evidence: dict[str, Any]
    rule: str
    acknowledged_at: Time | None
    acknowledged_by: str
    comments: list[CommentView]


class IncidentQuery(Input):
    """Filters; what is left out does not filter."""

    kind: IncidentKind | None = None
    layer: Layer | None = None
    severity: Annotated[Severity | None, Field(description="The least")] = None
    state: Annotated[Literal["open", "closed", "new"] | None, Field(description="new: open and not acknowledged")] = (
        None
    )
    building_id: Id | None = None
    meter_id: Id | None = None
    dev_eui: Eui | None = None
    gateway_eui: Eui | None = None
    q: Search = ""
    since: Annotated[Time | None, Field(alias="from", description="Those that held at or after this moment")] = None
    until: Annotated[Time | None, Field(alias="to", description="Those that began before this moment")] = None

    def filter(self, call: Call) -> room.Filter:
        """The same as the store takes it, within what the caller may see."""
        return room.Filter(
            only=call.covered(Operation.incidents, *PLACE),
            kinds=(self.kind,) if self.kind else (),
            layer=self.layer or "",
            severity=self.severity or "",
            state=self.state or "",
            building_id=self.building_id,
            meter_id=self.meter_id,
            dev_eui=self.dev_eui or "",
            gateway_eui=self.gateway_eui or "",
            q=self.q,
            since_us=microseconds_of(self.since) if self.since else None,
            until_us=microseconds_of(self.until) if self.until else None,
        )


class IncidentListQuery(IncidentQuery):
    limit: Limit = 100
    cursor: Annotated[str, Field(max_length=200)] = ""


class NewComment(Input):
    """What to say."""

    text: Text


def view(row: room.IncidentRow) -> IncidentView:
    """An incident as the API shows it."""
    moments: dict[str, datetime | None] = {
        name: time_of(getattr(row, f"{name}_us")) for name in ("started_at", "ended_at", "seen_at", "acknowledged_at")
    }
    plain = {
        name: getattr(row, name) for name in IncidentView.model_fields if name not in moments and name != "comments"
    }
    said = [CommentView(at=time_of(c.at_us), author=c.author, text=c.text) for c in row.comments]
    return IncidentView.model_construct(**plain, **moments, comments=said)


@api.add("GET", "/incidents", answers=Page[IncidentView], summary="List incidents, the newest first")
async def list_incidents(call: Call, query: IncidentListQuery) -> Page[IncidentView]:
    db = call.services.database
    before = None
    if query.cursor:
        started, id_ = read_cursor(query.cursor, 2)
        before = (started, id_)
    rows = await db.run(room.incidents, db, query.filter(call), query.limit + 1, before)
    last = rows[query.limit - 1] if len(rows) > query.limit else None
    cursor = write_cursor((last.started_at_us, last.id)) if last else None
    return Page(items=[view(row) for row in rows[: query.limit]], next_cursor=cursor)


@api.add("GET", "/incidents/counts", answers=dict[str, int], summary="Count open incidents by kind")
async def count_incidents(call: Call, query: IncidentQuery) -> dict[str, int]:
    db = call.services.database
    wanted = query.filter(call) if query.model_fields_set else replace(query.filter(call), state="open")
    return await db.run(room.counts, db, wanted)


@api.add("GET", "/incidents/{id}", answers=IncidentView, summary="Show an incident")
async def get_incident(call: Call, path: IdPath) -> IncidentView:
    db = call.services.database
    return view(await db.run(room.get_incident, db, path.id))


@api.add("POST", "/incidents/{id}/acknowledgement", answers=IncidentView, summary="Acknowledge an incident")
async def acknowledge_incident(call: Call, path: IdPath) -> IncidentView:
    db = call.services.database
    await db.run(room.acknowledge, db, path.id, call.who.name, call.services.clock())
    await call.audit("incident.acknowledge", f"incident/{path.id}")
    return view(await db.run(room.get_incident, db, path.id))


@api.add("POST", "/incidents/{id}/comments", answers=IncidentView, status=201, summary="Comment on an incident")
async def comment_incident(call: Call, path: IdPath, body: NewComment) -> IncidentView:
    db = call.services.database
    await db.run(room.comment, db, path.id, call.who.name, body.text, call.services.clock())
    await call.audit("incident.comment", f"incident/{path.id}")
    return view(await db.run(room.get_incident, db, path.id))


# ------------------------------------------------------------------------------------------------------ subscriptions


class NewSubscription(Input):
    """Who is to be told: a mail address (none: those of all people with ``role``), a webhook that takes Telegram's
    ``sendMessage``, or the pages of a role."""

    channel: Literal["email", "telegram", "page"]
    role: Literal["viewer", "dispatcher", "engineer", "admin"] = "viewer"
    building_id: Id | None = None
    kinds: Annotated[list[IncidentKind], Field(max_length=20, description="Empty: all", default_factory=list)]
    severity: Severity = "info"
    target: Name = ""
    chat: Name = ""
    language: Literal["ru", "en"] = "ru"
    digest_minutes: Annotated[int, Field(ge=0, le=1440)] = 10
    """After a message the next one waits so long and carries all that came up meanwhile; what is critical does not wait."""
    enabled: bool = True


class SubscriptionView(NewSubscription):
    """A subscription and what it was told."""

    id: int
    created_at: Time
    waiting: int
    error: str


def _subscription(call: Call, one: Subscription) -> SubscriptionView:
    waiting, error = call.services.database.rows(
        "SELECT count(*) FILTER (WHERE state = 'pending'), coalesce(max(CASE WHEN state <> 'sent' THEN error END), '')"
        " FROM notice WHERE subscription_id = ?",
        (one.id,),
    )[0]
    plain = {name: getattr(one, name) for name in NewSubscription.model_fields if name != "kinds"}
    return SubscriptionView.model_construct(
        **plain, id=one.id, kinds=one.kinds.split(), created_at=time_of(one.created_at_us), waiting=waiting, error=error
    )


@api.add("GET", "/subscriptions", answers=Page[SubscriptionView], summary="List who is told of incidents")
async def list_subscriptions(call: Call) -> Page[SubscriptionView]:
    db = call.services.database
    return Page(items=await db.run(lambda: [_subscription(call, one) for one in subscribing.subscriptions(db)]))


@api.add("POST", "/subscriptions", answers=SubscriptionView, status=201, summary="Tell somebody of incidents")
async def post_subscription(call: Call, body: NewSubscription) -> SubscriptionView:
    db = call.services.database
    if body.building_id is not None:
        await db.run(registry.get, db, "building", body.building_id)
    values = body.model_dump() | {"kinds": " ".join(dict.fromkeys(body.kinds))}
    allow = AllowList(call.services.settings.webhook_allow)
    one = await db.run(subscribing.add_subscription, db, values, call.services.clock(), allow)
    await call.audit("subscription.create", f"subscription/{one.id}", {"channel": body.channel, "target": body.target})
    return await db.run(_subscription, call, one)


@api.add("DELETE", "/subscriptions/{id}", answers=None, status=204, summary="Tell somebody no more")
async def delete_subscription(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(subscribing.remove_subscription, db, path.id)
    await call.audit("subscription.delete", f"subscription/{path.id}")

"""Which meter hangs where, which channel of which radio module counts it, and until when it is verified."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver import registry
from appserver.api.fields import (
    Day,
    Eui,
    Id,
    Input,
    Limit,
    Name,
    Output,
    Page,
    PageQuery,
    Time,
    Volume,
    microseconds_of,
    time_of,
)
from appserver.api.registry import IdPath, note_of
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.models import Installation as InstallationRow
from appserver.models import ModuleChannel

api = Api("Registry")
EPOCH = date(1970, 1, 1)


class Installation(Output):
    """A meter at a point."""

    id: int
    point_id: int
    meter_id: int
    installed_on: Day
    installed_at: Time
    start_value: Volume
    removed_on: Day | None
    removed_at: Time | None
    end_value: Volume | None
    ratio: Volume
    """Units a unit of the register: that of its transformers."""
    install_act: str
    installed_by: str
    commissioned_on: Day | None
    commission_act: str
    removal_act: str
    removed_by: str
    removal_reason: str


class InstallActs(Input):
    """Papers of an installation; ``commissioned_on`` is the day from which its readings count for charging."""

    install_act: Name = ""
    installed_by: Name = ""
    commissioned_on: Day | None = None
    commission_act: Name = ""


class RemovalActs(Input):
    """Papers of a removal."""

    removal_act: Name = ""
    removed_by: Name = ""
    removal_reason: Name = ""


class Acts(InstallActs, RemovalActs):
    """Papers of an installation and of its removal."""


class NewInstallation(InstallActs):
    """Hang a meter at a point; it counts from ``installed_at``, by default from the start of that day."""

    point_id: Id
    meter_id: Id
    installed_on: Day
    installed_at: Time | None = None
    start_value: Volume
    ratio: Volume = Decimal(1)


class Removal(RemovalActs):
    """Take the meter off with the value of the act."""

    removed_on: Day
    removed_at: Time | None = None
    end_value: Volume


class InstallationQuery(Input):
    """Narrowed by point or meter."""

    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(max_length=200)] = ""
    point_id: Id | None = None
    meter_id: Id | None = None


class NewReplacement(Acts):
    """Put another meter in place of the one that hangs at the point."""

    meter_id: Id
    replaced_on: Day
    replaced_at: Time | None = None
    end_value: Volume
    start_value: Volume
    module: Literal["moves", "stays"] = "moves"
    start_pulses: Volume = Decimal(0)


class Replacement(Output):
    """The old and the new installation."""

    removed: Installation
    installed: Installation


def installation_view(row: InstallationRow) -> Installation:
    """The API's form of an installation."""
    names = [name for name in Installation.model_fields if name in InstallationRow.model_fields]
    return Installation.model_construct(
        **{name: getattr(row, name) for name in names},
        installed_at=time_of(row.installed_at_us),
        removed_at=time_of(row.removed_at_us),
    )


def _facts(body: Input) -> dict[str, Any]:
    """The papers that a body names."""
    return body.model_dump(exclude_unset=True, include=set(Acts.model_fields))


def _at(moment: Any) -> int | None:
    return None if moment is None else microseconds_of(moment)


@api.add("GET", "/installations", answers=Page[Installation], summary="List installations")
async def list_installations(call: Call, query: InstallationQuery) -> Page[Installation]:
    db = call.services.database
    page = await db.run(
        registry.page, db, "installation", only=call.only(Operation.meters, "installation"), **query.model_dump()
    )
    return Page(items=[installation_view(row) for row in page.items], next_cursor=page.next_cursor)


@api.add("POST", "/installations", answers=Installation, status=201, summary="Hang a meter at a point")
async def post_installation(call: Call, body: NewInstallation) -> Installation:
    db = call.services.database
    row = await db.run(
        registry.install,
        db,
        body.point_id,
        body.meter_id,
        body.installed_on,
        body.start_value,
        _at(body.installed_at),
        body.ratio,
        _facts(body),
        note_of(call),
    )
    await call.audit("meter.install", f"meter/{body.meter_id}", {"point_id": body.point_id})
    return installation_view(row)


@api.add("GET", "/installations/{id}", answers=Installation, summary="Show an installation")
async def get_installation(call: Call, path: IdPath) -> Installation:
    db = call.services.database
    return installation_view(await db.run(registry.get, db, "installation", path.id))


@api.add("PUT", "/installations/{id}", answers=Installation, summary="Take the meter off its point")
async def put_installation(call: Call, path: IdPath, body: Removal) -> Installation:
    db = call.services.database
    row = await db.run(
        registry.remove,
        db,
        path.id,
        body.removed_on,
        body.end_value,
        _at(body.removed_at),
        _facts(body),
        note_of(call),
    )
    await call.audit("meter.remove", f"meter/{row.meter_id}", {"point_id": row.point_id})
    return installation_view(row)


@api.add("PUT", "/installations/{id}/acts", answers=Installation, summary="Write down the papers of an installation")
async def put_acts(call: Call, path: IdPath, body: Acts) -> Installation:
    db = call.services.database
    row = await db.run(registry.update, db, "installation", path.id, _facts(body), note_of(call))
    await call.audit("installation.change", f"installation/{path.id}", {"fields": sorted(_facts(body))})
    return installation_view(row)


@api.add("DELETE", "/installations/{id}", answers=None, status=204, summary="Undo an installation without readings")
async def delete_installation(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(registry.delete, db, "installation", path.id, note_of(call))
    await call.audit("installation.delete", f"installation/{path.id}")


@api.add("POST", "/points/{id}/replacement", answers=Replacement, status=201, summary="Replace the meter of a point")
async def post_replacement(call: Call, path: IdPath, body: NewReplacement) -> Replacement:
    db = call.services.database
    done = await db.run(
        registry.replace_meter,
        db,
        path.id,
        body.meter_id,
        body.replaced_on,
        body.end_value,
        body.start_value,
        _at(body.replaced_at),
        body.module,
        body.start_pulses,
        _facts(body),
        note_of(call),
    )
    await call.audit("meter.replace", f"point/{path.id}", {"meter_id": body.meter_id})
    return Replacement(removed=installation_view(done.removed), installed=installation_view(done.installed))


# ---------------------------------------------------------------------------------------------------------- channels


class Channel(Output):
    """A channel of a radio module bound to a meter's register."""

    id: int
    dev_eui: str
    channel: int
    meter_id: int
    register_name: str = Field(alias="register")
    weight: Volume
    start_value: Volume
    start_pulses: Volume
    counter_bits: int
    """The module's pulse counter wraps at 2 ** bits."""
    valid_from: Time | None
    valid_until: Time | None


class NewChannel(Input):
    """``value = start_value + (raw - start_pulses) * weight``; a module that sends the register itself has weight 1."""

    dev_eui: Eui
    channel: int = Field(1, ge=1, le=255)
    meter_id: Id
    register_name: Annotated[str, Field(alias="register", pattern=r"^[a-z0-9_]{0,40}$")] = ""
    weight: Volume = Decimal(1)
    start_value: Volume = Decimal(0)
    start_pulses: Volume = Decimal(0)
    counter_bits: int = Field(32, ge=8, le=64)
    valid_from: Time | None = None


class ChannelEnd(Input):
    """Until when the binding counts."""

    valid_until: Time


class ChannelQuery(PageQuery):
    dev_eui: Eui | None = None
    meter_id: Id | None = None


def channel_view(row: ModuleChannel) -> Channel:
    """The API's form of a binding."""
    names = [name for name in Channel.model_fields if name in ModuleChannel.model_fields]
    return Channel.model_construct(
        **{name: getattr(row, name) for name in names},
        valid_from=time_of(row.valid_from_us) if row.valid_from_us else None,
        valid_until=time_of(row.valid_until_us),
    )


@api.add("GET", "/channels", answers=Page[Channel], summary="List bindings of radio modules to meters")
async def list_channels(call: Call, query: ChannelQuery) -> Page[Channel]:
    db = call.services.database
    page = await db.run(registry.page, db, "channel", **query.model_dump())
    return Page(items=[channel_view(row) for row in page.items], next_cursor=page.next_cursor)


@api.add("POST", "/channels", answers=Channel, status=201, summary="Bind a module's channel to a meter")
async def post_channel(call: Call, body: NewChannel) -> Channel:
    db = call.services.database
    row = await db.run(
        registry.bind_channel,
        db,
        body.dev_eui,
        body.meter_id,
        body.channel,
        body.register_name,
        body.weight,
        body.start_value,
        body.start_pulses,
        _at(body.valid_from) or 0,
        body.counter_bits,
    )
    await call.audit("channel.bind", f"device/{body.dev_eui}", {"meter_id": body.meter_id, "channel": body.channel})
    return channel_view(row)


@api.add("PUT", "/channels/{id}", answers=Channel, summary="End a binding")
async def put_channel(call: Call, path: IdPath, body: ChannelEnd) -> Channel:
    db = call.services.database
    row = await db.run(registry.close_channel, db, path.id, microseconds_of(body.valid_until))
    await call.audit("channel.close", f"device/{row.dev_eui}", {"meter_id": row.meter_id, "channel": row.channel})
    return channel_view(row)


@api.add("DELETE", "/channels/{id}", answers=None, status=204, summary="Undo a binding without readings")
async def delete_channel(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(registry.delete, db, "channel", path.id)
    await call.audit("channel.delete", f"channel/{path.id}")

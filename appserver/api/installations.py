"""Which meter hangs where, which channel of which radio module counts it, and until when it is verified."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver import registry
from appserver.api.fields import (
    LATEST_DAY,
    Day,
    Eui,
    Id,
    Input,
    Limit,
    Output,
    Page,
    PageQuery,
    Time,
    Volume,
    microseconds_of,
    time_of,
)
from appserver.api.problems import invalid
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.db import contains
from appserver.metering.readings import read_cursor, write_cursor
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


class NewInstallation(Input):
    """Hang a meter at a point; it counts from ``installed_at``, by default from the start of that day."""

    point_id: Id
    meter_id: Id
    installed_on: Day
    installed_at: Time | None = None
    start_value: Volume
    ratio: Volume = Decimal(1)


class Removal(Input):
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


class NewReplacement(Input):
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


def _at(moment: Any) -> int | None:
    return None if moment is None else microseconds_of(moment)


@api.add("GET", "/installations", answers=Page[Installation], summary="List installations")
async def list_installations(call: Call, query: InstallationQuery) -> Page[Installation]:
    db = call.services.database
    page = await db.run(registry.page, db, "installation", **query.model_dump())
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
    row = await db.run(registry.remove, db, path.id, body.removed_on, body.end_value, _at(body.removed_at))
    await call.audit("meter.remove", f"meter/{row.meter_id}", {"point_id": row.point_id})
    return installation_view(row)


@api.add("DELETE", "/installations/{id}", answers=None, status=204, summary="Undo an installation without readings")
async def delete_installation(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(registry.delete, db, "installation", path.id)
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


# ----------------------------------------------------------------------------------------------------- verifications


class Verification(Output):
    """When a meter was verified, and until when that holds. ``id`` is the meter's."""

    id: int
    serial: str
    model: str
    resource: str
    verified_on: Day | None
    verification_until: Day | None
    overdue: bool


class NewVerification(Input):
    """The outcome of a verification."""

    meter_id: Id
    verified_on: Day
    verification_until: Day


class VerificationQuery(PageQuery):
    due_before: Day | None = None
    """Only meters whose verification ends before this day."""


_DUE = (
    "SELECT id, serial, model, resource, verified_on, verification_until FROM meter"
    " WHERE verification_until IS NOT NULL AND verification_until < ?1 AND (verification_until, id) > (?2, ?3)"
    " AND (fold(serial) LIKE ?4 ESCAPE '\\' OR fold(model) LIKE ?4 ESCAPE '\\') ORDER BY verification_until, id LIMIT ?5"
)


def _today(call: Call) -> date:
    return EPOCH + timedelta(microseconds=call.services.clock())


def _verification(row: Any, today: date) -> Verification:
    id_, serial, model, resource, verified_on, until = row
    return Verification(
        id=id_,
        serial=serial,
        model=model,
        resource=resource,
        verified_on=verified_on,
        verification_until=until,
        overdue=until is not None and str(until) < today.isoformat(),
    )


@api.add("GET", "/verifications", answers=Page[Verification], summary="List verifications, the next to end first")
async def list_verifications(call: Call, query: VerificationQuery) -> Page[Verification]:
    db, today = call.services.database, _today(call)
    after = read_cursor(query.cursor, 2) if query.cursor else ["", 0]
    before = (query.due_before or LATEST_DAY).isoformat()
    rows = await db.run(db.rows, _DUE, [before, *after, contains(query.q), query.limit + 1])
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(
        items=[_verification(row, today) for row in rows],
        next_cursor=write_cursor([rows[-1][5], rows[-1][0]]) if more else None,
    )


@api.add("POST", "/verifications", answers=Verification, status=201, summary="Write down a verification")
async def post_verification(call: Call, body: NewVerification) -> Verification:
    if body.verification_until <= body.verified_on:
        raise invalid("verification_until", "must be after verified_on")
    return await _set_verification(call, body.meter_id, body.verified_on, body.verification_until)


@api.add("GET", "/verifications/{id}", answers=Verification, summary="Show a meter's verification")
async def get_verification(call: Call, path: IdPath) -> Verification:
    db = call.services.database
    meter = await db.run(registry.get, db, "meter", path.id)
    return _of_meter(meter, _today(call))


@api.add("DELETE", "/verifications/{id}", answers=None, status=204, summary="Forget a meter's verification")
async def delete_verification(call: Call, path: IdPath) -> None:
    await _set_verification(call, path.id, None, None)


def _of_meter(meter: Any, today: date) -> Verification:
    return _verification(
        (meter.id, meter.serial, meter.model, meter.resource, meter.verified_on, meter.verification_until), today
    )


async def _set_verification(call: Call, meter_id: int, on: date | None, until: date | None) -> Verification:
    db = call.services.database
    changes = {"verified_on": on, "verification_until": until}
    meter = await db.run(registry.update, db, "meter", meter_id, changes)
    await call.audit("meter.verify", f"meter/{meter_id}", {name: str(value) for name, value in changes.items()})
    return _of_meter(meter, _today(call))

"""Which meter hangs where, since when; which channel of which module counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from sqlmodel import Session, col, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.store import rebuild
from appserver.metering.timebase import day_number, midnight_us, zone_of
from appserver.models import Building, DeviceState, Installation, Meter, ModuleChannel, Point, Premises
from appserver.models.registry import REGISTERS, UNITS
from appserver.registry.crud import checked, fetch, kind_of, raw
from appserver.registry.journal import SYSTEM, Note, record, shown
from appserver.registry.kinds import decimal, eui, timezone, whole

FOREVER = 2**62
NOTHING: Mapping[str, Any] = {}
_value = decimal("-1000000000")
_ratio = decimal("0.000001", "1000000")


def _checked(field: str, check: Any, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise RegistryError("invalid", field, f"{field}: {error}.") from error


def start_of_day(session: Session, point: Point, day: date) -> int:
    """The first moment of a day in the zone of the point's building."""
    building = session.get(Building, point.building_id)
    assert building is not None
    return midnight_us(day_number(day), zone_of(building.timezone))


def install(
    db: Database,
    point_id: int,
    meter_id: int,
    installed_on: date,
    start_value: Decimal,
    installed_at_us: int | None = None,
    ratio: Decimal = Decimal(1),
    facts: Mapping[str, Any] = NOTHING,
    note: Note = SYSTEM,
) -> Installation:
    """Hang a meter at a point. It counts from ``installed_at_us``, by default from the start of that day.

    ``ratio`` is that of its transformers: units a unit of the register. ``facts``: ``install_act``, ``installed_by``,
    ``commissioned_on``, ``commission_act``.

    Raises RegistryError ``not_found``, ``invalid`` (another resource), ``conflict`` (the point or the meter is taken).
    """
    with db.writing() as session:
        return install_in(
            session, point_id, meter_id, installed_on, start_value, installed_at_us, ratio=ratio, facts=facts, note=note
        )


def install_in(
    session: Session,
    point_id: int,
    meter_id: int,
    installed_on: date,
    start_value: Decimal,
    installed_at_us: int | None = None,
    recompute: bool = True,
    ratio: Decimal = Decimal(1),
    facts: Mapping[str, Any] = NOTHING,
    note: Note = SYSTEM,
) -> Installation:
    """:func:`install` within a session."""
    point: Point = fetch(session, "point", point_id)
    meter: Meter = fetch(session, "meter", meter_id)
    if point.resource != meter.resource:
        raise RegistryError(
            "invalid", "meter_id", f"meter_id: the meter counts {meter.resource}, the point {point.resource}."
        )
    if meter.state == "written_off":
        raise RegistryError("conflict", "meter_id", "meter_id: this meter is written off; it hangs nowhere any more.")
    start_value = _checked("start_value", _value, start_value)
    at_us = installed_at_us if installed_at_us is not None else start_of_day(session, point, installed_on)
    _check_overlap(session, point, meter, at_us, FOREVER)
    installation = Installation(
        point_id=point_id,
        meter_id=meter_id,
        installed_on=installed_on,
        installed_at_us=at_us,
        start_value=start_value,
        ratio=_checked("ratio", _ratio, ratio),
        **checked(kind_of("installation"), facts),
    )
    session.add(installation)
    session.flush()
    meter.state = "installed" if installation.commissioned_on is None else "commissioned"
    session.add(meter)
    _record(session, installation, "installed", note)
    if recompute:
        rebuild(raw(session), point_id)
    return installation


def _record(session: Session, installation: Installation, event: str, note: Note) -> None:
    """A line in the journals of the meter and of the point."""
    point: Point = fetch(session, "point", installation.point_id)
    meter: Meter = fetch(session, "meter", installation.meter_id)
    building = session.get(Building, point.building_id)
    premises = session.get(Premises, point.premises_id) if point.premises_id else None
    place = ", ".join(
        part for part in (building and building.address, premises and premises.number, point.name) if part
    )
    removed = event == "removed"
    on = installation.removed_on if removed else installation.installed_on
    act = installation.removal_act if removed else installation.install_act
    value = installation.end_value if removed else installation.start_value
    said = Note(note.actor, on, act or note.document, note.remark or installation.removal_reason, note.at_us)
    unit = UNITS[meter.resource]
    record(session, "meter", meter.id or 0, event, said, after=f"{place}: {shown(value)} {unit}")
    record(session, "point", point.id or 0, f"meter_{event}", said, after=f"№ {meter.serial}: {shown(value)} {unit}")


def remove(
    db: Database,
    installation_id: int,
    removed_on: date,
    end_value: Decimal,
    removed_at_us: int | None = None,
    facts: Mapping[str, Any] = NOTHING,
    note: Note = SYSTEM,
) -> Installation:
    """Take a meter off its point with the value of the act; channels bound to it are closed at the same moment.

    ``facts``: ``removal_act``, ``removed_by``, ``removal_reason``.
    """
    with db.writing() as session:
        return remove_in(session, installation_id, removed_on, end_value, removed_at_us, facts=facts, note=note)


def remove_in(
    session: Session,
    installation_id: int,
    removed_on: date,
    end_value: Decimal,
    removed_at_us: int | None = None,
    recompute: bool = True,
    facts: Mapping[str, Any] = NOTHING,
    note: Note = SYSTEM,
) -> Installation:
    """:func:`remove` within a session."""
    installation: Installation = fetch(session, "installation", installation_id)
    if installation.removed_at_us is not None:
        raise RegistryError("conflict", "", f"The meter was removed on {installation.removed_on} already.")
    point: Point = fetch(session, "point", installation.point_id)
    at_us = removed_at_us if removed_at_us is not None else start_of_day(session, point, removed_on)
    if at_us <= installation.installed_at_us:
        raise RegistryError(
            "invalid", "removed_on", f"removed_on: must be after the installation on {installation.installed_on}."
        )
    installation.removed_on = removed_on
    installation.removed_at_us = at_us
    installation.end_value = _checked("end_value", _value, end_value)
    for field, value in checked(kind_of("installation"), facts).items():
        setattr(installation, field, value)
    session.add(installation)
    meter: Meter = fetch(session, "meter", installation.meter_id)
    meter.state = "removed"
    session.add(meter)
    for channel in _open_channels(session, installation.meter_id):
        _close(session, channel, at_us)
    session.flush()
    _record(session, installation, "removed", note)
    if recompute:
        rebuild(raw(session), installation.point_id)
    return installation


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a replacement did."""

    removed: Installation
    installed: Installation
    channels: list[ModuleChannel]
    """The module's channels as they are bound to the new meter."""


def replace_meter(
    db: Database,
    point_id: int,
    new_meter_id: int,
    replaced_on: date,
    end_value: Decimal,
    start_value: Decimal,
    replaced_at_us: int | None = None,
    module: Literal["moves", "stays"] = "moves",
    start_pulses: Decimal = Decimal(0),
    facts: Mapping[str, Any] = NOTHING,
    note: Note = SYSTEM,
) -> Replacement:
    """Put another meter in place of the one that hangs at a point.

    ``module`` ``moves``: the radio module counts the new meter from that moment, starting at ``start_pulses`` when the
    register shows ``start_value`` (a module that sends the register itself keeps starting at zero). ``stays``: the
    module goes away with the old meter. ``facts`` of the removal and of the installation, as those two take them.
    """
    off = {name: value for name, value in facts.items() if name.startswith("remov")}
    on = {name: value for name, value in facts.items() if name not in off}
    with db.writing() as session:
        current = session.exec(
            select(Installation).where(Installation.point_id == point_id, col(Installation.removed_at_us).is_(None))
        ).first()
        if current is None:
            fetch(session, "point", point_id)
            raise RegistryError("conflict", "point_id", "No meter hangs at this point; install one instead.")
        channels = _open_channels(session, current.meter_id) if module == "moves" else []
        removed = remove_in(session, current.id or 0, replaced_on, end_value, replaced_at_us, False, off, note)
        at_us = removed.removed_at_us or 0
        installed = install_in(
            session, point_id, new_meter_id, replaced_on, start_value, at_us, False, current.ratio, on, note
        )
        moved = []
        for old in channels:
            direct = old.weight == 1 and old.start_pulses == 0 and old.start_value == 0
            new = ModuleChannel(
                dev_eui=old.dev_eui,
                channel=old.channel,
                meter_id=new_meter_id,
                register_name=old.register_name,
                weight=old.weight,
                start_value=Decimal(0) if direct else installed.start_value,
                start_pulses=Decimal(0) if direct else _checked("start_pulses", _value, start_pulses),
                valid_from_us=at_us,
                counter_bits=old.counter_bits,
            )
            session.add(new)
            moved.append(new)
        rebuild(raw(session), point_id)
        return Replacement(removed, installed, moved)


def bind_channel(
    db: Database,
    dev_eui: str,
    meter_id: int,
    channel: int = 1,
    register_name: str = "",
    weight: Decimal = Decimal(1),
    start_value: Decimal = Decimal(0),
    start_pulses: Decimal = Decimal(0),
    valid_from_us: int = 0,
    counter_bits: int = 32,
) -> ModuleChannel:
    """Bind a channel of a module to a meter's register (empty: the principal one of its resource).

    Raises RegistryError ``conflict`` when the channel is bound to another meter at that time.
    """
    with db.writing() as session:
        return bind_in(
            session,
            dev_eui,
            meter_id,
            channel,
            register_name,
            weight,
            start_value,
            start_pulses,
            valid_from_us,
            counter_bits,
        )


def bind_in(
    session: Session,
    dev_eui: str,
    meter_id: int,
    channel: int = 1,
    register_name: str = "",
    weight: Decimal = Decimal(1),
    start_value: Decimal = Decimal(0),
    start_pulses: Decimal = Decimal(0),
    valid_from_us: int = 0,
    counter_bits: int = 32,
) -> ModuleChannel:
    """:func:`bind_channel` within a session."""
    meter: Meter = fetch(session, "meter", meter_id)
    binding = ModuleChannel(
        dev_eui=_checked("dev_eui", eui, dev_eui),
        channel=_checked("channel", whole(1, 255), channel),
        meter_id=meter_id,
        register_name=register_name or REGISTERS[meter.resource],
        weight=_checked("weight", decimal("0"), weight),
        start_value=_checked("start_value", _value, start_value),
        start_pulses=_checked("start_pulses", _value, start_pulses),
        valid_from_us=valid_from_us,
        counter_bits=_checked("counter_bits", whole(8, 64), counter_bits),
    )
    if binding.weight == 0:
        raise RegistryError("invalid", "weight", "weight: must be more than zero.")
    same_channel = select(ModuleChannel).where(
        ModuleChannel.dev_eui == binding.dev_eui, ModuleChannel.channel == binding.channel
    )
    for other in session.exec(same_channel).all():
        if (other.valid_until_us or FOREVER) > valid_from_us:
            raise RegistryError(
                "conflict",
                "channel",
                f"channel: channel {binding.channel} of {binding.dev_eui} is bound to meter {other.meter_id};"
                " close that binding first.",
            )
    session.add(binding)
    session.flush()
    return binding


def close_channel(db: Database, channel_id: int, valid_until_us: int) -> ModuleChannel:
    """End a binding: frames received from that moment no longer count for the meter."""
    with db.writing() as session:
        binding: ModuleChannel = fetch(session, "channel", channel_id)
        if valid_until_us <= binding.valid_from_us:
            raise RegistryError("invalid", "valid_until", "valid_until: must be after the start of the binding.")
        _close(session, binding, valid_until_us)
        return binding


def set_device_clock(db: Database, dev_eui: str, clock_zone: str, commissioned_at_us: int = 0) -> DeviceState:
    """Declare how a device's clock is set, for frames to come.

    ``clock_zone``: an IANA name, ``UTC``, or empty for what its codec says (the zone of the building, or UTC). A clock
    that shows less than ``commissioned_at_us`` is not believed.
    """
    with db.writing() as session:
        checked = _checked("dev_eui", eui, dev_eui)
        state = session.get(DeviceState, checked) or DeviceState(dev_eui=checked)
        state.clock_zone = _checked("clock_zone", timezone, clock_zone) if clock_zone else ""
        state.commissioned_at_us = commissioned_at_us
        session.add(state)
        return state


def _close(session: Session, binding: ModuleChannel, at_us: int) -> None:
    binding.valid_until_us = max(at_us, binding.valid_from_us + 1)
    session.add(binding)


def _open_channels(session: Session, meter_id: int) -> list[ModuleChannel]:
    query = select(ModuleChannel).where(ModuleChannel.meter_id == meter_id, col(ModuleChannel.valid_until_us).is_(None))
    return list(session.exec(query).all())


def _check_overlap(session: Session, point: Point, meter: Meter, from_us: int, until_us: int) -> None:
    """One meter at a point at a time, one point for a meter at a time."""
    for column, value, field, sentence in (
        (Installation.point_id, point.id, "point_id", "another meter hangs at the point then; replace or remove it"),
        (Installation.meter_id, meter.id, "meter_id", "the meter hangs at another point then; remove it there first"),
    ):
        for other in session.exec(select(Installation).where(column == value)).all():
            if other.installed_at_us < until_us and (other.removed_at_us or FOREVER) > from_us:
                raise RegistryError("conflict", field, f"{field}: {sentence}.")

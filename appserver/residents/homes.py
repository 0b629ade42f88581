"""What a resident's pages show: the flats of a grant, their meters in a month, readings by hand when the radio is silent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from appserver.auth.grants import Operation, Scope
from appserver.auth.places import covers
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.readings import add_manual_reading
from appserver.metering.resident import ResidentPoint, Stay, resident_view
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS

SILENT_US = 36 * 3_600_000_000
"""A module that was not heard for so long is silent: a daily message may be late by half a day."""
AT_MOST = {
    "cold_water": Decimal(3),
    "hot_water": Decimal(3),
    "gas": Decimal(10),
    "electricity": Decimal(25),
    "heat": Decimal("0.1"),
}
"""Units an hour that no flat takes all day long, for meters that say nothing themselves."""


@dataclass(frozen=True, slots=True)
class Home:
    """Premises of a resident."""

    premises_id: int
    building_id: int
    address: str
    number: str
    timezone: str
    organisation: str
    stay: Stay


def homes(db: Database, scope: Scope, today: date) -> list[Home]:
    """The premises that residents' grants name, those of today first."""
    found = []
    for grant in scope.grants:
        if grant.party != "resident" or grant.premises_id is None:
            continue
        rows = db.rows(
            "SELECT r.id, b.id, b.address, r.number, b.timezone, o.name FROM premises r JOIN building b ON b.id = r.building_id"
            " JOIN organisation o ON o.id = b.organisation_id WHERE r.id = ?",
            (grant.premises_id,),
        )
        now = grant.holds(None, today, today + timedelta(days=1))
        found += [Home(*row, Stay(grant.since, grant.until, grant.resource, now)) for row in rows]
    return sorted(found, key=lambda home: not home.stay.now)


@dataclass(frozen=True, slots=True)
class HomeMeter:
    """A meter of a flat in a month, and whether its reading may be entered by hand."""

    point: ResidentPoint
    meter_id: int | None
    silent: bool


def meters_of(db: Database, home: Home, month: date, now_us: int) -> list[HomeMeter]:
    """The meters of a flat in the month that ``month`` lies in, as far as it was theirs."""
    found = []
    for point in resident_view(db, home.premises_id, month, home.stay):
        rows = db.rows(
            "SELECT i.meter_id FROM installation i WHERE i.point_id = ? AND i.removed_at_us IS NULL", (point.point_id,)
        )
        meter_id = rows[0][0] if rows else None
        silent = home.stay.now and meter_id is not None and _silent(db, meter_id, point.resource, now_us)
        found.append(HomeMeter(point, meter_id, silent))
    return found


def _silent(db: Database, meter_id: int, resource: str, now_us: int) -> bool:
    rows = db.rows(
        "SELECT max(received_at_us) FROM reading WHERE meter_id = ? AND register = ? AND received_at_us > ?"
        " AND source <> 'manual'",
        (meter_id, REGISTERS[resource], now_us - SILENT_US),
    )
    return rows[0][0] is None


def enter(db: Database, scope: Scope, meter_id: int, value: Decimal, author: str, today: date, now_us: int) -> None:
    """A resident's reading of now. Raises RegistryError: not theirs, not silent, or a value that cannot be."""
    tomorrow = today + timedelta(days=1)
    if not covers(db, scope, Operation.cabinet, "hung", meter_id, today, tomorrow):
        raise RegistryError("not_found", "meter_id", "This is not a meter of your flat.")
    resource, qmax = db.rows("SELECT resource, qmax FROM meter WHERE id = ?", (meter_id,))[0]
    if not _silent(db, meter_id, resource, now_us):
        raise RegistryError("conflict", "value", "The meter is heard by radio: nothing needs to be entered.")
    if not value.is_finite() or not 0 <= value < Decimal(10) ** 9 or to_micro(value) != value.scaleb(6):
        raise RegistryError("invalid", "value", "This is not a reading: digits, at most six after the comma.")
    last = db.rows(
        "SELECT value_micro, measured_at_us FROM last_reading WHERE meter_id = ? AND register = ?",
        (meter_id, REGISTERS[resource]),
    )
    if last:
        before, hours = from_micro(last[0][0]), Decimal(max(now_us - last[0][1], 3_600_000_000)) / 3_600_000_000
        fastest = from_micro(qmax) if qmax is not None else AT_MOST[resource]
        if value < before:
            raise RegistryError(
                "invalid", "value", "The value is less than the last known one; look again, or write to us."
            )
        if value - before > fastest * hours:
            raise RegistryError("invalid", "value", "So much cannot have run through; look again where the comma is.")
    add_manual_reading(db, meter_id, value, now_us, now_us, author)

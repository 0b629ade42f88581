"""How much of what should be known is known, and which modules are silent: read from what the ingest keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from appserver.db import Connection, Database
from appserver.metering.readings import read_cursor, write_cursor
from appserver.metering.timebase import HOUR_US, day_number, moment, zone_of

SILENT_AFTER_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Collection:
    """How much of what should be known is known."""

    points: int
    """Points with a meter on them."""
    known: int
    """Of these, how many have a boundary value for the day."""
    silent: int
    """Devices that serve a meter and sent nothing for a day."""
    undecoded: int
    """Uplinks that wait for a codec or a binding."""

    @property
    def rate_pct(self) -> Decimal | None:
        """Share of points known for the day, one decimal."""
        return (Decimal(100 * self.known) / self.points).quantize(Decimal("0.1")) if self.points else None


def collection(db: Database, now_us: int, timezone: str = "Europe/Moscow") -> Collection:
    """The collection of the last midnight in ``timezone`` and of the last 24 hours."""
    zone = zone_of(timezone)
    day = day_number(moment(now_us, zone).date())
    with db.snapshot() as connection:
        one: Callable[..., int] = lambda sql, *p: connection.execute(sql, p).fetchone()[0]  # noqa: E731
        return Collection(
            points=one(
                "SELECT count(*) FROM installation WHERE removed_at_us IS NULL AND installed_at_us <= ?", now_us
            ),
            known=one("SELECT coalesce((SELECT known FROM day_tally WHERE day = ?), 0)", day) - _removed(one, day),
            silent=one(f"SELECT count(DISTINCT d.dev_eui) {_SILENT}", now_us - SILENT_AFTER_US),
            undecoded=one("SELECT count(*) FROM uplink WHERE state <> 'decoded'"),
        )


def _removed(one: Callable[..., int], day: int) -> int:
    """Values for the day of meters that hang there no more: no zone's day began earlier than 14 hours before UTC's."""
    since_us = (day - 1) * 24 * HOUR_US
    return one(
        "SELECT count(*) FROM installation i CROSS JOIN boundary b ON b.point_id = i.point_id AND b.day = ?"
        " AND b.installation_id = i.id WHERE i.removed_at_us IS NOT NULL AND i.removed_at_us >= ?",
        day,
        since_us,
    )


# -------------------------------------------------------------------------------------------------------------- silent

_SILENT = (
    "FROM (SELECT dev_eui, last_uplink_at_us FROM device_state WHERE last_uplink_at_us < ?1"
    " UNION ALL SELECT dev_eui, NULL FROM device_state WHERE last_uplink_at_us IS NULL) d"
    " CROSS JOIN module_channel c ON c.dev_eui = d.dev_eui AND c.valid_until_us IS NULL"
)
"""Every bound module has a row in ``device_state`` (a trigger sees to it), also one that was never heard."""


@dataclass(frozen=True, slots=True)
class SilentModule:
    """A radio module that serves a meter and sends nothing."""

    dev_eui: str
    last_uplink_at_us: int | None
    """None: it was never heard."""
    meter_id: int
    serial: str
    building_id: int | None
    address: str
    premises: str
    organisation: str = ""
    bound_at_us: int = 0
    """Since when its channel counts for the meter."""
    battery_pct: int | None = None
    """As it last told."""


_OF_PLACE = (
    " AND d.dev_eui IN (SELECT s.dev_eui FROM point q JOIN building g ON g.id = q.building_id"
    " JOIN installation j ON j.point_id = q.id AND j.removed_at_us IS NULL"
    " JOIN module_channel s ON s.meter_id = j.meter_id AND s.valid_until_us IS NULL WHERE {condition})"
)


def silent_modules(
    db: Database,
    since_us: int,
    cursor: str = "",
    limit: int = 100,
    building_id: int | None = None,
    organisation_id: int | None = None,
) -> tuple[list[SilentModule], str | None]:
    """Modules without an uplink since a moment, those that are silent longest first; a page and its cursor.

    Of a building, or of an organisation's buildings, where one is given. Raises RegistryError ``invalid`` for a cursor
    that is none.
    """
    seen_us, after = read_cursor(cursor, 2) if cursor else (-1, "")
    place, of_place = "", []
    for condition, value in (("g.id = ?5", building_id), ("g.organisation_id = ?5", organisation_id)):
        if value is not None and not place:
            place, of_place = _OF_PLACE.format(condition=condition), [value]
    rows = db.rows(
        "SELECT s.dev_eui, s.seen_us, s.meter_id, m.serial, p.building_id, b.address, r.number, o.name, s.bound_us,"
        " t.battery_pct FROM"
        " (SELECT d.dev_eui AS dev_eui, coalesce(d.last_uplink_at_us, 0) AS seen_us, min(c.meter_id) AS meter_id,"
        " max(c.valid_from_us) AS bound_us"
        f" {_SILENT} WHERE (coalesce(d.last_uplink_at_us, 0), d.dev_eui) > (?2, ?3){place}"
        " GROUP BY d.dev_eui, d.last_uplink_at_us ORDER BY 2, 1 LIMIT ?4) s"
        " CROSS JOIN meter m ON m.id = s.meter_id"
        " LEFT JOIN device_state t ON t.dev_eui = s.dev_eui"
        " LEFT JOIN installation i ON i.meter_id = m.id AND i.removed_at_us IS NULL"
        " LEFT JOIN point p ON p.id = i.point_id LEFT JOIN building b ON b.id = p.building_id"
        " LEFT JOIN organisation o ON o.id = b.organisation_id"
        " LEFT JOIN premises r ON r.id = p.premises_id ORDER BY s.seen_us, s.dev_eui",
        (since_us, seen_us, after, limit + 1, *of_place),
    )
    items = [
        SilentModule(eui, seen or None, meter, serial, building, address or "", flat or "", who or "", bound, battery)
        for eui, seen, meter, serial, building, address, flat, who, bound, battery in rows[:limit]
    ]
    return items, write_cursor((rows[limit - 1][1], rows[limit - 1][0])) if len(rows) > limit else None


def silent_by_building(db: Database, since_us: int, buildings: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Of each building: how many modules serve its meters, and how many of them are silent since a moment."""
    found = {}
    for building in buildings:
        rows = db.rows(
            "SELECT count(DISTINCT c.dev_eui), count(DISTINCT CASE WHEN coalesce(d.last_uplink_at_us, 0) < ?2"
            " THEN c.dev_eui END) FROM point p JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL"
            " JOIN module_channel c ON c.meter_id = i.meter_id AND c.valid_until_us IS NULL"
            " LEFT JOIN device_state d ON d.dev_eui = c.dev_eui WHERE p.building_id = ?1",
            (building, since_us),
        )
        found[building] = (rows[0][0], rows[0][1])
    return found


def check_tally(connection: Connection) -> dict[int, tuple[int, int]]:
    """Days whose kept count differs from the counted one: (kept, counted). Empty when all is well; reads every row."""
    kept = dict(connection.execute("SELECT day, known FROM day_tally").fetchall())
    counted = dict(connection.execute("SELECT day, count(*) FROM boundary GROUP BY day").fetchall())
    return {
        day: (kept.get(day, 0), counted.get(day, 0))
        for day in kept.keys() | counted.keys()
        if kept.get(day, 0) != counted.get(day, 0)
    }

"""Compares rows with the registry: what would be created, what changed, and what does not fit.

The plan works on values as the database keeps them. It is made inside the transaction that carries it out, or inside a
snapshot when it is only shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from appserver.exchange.columns import COLUMNS
from appserver.exchange.rows import Row, RowError
from appserver.metering.timebase import date_of, day_number, day_of, midnight_us, zone_of
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS

FOREVER = 2**62
SHOWN_CHANGES = 1000

TABLES: dict[str, tuple[str, ...]] = {
    "organisation": ("kind", "name", "inn"),
    "building": ("organisation_id", "address", "fias_guid", "timezone", "kind"),
    "premises": ("building_id", "number", "kind", "account_number", "area_m2", "residents"),
    "point": ("building_id", "premises_id", "resource", "role", "direction", "name"),
    "meter": ("serial", "manufacturer", "model", "resource", "digits", "qmax", "verified_on", "verification_until"),
    "installation": (
        "point_id", "meter_id", "installed_on", "installed_at_us", "removed_on", "removed_at_us", "start_value", "end_value",
    ),
    "module_channel": (
        "dev_eui", "channel", "meter_id", "register", "weight", "start_value", "start_pulses", "valid_from_us",
        "valid_until_us",
    ),
}  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {
    "organisation": {"kind": "management_company", "inn": ""},
    "building": {"fias_guid": "", "timezone": "Europe/Moscow", "kind": "house"},
    "premises": {"kind": "flat", "account_number": "", "area_m2": None, "residents": None},
    "point": {"premises_id": None, "direction": "in", "name": ""},
    "meter": {
        "manufacturer": "", "model": "", "digits": 5, "qmax": None, "verified_on": None, "verification_until": None,
    },
    "installation": {"removed_on": None, "removed_at_us": None, "end_value": None},
    "module_channel": {"channel": 1, "valid_until_us": None},
}  # fmt: skip
MICRO = frozenset({"area_m2", "qmax", "start_value", "end_value", "start_pulses"})
_COLUMN_OF = {(column.group, column.field): column.name for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Change:
    """A value that an import changes, or a thing that it creates."""

    row: int
    kind: str
    action: str
    """``create`` or ``change``."""
    what: str
    """The thing's own name: a serial number, an address."""
    field: str = ""
    before: str = ""
    after: str = ""


@dataclass(slots=True)
class Plan:
    """What an import does."""

    errors: list[RowError] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    """At most a thousand are listed; the counts are whole."""
    created: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)
    points: set[int] = field(default_factory=set)
    """Points whose boundary values must be computed anew."""
    dev_euis: set[str] = field(default_factory=set)
    """Devices with a new binding: frames that waited for it can be decoded."""


class _Fault(Exception):
    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column
        self.detail = detail


@dataclass(slots=True)
class _Thing:
    """A row of a table, as it is and as it becomes."""

    id: int
    values: dict[str, Any]
    new: bool = False
    changed: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    """Which row of the file said each value."""
    before: dict[str, Any] = field(default_factory=dict)
    """What stood there, of each value that changes."""


class Planner:
    """Reads what is there once, then takes row after row."""

    def __init__(self, connection: sqlite3.Connection, now_us: int) -> None:
        self._connection = connection
        self._now_us = now_us
        self.plan = Plan()
        self._things: dict[str, dict[int, _Thing]] = {}
        self._touched: set[tuple[str, int]] = set()
        for table, columns in TABLES.items():
            rows = connection.execute(f"SELECT id, {', '.join(columns)} FROM {table}")
            self._things[table] = {row[0]: _Thing(row[0], dict(zip(columns, row[1:], strict=True))) for row in rows}
        self._next = {table: max(things, default=0) + 1 for table, things in self._things.items()}
        self._organisations = self._index("organisation", "name")
        self._buildings = self._index("building", "address")
        self._premises = self._index("premises", "building_id", "number")
        self._points = self._index("point", "building_id", "premises_id", "resource", "role", "direction", "name")
        self._serials = self._lists("meter", "serial")
        self._by_point = self._lists("installation", "point_id")
        self._by_meter = self._lists("installation", "meter_id")
        self._channels = self._lists("module_channel", "dev_eui")
        self._meter_rows: dict[int, int] = {}

    def _index(self, table: str, *columns: str) -> dict[Any, _Thing]:
        return {tuple(t.values[c] for c in columns): t for t in self._things[table].values()}

    def _lists(self, table: str, column: str) -> dict[Any, list[_Thing]]:
        lists: dict[Any, list[_Thing]] = {}
        for thing in self._things[table].values():
            lists.setdefault(thing.values[column], []).append(thing)
        return lists

    def add(self, row: Row) -> None:
        """Plan one row; its fault is kept and the next row goes on."""
        try:
            self._add(row)
        except _Fault as fault:
            self.plan.errors.append(RowError(row.number, fault.column, fault.detail))

    def _add(self, row: Row) -> None:
        organisation = self._put(
            row, "organisation", self._organisations, (row.of("organisation")["name"],), row.of("organisation")
        )
        building_values = {**row.of("building"), "organisation_id": organisation.id}
        building = self._put(row, "building", self._buildings, (building_values["address"],), building_values)
        premises = None
        if row.of("premises"):
            if "number" not in row.of("premises"):
                raise _Fault("premises", "помещение: its number is needed.")
            values = {**row.of("premises"), "building_id": building.id}
            premises = self._put(row, "premises", self._premises, (building.id, values["number"]), values)
        point = self._point(row, building, premises)
        meter = self._meter(row)
        installation = self._installation(row, building, point, meter)
        if "dev_eui" in row.of("channel"):
            self._channel(row, meter, installation)

    # -------------------------------------------------------------------------------------------------- single things

    def _point(self, row: Row, building: _Thing, premises: _Thing | None) -> _Thing:
        values = {
            "direction": "in",
            "name": "",
            "role": "house" if premises is None else "individual",
            **row.of("point"),
            "building_id": building.id,
            "premises_id": None if premises is None else premises.id,
        }
        key = tuple(values[c] for c in ("building_id", "premises_id", "resource", "role", "direction", "name"))
        return self._put(row, "point", self._points, key, values)

    def _meter(self, row: Row) -> _Thing:
        values = {**row.of("meter"), "resource": row.of("point")["resource"]}
        same = self._serials.get(values["serial"], [])
        if len(same) > 1:
            named = [c for c in ("manufacturer", "model") if c in values]
            same = [t for t in same if all(t.values[c] == values[c] for c in named)]
            if len(same) != 1:
                raise _Fault("serial", "номер счётчика: several meters have it; name the maker and model too.")
        if same and same[0].values["resource"] != values["resource"]:
            raise _Fault(
                "resource", f"ресурс: meter {values['serial']} counts {same[0].values['resource']} in the registry."
            )
        meter = self._put(row, "meter", {(): same[0]} if same else {}, (), values)
        if not same:
            self._serials.setdefault(values["serial"], []).append(meter)
        before = self._meter_rows.setdefault(meter.id, row.number)
        if before != row.number and "dev_eui" not in row.of("channel"):
            raise _Fault("serial", f"номер счётчика: row {before} is about this meter already.")
        return meter

    def _installation(self, row: Row, building: _Thing, point: _Thing, meter: _Thing) -> _Thing:
        zone = zone_of(building.values["timezone"])
        given = row.of("installation")
        current = next((t for t in self._by_point.get(point.id, []) if t.values["removed_at_us"] is None), None)
        if current is not None and current.values["meter_id"] != meter.id:
            other = self._things["meter"][current.values["meter_id"]].values["serial"]
            raise _Fault("serial", f"номер счётчика: meter {other} hangs at this point; replace it in the console.")
        elsewhere = next((t for t in self._by_meter.get(meter.id, []) if t.values["removed_at_us"] is None), None)
        if current is None and elsewhere is not None:
            raise _Fault("serial", "номер счётчика: this meter hangs at another point; remove it there first.")
        values: dict[str, Any] = {"point_id": point.id, "meter_id": meter.id}
        if "installed_on" in given or current is None:
            day = given.get("installed_on") or date_of(day_of(self._now_us, zone))
            values["installed_on"] = day.isoformat()
            if current is None or current.values["installed_on"] != values["installed_on"]:
                values["installed_at_us"] = midnight_us(day_number(day), zone)
        if "start_value" in given:
            values["start_value"] = given["start_value"]
        elif current is None:
            raise _Fault("start_value", "начальное показание: a new installation needs one.")
        if "installed_at_us" in values:
            self._check_history(point, meter, current, values["installed_at_us"])
        installation = self._put(row, "installation", {(): current} if current else {}, (), values)
        if current is None:
            self._by_point.setdefault(point.id, []).append(installation)
            self._by_meter.setdefault(meter.id, []).append(installation)
        if installation.new or installation.changed:
            self.plan.points.add(point.id)
        return installation

    def _check_history(self, point: _Thing, meter: _Thing, current: _Thing | None, from_us: int) -> None:
        for other in (*self._by_point.get(point.id, []), *self._by_meter.get(meter.id, [])):
            if other is not current and (other.values["removed_at_us"] or FOREVER) > from_us:
                raise _Fault("installed_on", "дата установки: an earlier meter hung there then; take a later date.")

    def _channel(self, row: Row, meter: _Thing, installation: _Thing) -> None:
        given = row.of("channel")
        dev_eui, number = given["dev_eui"], given.get("channel", 1)
        register = given.get("register_name") or REGISTERS[meter.values["resource"]]
        values: dict[str, Any] = {"dev_eui": dev_eui, "channel": number, "meter_id": meter.id, "register": register}
        weight: Decimal | None = given.get("weight")
        bound = [
            t
            for t in self._channels.get(dev_eui, [])
            if t.values["channel"] == number and t.values["valid_until_us"] is None
        ]
        current = bound[0] if bound else None
        if current is not None and current.values["meter_id"] != meter.id:
            other = self._things["meter"][current.values["meter_id"]].values["serial"]
            raise _Fault("dev_eui", f"DevEUI: channel {number} of {dev_eui} counts meter {other}; close that first.")
        if weight is not None:
            values["weight"] = format(weight, "f")
            if current is None or "start_pulses" in given:
                values["start_pulses"] = given.get("start_pulses", Decimal(0))
                values["start_value"] = from_micro(installation.values["start_value"])
        elif current is None:
            values |= {"weight": "1", "start_pulses": Decimal(0), "start_value": Decimal(0)}
        if current is None:
            values["valid_from_us"] = installation.values["installed_at_us"]
        thing = self._put(row, "module_channel", {(): current} if current else {}, (), values)
        if current is None:
            self._channels.setdefault(dev_eui, []).append(thing)
            self.plan.dev_euis.add(dev_eui)

    # ------------------------------------------------------------------------------------------------ create or change

    def _put(
        self, row: Row, table: str, index: dict[Any, _Thing], key: tuple[Any, ...], values: dict[str, Any]
    ) -> _Thing:
        stored = {name: _stored(name, value) for name, value in values.items()}
        thing = index.get(key)
        if thing is None:
            thing = _Thing(self._next[table], {**DEFAULTS[table], **stored}, new=True)
            thing.rows = dict.fromkeys(stored, row.number)
            self._next[table] += 1
            self._things[table][thing.id] = thing
            index[key] = thing
            self._touched.add((table, thing.id))
            _count(self.plan.created, table)
            self._show(Change(row.number, table, "create", _name(table, thing.values)))
            return thing
        for name, value in stored.items():
            self._set(row, table, thing, name, value)
        if (table, thing.id) not in self._touched:
            self._touched.add((table, thing.id))
            if not thing.changed:
                _count(self.plan.unchanged, table)
        return thing

    def _set(self, row: Row, table: str, thing: _Thing, name: str, value: Any) -> None:
        before = thing.values[name]
        if before == value:
            thing.rows.setdefault(name, row.number)
            return
        said = thing.rows.get(name)
        if said is not None and said != row.number:
            column = _COLUMN_OF.get((table, name), name)
            raise _Fault(column, f"{column}: row {said} says {_shown(name, before)}, this one {_shown(name, value)}.")
        thing.before.setdefault(name, before)
        thing.values[name] = value
        thing.rows[name] = row.number
        if not thing.new and not thing.changed:
            thing.changed = True
            _count(self.plan.changed, table)
            if (table, thing.id) in self._touched:
                self.plan.unchanged[table] -= 1
        what = _name(table, thing.values)
        self._show(Change(row.number, table, "change", what, name, _shown(name, before), _shown(name, value)))

    def _show(self, change: Change) -> None:
        if len(self.plan.changes) < SHOWN_CHANGES:
            self.plan.changes.append(change)

    def created(self) -> list[tuple[str, int, dict[str, Any]]]:
        """(table, id, values as the database keeps them) of what the plan makes."""
        values = [
            (table, t.id, dict(t.values)) for table, things in self._things.items() for t in things.values() if t.new
        ]
        for _, _, shown in values:
            for name in shown.keys() & MICRO:
                shown[name] = None if shown[name] is None else from_micro(shown[name])
        return values

    def changed(self) -> list[tuple[str, int, dict[str, Any], dict[str, Any], dict[str, Any]]]:
        """(table, id, the thing, what stood there, what stands there now) of what the plan changes, as people know it."""
        found = []
        for table, things in self._things.items():
            for thing in things.values():
                if thing.changed and not thing.new:
                    before = {name: _known(name, value) for name, value in thing.before.items()}
                    after = {name: _known(name, thing.values[name]) for name in thing.before}
                    found.append((table, thing.id, thing.values, before, after))
        return found

    def write(self) -> None:
        """Carry the plan out in the open transaction."""
        for table, columns in TABLES.items():
            things = self._things[table].values()
            self._connection.executemany(
                f"INSERT INTO {table} (id, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})",
                [(t.id, *(t.values[c] for c in columns)) for t in things if t.new],
            )
            self._connection.executemany(
                f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in columns)} WHERE id = ?",
                [(*(t.values[c] for c in columns), t.id) for t in things if t.changed and not t.new],
            )


def make_plan(connection: sqlite3.Connection, rows: Iterable[Row], now_us: int) -> Planner:
    """Plan all rows."""
    planner = Planner(connection, now_us)
    for row in rows:
        planner.add(row)
    return planner


def _count(counts: dict[str, int], table: str) -> None:
    counts[table] = counts.get(table, 0) + 1


def _stored(name: str, value: Any) -> Any:
    """A value as the database keeps it."""
    if name in MICRO and value is not None:
        return to_micro(Decimal(value))
    return value.isoformat() if isinstance(value, date) else value


def _known(name: str, value: Any) -> Any:
    """A value that the database keeps, as it was meant."""
    return from_micro(value) if name in MICRO and value is not None else value


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    return str(from_micro(value)) if name in MICRO else str(value)


def _name(table: str, values: dict[str, Any]) -> str:
    for column in ("address", "number", "serial", "dev_eui", "name"):
        if values.get(column):
            return str(values[column])
    return str(values.get("resource") or values.get("installed_on") or "")

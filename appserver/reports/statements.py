"""Statements out of application.db."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import Balance, PeriodRow, PointRow
from appserver.metering.charges import charges, is_month
from appserver.metering.closed import counted_balance, exact_closing
from appserver.metering.explain import Explanation
from appserver.metering.frozen import Recalculation
from appserver.metering.queries import BalanceStep, house_balance, is_over
from appserver.metering.recalculations import pending
from appserver.metering.substitution import Charge
from appserver.metering.timebase import day_number
from appserver.models.columns import from_micro, neat
from appserver.models.registry import REGISTERS
from appserver.reports.archive import closed_notes, printed
from appserver.reports.parts import made_of
from appserver.reports.statement import Cell, Column, Statement
from appserver.reports.words import word
from appserver.rules import Rule
from appserver.rules.entered import rule_book

Words = Callable[[str], str]


def make(
    db: Database,
    name: str,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str = "",
    step: BalanceStep = "day",
    language: str = "ru",
) -> Statement:
    """The statement ``individual``, ``house``, ``balance`` or ``heat`` of a building over days (``to_date`` excluded).

    ``resource`` empty: every resource for ``individual``, else the one that the building has.
    Raises RegistryError ``invalid`` or ``not_found``.
    """
    build = NAMES.get(name)
    if build is None:
        raise RegistryError("invalid", "name", f"There is no statement {name!r}; use one of {', '.join(NAMES)}.")
    if name == "individual" and not resource and len(resources := _resources(db, building_id)) > 1:
        each = [make(db, name, building_id, from_date, to_date, one, step, language) for one in resources]
        return _together(each, header_of(db, building_id, from_date, to_date, partial(word, language=language), ""))
    its = "heat" if name == "heat" else resource
    if not its:
        its = _resources(db, building_id)[0] if name == "individual" else _only_resource(db, building_id)
    kept = printed(db, name, building_id, from_date, to_date, its, step, language)
    if kept is not None:
        return kept
    made = build(db, building_id, from_date, to_date, resource, step, language)
    notes = closed_notes(db, building_id, from_date, to_date, its, partial(word, language=language))
    return replace(made, notes=[*made.notes, *notes]) if notes else made


def _together(statements: Sequence[Statement], header: list[tuple[str, str]]) -> Statement:
    """Statements of several resources as one: each keeps its rows, closed or not."""
    rows = [row for statement in statements for row in statement.rows]
    notes = list(dict.fromkeys(note for statement in statements for note in statement.notes))
    head = list(
        dict.fromkeys([*header, *(line for statement in statements for line in statement.header[len(header) + 1 :])])
    )
    return replace(
        statements[0],
        header=head,
        rows=[(number, *row[1:]) for number, row in enumerate(rows, 1)],
        totals=[row for statement in statements for row in statement.totals],
        notes=notes,
    )


def individual_statement(
    db: Database,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str = "",
    step: BalanceStep = "month",
    language: str = "ru",
) -> Statement:
    """Ведомость ИПУ: a row for each individual meter, totals by resource."""
    say: Words = partial(word, language=language)
    balances = [
        house_balance(
            db,
            building_id,
            each,
            from_date,
            to_date,
            "month",
            whole_period=is_month(from_date, to_date) and is_over(db, building_id, each, to_date),
        )
        for each in ([resource] if resource else _resources(db, building_id))
    ]
    verified = dict(
        db.rows(
            "SELECT i.point_id, m.verification_until FROM installation i JOIN meter m ON m.id = i.meter_id"
            " JOIN point p ON p.id = i.point_id WHERE p.building_id = ? AND i.removed_at_us IS NULL",
            (building_id,),
        )
    )
    rows: list[tuple[Cell, ...]] = []
    totals: list[tuple[Cell, ...]] = []
    used: list[Rule] = []
    again: list[Recalculation] = []
    for balance in balances:
        points = [point for point in balance.points if point.role == "individual"]
        charged: dict[int, Charge] = {}
        if is_month(from_date, to_date):
            found = charges(db, building_id, balance.resource, from_date, points, rule_book(db))
            charged = found.by_point
            used += [rule for rule in found.rules if rule not in used]
        span = (building_id, balance.resource, from_date, to_date)
        charging = is_month(from_date, to_date) or exact_closing(db, *span) is not None
        late = pending(db, building_id, balance.resource, from_date) if charging else []
        again += late
        more = {
            point.point_id: sum((one.volume for one in late if one.point_id == point.point_id), Decimal(0))
            for point in points
        }
        rows += [
            (
                *_individual_row(len(rows) + n, point, balance, verified, charged.get(point.point_id), say),
                neat(more[point.point_id]) if more[point.point_id] else None,
            )
            for n, point in enumerate(points, 1)
        ]
        whole = sum(more.values(), Decimal(0))
        totals.append((*_individual_total(points, balance, charged, say), neat(whole) if late else None))
    columns = [
        Column("number", say("number"), 5, number=True),
        Column("premises", say("premises"), 12),
        Column("account", say("account"), 14),
        Column("serial", say("serial"), 12),
        Column("resource", say("resource"), 15),
        Column("start", say("start"), 11, number=True),
        Column("start_at", say("start_at"), 11),
        Column("end", say("end"), 11, number=True),
        Column("end_at", say("end_at"), 11),
        Column("volume", say("volume"), 10, number=True),
        Column("unit", say("unit"), 10),
        Column("quality", say("quality"), 10),
        Column("verification", say("verification"), 11),
        Column("events", say("events"), 18),
        Column("charge", say("charge"), 11, number=True),
        Column("basis", say("basis"), 16),
        Column("recalculation", say("recalculation"), 11, number=True),
    ]
    header = header_of(db, building_id, from_date, to_date, say, resource)
    notes = [*recalculation_notes(again, say), *rule_notes(used, say)]
    return Statement(
        "individual", language, say("individual.title"), header, columns, rows, totals, notes, signatures(say)
    )


def recalculation_notes(found: Sequence[Recalculation], say: Words) -> list[str]:
    """Where the recalculations of a statement come from, one a line."""

    def number(value: Decimal | None) -> str:
        return "—" if value is None else format(neat(value), "f")

    return [
        f"{say('recalculation')}: {one.first_day:%m.%Y}, {one.premises or one.account_number or say('house')}:"
        f" {number(one.before)} → {number(one.after)} ({one.volume:+f})" + (f", {one.reason}" if one.reason else "")
        for one in found
    ]


def rule_notes(rules: Sequence[Rule], say: Words) -> list[str]:
    """Which versions of which rules a statement used, one a line."""
    return [f"{say('rule')}: {rule.version} — {rule.source}" for rule in rules]


def _basis(charge: Charge | None, say: Words) -> str:
    if charge is None:
        return ""
    word, _, months = charge.basis.partition("_")
    said = say(f"b.{word}") + (f" {months.removesuffix('m')} {say('months')}" if months else "")
    return f"{said} ({charge.clause})" if charge.clause else said


def _individual_row(
    number: int, point: PointRow, balance: Balance, verified: dict[int, str | None], charge: Charge | None, say: Words
) -> tuple[Cell, ...]:
    until = verified.get(point.point_id)
    return (
        number,
        " ".join(filter(None, (point.premises, point.name))),
        point.account_number,
        point.serial,
        say(f"r.{balance.resource}"),
        point.start,
        point.start_at.date() if point.start_at else None,
        point.end,
        point.end_at.date() if point.end_at else None,
        point.volume,
        say(f"u.{balance.unit}"),
        say(f"q.{point.quality}"),
        date.fromisoformat(until) if until else None,
        ", ".join(say(f"e.{event}") for event in point.events),
        charge.volume if charge is not None else None,
        _basis(charge, say),
    )


def _individual_total(
    points: Sequence[PointRow], balance: Balance, charged: dict[int, Charge], say: Words
) -> tuple[Cell, ...]:
    volume = neat(sum((point.volume for point in points if point.volume is not None), Decimal(0)))
    label, unit = say("total"), say(f"u.{balance.unit}")
    return (
        None,
        label,
        None,
        None,
        say(f"r.{balance.resource}"),
        None,
        None,
        None,
        None,
        volume,
        unit,
        None,
        None,
        None,
        neat(sum((c.volume for c in charged.values() if c.volume is not None), Decimal(0))) if charged else None,
        None,
    )


def house_statement(
    db: Database,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str = "",
    step: BalanceStep = "day",
    language: str = "ru",
) -> Statement:
    """Ведомость ОДПУ: a row for each day with the register and the volume of every common meter."""
    say: Words = partial(word, language=language)
    resource = resource or _only_resource(db, building_id)
    balance = house_balance(db, building_id, resource, from_date, to_date, "day")
    meters = [point for point in balance.points if point.role == "house"]
    values: dict[tuple[int, int], tuple[Decimal, str, str]] = {
        (point_id, day): (from_micro(value), quality, event)
        for point_id, day, value, quality, event in db.rows(
            "SELECT point_id, day, value_micro, quality, event FROM boundary"
            " WHERE point_id IN (SELECT value FROM json_each(?)) AND day BETWEEN ? AND ?",
            (str([meter.point_id for meter in meters]), day_number(from_date), day_number(to_date)),
        )
    }
    columns = [Column("day", say("day"), 12)]
    for index, meter in enumerate(meters, 1):
        suffix = f" {meter.serial}" if len(meters) > 1 else ""
        columns += [
            Column(f"reading_{index}", say("reading") + suffix, 16, number=True),
            Column(f"quality_{index}", say("quality"), 14),
        ]
    columns += [Column("volume", say("volume"), 14, number=True), Column("events", say("events"), 24)]
    rows = []
    for period in balance.periods:
        day = day_number(period.end.date())
        cells: list[Cell] = [period.start.date()]
        events: list[str] = []
        for meter in meters:
            value, quality, event = values.get((meter.point_id, day), (None, "missing", ""))
            cells += [value, say(f"q.{quality}")]
            events += [say(f"e.{one}") for one in event.split() if one != "installed"]
        rows.append((*cells, period.house, ", ".join(events)))
    total: tuple[Cell, ...] = (say("total"), *[None] * (2 * len(meters)), balance.total.house, None)
    header = header_of(db, building_id, from_date, to_date, say, resource)
    header += [(say("meter"), ", ".join(meter.serial for meter in meters) or "—")]
    header += [(say("unit"), say(f"u.{balance.unit}"))]
    return Statement("house", language, say("house.title"), header, columns, rows, [total], [], signatures(say))


def balance_statement(
    db: Database,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str = "",
    step: BalanceStep = "day",
    language: str = "ru",
    given: Balance | None = None,
    explanation: Explanation | None = None,
) -> Statement:
    """Баланс: a row for each period, the total below; ``given`` with its explanation, where they are known already."""
    say: Words = partial(word, language=language)
    resource = resource or _only_resource(db, building_id)
    balance = given or counted_balance(db, building_id, resource, from_date, to_date, step).balance
    columns = [
        Column("period", say("period"), 17),
        Column("house", say("house"), 13, number=True),
        Column("individual", say("individual"), 13, number=True),
        Column("imbalance", say("imbalance"), 12, number=True),
        Column("imbalance_pct", say("imbalance_pct"), 12, number=True),
        Column("measured", say("measured"), 10, number=True),
        Column("interpolated", say("interpolated"), 14, number=True),
        Column("partial", say("partial"), 10, number=True),
        Column("missing", say("missing"), 10, number=True),
        Column("coverage_pct", say("coverage"), 11, number=True),
    ]
    form = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}[step]
    rows = [_balance_row(period.start.strftime(form), period) for period in balance.periods]
    header = header_of(db, building_id, from_date, to_date, say, resource)
    header += [
        (say("unit"), say(f"u.{balance.unit}")),
        (say("flats"), str(balance.flats)),
        (say("unmetered"), str(balance.unmetered)),
    ]
    totals = [_balance_row(say("total"), balance.total)]
    notes = made_of(db, balance, say, explanation)
    return Statement("balance", language, say("balance.title"), header, columns, rows, totals, notes, signatures(say))


def _balance_row(label: str, row: PeriodRow) -> tuple[Cell, ...]:
    return (
        label,
        row.house,
        row.individual,
        row.imbalance,
        row.imbalance_pct,
        row.measured,
        row.interpolated,
        row.partial,
        row.missing,
        row.coverage_pct,
    )


def header_of(
    db: Database, building_id: int, from_date: date, to_date: date, say: Words, resource: str
) -> list[tuple[str, str]]:
    """What stands above a statement of a building."""
    rows = db.rows(
        "SELECT b.address, b.fias_guid, b.timezone, o.name FROM building b"
        " JOIN organisation o ON o.id = b.organisation_id WHERE b.id = ?",
        (building_id,),
    )
    if not rows:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    address, fias, timezone, organisation = rows[0]
    last = date.fromordinal(to_date.toordinal() - 1)
    period = f"{say('period.from')} {from_date:%d.%m.%Y} {say('period.to')} {last:%d.%m.%Y}"
    header = [(say("period"), period), (say("address"), address)]
    if fias:
        header.append((say("fias"), fias))
    header += [(say("organisation"), organisation), (say("zone"), timezone)]
    if resource:
        header.append((say("resource"), say(f"r.{resource}")))
    return header


def signatures(say: Words) -> list[str]:
    """Who signs below."""
    return [say("sign.manager"), say("sign.supplier")]


def _resources(db: Database, building_id: int) -> list[str]:
    rows = db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ? AND role = 'individual'", (building_id,))
    found = {resource for (resource,) in rows}
    return [resource for resource in REGISTERS if resource in found] or ["cold_water"]


def _only_resource(db: Database, building_id: int) -> str:
    rows = db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ? AND role = 'house'", (building_id,))
    if len(rows) > 1:
        known = ", ".join(sorted(resource for (resource,) in rows))
        raise RegistryError("invalid", "resource", f"resource: the building has several: {known}; name one.")
    return rows[0][0] if rows else "cold_water"


def _heat(*arguments: Any, **named: Any) -> Statement:
    from appserver.heat.statement import heat_statement  # it is made of the parts above

    return heat_statement(*arguments, **named)


NAMES: dict[str, Callable[..., Statement]] = {
    "individual": individual_statement,
    "house": house_statement,
    "balance": balance_statement,
    "heat": _heat,
}

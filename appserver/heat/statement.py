"""Отчёт о теплопотреблении: a building's heat meter by days, with the graph, the substitution and their rules."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial

from appserver.db import Database
from appserver.heat.days import HeatReport, HeatRow, report
from appserver.heat.quantity import convert
from appserver.models.columns import neat
from appserver.reports.statement import Cell, Column, Statement
from appserver.reports.statements import Words, header_of, rule_notes, signatures
from appserver.reports.words import word
from appserver.rules.entered import rule_book

_TOLD = (
    ("t1", "T1_c"),
    ("p1", "P1_mpa"),
    ("m1", "m1_t"),
    ("v1", "V1_m3"),
    ("t2", "T2_c"),
    ("p2", "P2_mpa"),
    ("m2", "m2_t"),
    ("v2", "V2_m3"),
    ("dm", "dm_t"),
    ("q", "dQ_gcal"),
)
_SUMS = ("m1", "v1", "m2", "v2", "dm", "q", "reckoned", "charged")
_DIGITS = {"t1": 2, "t2": 2, "p1": 3, "p2": 3, "m1": 3, "m2": 3, "v1": 3, "v2": 3, "dm": 3, "q": 4}


def heat_statement(
    db: Database,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str = "",
    step: str = "day",
    language: str = "ru",
) -> Statement:
    """A row for each day, totals and means below, breaches of the graph and the rules as notes."""
    say: Words = partial(word, language=language)
    made = report(db, rule_book(db), building_id, from_date, to_date)
    columns = [
        Column("day", say("day"), 10),
        *(Column(key, say(f"h.{key}"), 8, number=True) for key, _ in _TOLD),
        Column("reckoned", say("h.reckoned"), 9, number=True),
        Column("worked", say("h.worked"), 7, number=True),
        Column("time_sum", say("h.time_sum"), 7, number=True),
        Column("outdoor", say("h.outdoor"), 7, number=True),
        Column("t1_graph", say("h.t1_graph"), 7, number=True),
        Column("t2_graph", say("h.t2_graph"), 7, number=True),
        Column("charged", say("h.charged"), 9, number=True),
        Column("basis", say("basis"), 10),
        Column("marks", say("events"), 14),
    ]
    rows = [_row(each, say) for each in made.rows]
    keys = [column.key for column in columns]
    header = header_of(db, building_id, from_date, to_date, say, "heat")
    header += [
        (say("meter"), " ".join(filter(None, (made.model, made.serial)))),
        (say("h.system"), say(f"h.{made.system}")),
        (say("h.outdoor_from"), say(f"h.from.{made.outdoor_source or 'none'}")),
    ]
    notes = [*_breach_notes(made, say), *rule_notes(made.rules, say)]
    totals = _totals(rows, keys, say)
    return Statement("heat", language, say("heat.title"), header, columns, rows, totals, notes, signatures(say))


def _round(value: Decimal | None, digits: int) -> Decimal | None:
    return None if value is None else value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


def _row(row: HeatRow, say: Words) -> tuple[Cell, ...]:
    off = row.deviation
    marks = []
    if row.fields and row.times.known and not row.times.ok:
        marks.append(say("h.times_wrong"))
    if row.plausible is False:
        marks.append(say("h.implausible"))
    if off is not None and off.supply_breach:
        marks.append(say("h.supply_breach"))
    if off is not None and off.return_breach:
        marks.append(say("h.return_breach"))
    return (
        row.day,
        *(_round(row.fields.get(name), _DIGITS[key]) for key, name in _TOLD),
        _round(row.reckoned_gcal, 4),
        _round(row.fields.get("tA_h"), 2),
        _round(row.times.sum_h, 2) if row.times.known else None,
        row.outdoor_c,
        _round(off.supply_graph_c, 1) if off else None,
        _round(off.return_graph_c, 1) if off else None,
        _round(row.filled.gcal, 4),
        say(f"h.basis.{row.filled.basis}"),
        ", ".join(marks),
    )


def _totals(rows: list[tuple[Cell, ...]], keys: list[str], say: Words) -> list[tuple[Cell, ...]]:
    def numbers(key: str) -> list[Decimal]:
        return [value for row in rows if isinstance(value := row[keys.index(key)], Decimal)]

    def line(label: str, values: dict[str, Decimal | None]) -> tuple[Cell, ...]:
        return (label, *(values.get(key) for key in keys[1:]))

    sums = {key: sum(told, Decimal(0)) if (told := numbers(key)) else None for key in _SUMS}
    sums["worked"] = sum(told, Decimal(0)) if (told := numbers("worked")) else None
    means = {
        key: _round(sum(told, Decimal(0)) / len(told), 2) if (told := numbers(key)) else None
        for key in ("t1", "t2", "p1", "p2", "outdoor")
    }
    lines = [line(say("total"), sums), line(say("h.mean"), means)]
    charged = sums["charged"]
    if charged is not None:
        lines += [
            line(say(f"h.in.{unit}"), {"charged": neat(_round(convert(charged, "Gcal", unit), 3) or charged)})
            for unit in ("GJ", "kWh")
        ]
    return lines


def _breach_notes(made: HeatReport, say: Words) -> list[str]:
    lines = []
    hours = sum((r.deviation.degree_hours for r in made.rows if r.deviation is not None), Decimal(0))
    for each in made.breaches:
        worst = format(_round(each.worst_c, 1) or Decimal(0), "+f")
        lines.append(
            f"{say(f'h.{each.side}_breach')}: {each.first:%d.%m.%Y} – {each.last:%d.%m.%Y}, {each.days} {say('h.days')},"
            f" {say('h.worst')} {worst} °C"
        )
    if lines:
        lines.append(f"{say('h.degree_hours')}: {_round(hours, 1)}")
    return lines

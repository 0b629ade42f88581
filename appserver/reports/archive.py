"""Statements of closed periods: made once, at the closing, and printed from there ever after, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.closed import closings_within
from appserver.metering.frozen import PRINT, closing_hash, part_of
from appserver.metering.periods import ClosedPeriod
from appserver.metering.queries import MAX_DAYS
from appserver.metering.timebase import moment, zone_of
from appserver.reports.statement import Cell, Column, Statement
from appserver.reports.words import word

LANGUAGES = ("ru", "en")


def prints_of(
    db: Database, closed: ClosedPeriod, hashes: Mapping[str, str], parts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Every statement of a period that is being closed, by the name of its part; ``hashes`` are of the other ``parts``."""
    from appserver.reports.statements import NAMES

    days = (closed.last_day - closed.first_day).days
    kinds: list[tuple[str, str]] = [("individual", "month"), ("house", "day")]
    kinds += [("balance", step) for step, most in MAX_DAYS.items() if days <= most]
    kinds += [("heat", "day")] if closed.resource == "heat" else []
    made = {}
    for language in LANGUAGES:
        head = _head(db, closed, closing_hash(hashes), language)
        for name, step in kinds:
            try:
                known = (
                    {"given": parts[f"balance/{step}"], "explanation": parts["summary"].explanation}
                    if name == "balance"
                    else {}
                )
                span = (closed.building_id, closed.first_day, closed.last_day, closed.resource)
                statement = NAMES[name](db, *span, step, language, **known)
            except RegistryError:
                continue  # a period longer than this statement may be: it has no print
            made[_part(name, step, language)] = _packed(replace(statement, header=[*statement.header, *head]))
    return made


def _part(name: str, step: str, language: str) -> str:
    return f"{PRINT}{name}/{step}/{language}" if name == "balance" else f"{PRINT}{name}/{language}"


def _head(db: Database, closed: ClosedPeriod, sha: str, language: str) -> list[tuple[str, str]]:
    say = partial(word, language=language)
    zone = zone_of(db.rows("SELECT timezone FROM building WHERE id = ?", (closed.building_id,))[0][0])
    at = moment(closed.closed_at_us, zone).strftime("%d.%m.%Y %H:%M")
    lines = [(say("closed"), f"{at}, {closed.author}, {say('revision')} {closed.revision}")]
    if closed.reason:
        lines.append((say("closed.reason"), closed.reason))
    return [*lines, (say("closed.hash"), sha)]


def printed(
    db: Database,
    name: str,
    building_id: int,
    from_date: date,
    to_date: date,
    resource: str,
    step: str,
    language: str,
) -> Statement | None:
    """The statement as it was printed at the closing of exactly this period; None when it is not closed."""
    for closing in closings_within(db, building_id, resource, from_date, to_date):
        if (closing.first_day, closing.last_day) == (from_date, to_date):
            text = part_of(db, closing.id, _part(name, step, language))
            return None if text is None else _unpacked(json.loads(text))
    return None


def closed_notes(
    db: Database, building_id: int, from_date: date, to_date: date, resource: str, say: Callable[[str], str]
) -> list[str]:
    """What a statement over closed periods says of them, when it is not one of them."""
    return [
        f"{say('closed.within')} {each.first_day:%d.%m.%Y} – {date.fromordinal(each.last_day.toordinal() - 1):%d.%m.%Y},"
        f" {say('revision')} {each.revision}"
        for each in closings_within(db, building_id, resource, from_date, to_date)
        if (each.first_day, each.last_day) != (from_date, to_date)
    ]


# ------------------------------------------------------------------------------------------------------------ as JSON

_TAGS: dict[str, Callable[[str], Cell]] = {
    "number": Decimal,
    "day": date.fromisoformat,
    "moment": datetime.fromisoformat,
}


def _cell(value: Cell) -> Any:
    if isinstance(value, Decimal):
        return {"number": format(value, "f")}
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    return {"day": value.isoformat()} if isinstance(value, date) else value


def _value(cell: Any) -> Cell:
    if isinstance(cell, dict):
        [(tag, text)] = cell.items()
        return _TAGS[tag](text)
    return cell  # type: ignore[no-any-return]


def _packed(statement: Statement) -> dict[str, Any]:
    return {
        "name": statement.name,
        "language": statement.language,
        "title": statement.title,
        "header": statement.header,
        "columns": [[c.key, c.title, c.width, c.number] for c in statement.columns],
        "rows": [[_cell(value) for value in row] for row in statement.rows],
        "totals": [[_cell(value) for value in row] for row in statement.totals],
        "notes": statement.notes,
        "signatures": statement.signatures,
    }


def _unpacked(kept: dict[str, Any]) -> Statement:
    return Statement(
        kept["name"],
        kept["language"],
        kept["title"],
        [(label, value) for label, value in kept["header"]],
        [Column(*column) for column in kept["columns"]],
        [tuple(_value(cell) for cell in row) for row in kept["rows"]],
        [tuple(_value(cell) for cell in row) for row in kept["totals"]],
        kept["notes"],
        kept["signatures"],
    )

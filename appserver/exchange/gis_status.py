"""FR-23, the way back: what was told to ГИС ЖКХ is remembered, and what ГИС says of it in column J is read.

ГИС writes the outcome of each row into column J «Статус обработки» of the same file. A reading that it accepted is not sent
again as long as it is the same; one that it refused, or that has changed, is in the next file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlmodel import col, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange.gis import RESOURCES, Told
from appserver.exchange.tables import TableError, read_rows
from appserver.models import GisReading

NUMBER, RESOURCE, PERIOD, STATUS = 1, 2, 3, 9
"""Columns B, C, D and J."""
_NAMES = {name.casefold(): resource for resource, name in RESOURCES.items()}
_GOOD = re.compile(r"^(успешно|загружен|принят|обработан|размещен|размещён|выполнен)", re.IGNORECASE)
_BAD = re.compile(r"ошиб|не\s+(загружен|принят|обработан|размещ|выполн|найден)|отказ|отклон", re.IGNORECASE)
MAX_SAID = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a file with statuses came to."""

    accepted: int
    refused: int
    waiting: int
    """Rows of ours without a status yet."""
    unknown: list[str]
    """Numbers in ГИС of rows that we never sent."""


def verdict(said: str) -> str:
    """``accepted``, ``refused`` or ``sent`` for an empty status. What is not plainly good counts as refused: a person looks."""
    if not said.strip():
        return "sent"
    return "accepted" if _GOOD.match(said.strip()) and not _BAD.search(said) else "refused"


def unsent(db: Database, building_id: int, month: date, rows: Sequence[Told]) -> list[Told]:
    """The rows without those that ГИС accepted with the same values."""
    done = {
        (one.number, one.resource): one.values_told for one in sent(db, building_id, month) if one.state == "accepted"
    }
    return [row for row in rows if done.get((row.number, row.resource)) != row.values]


def remember(db: Database, building_id: int, month: date, rows: Sequence[Told], author: str, now_us: int) -> None:
    """Note down what goes into a file. Raises RegistryError ``invalid`` for a number of ГИС that two meters have."""
    numbers = [(row.number, row.resource) for row in rows]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number, resource in numbers if numbers.count((number, resource)) > 1)
        raise RegistryError("invalid", "file", f"Two meters have the number {twice} of ГИС; correct the export.")
    with db.writing() as session:
        known = {
            (one.number, one.resource): one
            for one in session.exec(
                select(GisReading).where(GisReading.building_id == building_id, GisReading.month == month)
            )
        }
        for row in rows:
            one = known.get((row.number, row.resource)) or GisReading(
                building_id=building_id,
                meter_id=row.meter_id,
                number=row.number,
                resource=row.resource,
                month=month,
                values_told="",
                taken_on=row.taken_on,
                sent_at_us=now_us,
                sent_by=author,
            )
            one.meter_id, one.values_told, one.taken_on = row.meter_id, row.values, row.taken_on
            one.sent_at_us, one.sent_by, one.state, one.said, one.said_at_us = now_us, author, "sent", "", None
            session.add(one)


def sent(db: Database, building_id: int, month: date) -> list[GisReading]:
    """What was told of a building's month, in the order of meters."""
    query = (
        select(GisReading)
        .where(GisReading.building_id == building_id, GisReading.month == month)
        .order_by(col(GisReading.id))
    )
    with db.reading() as session:
        return list(session.exec(query))


def take_statuses(db: Database, building_id: int, data: bytes, now_us: int) -> Outcome:
    """Read column J of a file that came back. Raises RegistryError ``invalid`` for a file that is none of those."""
    try:
        rows = [row for row in read_rows(data) if len(row) > PERIOD]
    except TableError as error:
        raise RegistryError("invalid", "file", str(error)) from error
    told = [found for row in rows if (found := _key(row)) is not None]
    if not told:
        raise RegistryError("invalid", "file", "No row has a number in ГИС (B), a resource (C) and a period (D).")
    counts = {"accepted": 0, "refused": 0, "sent": 0}
    unknown: list[str] = []
    with db.writing() as session:
        for number, resource, month, said in told:
            one = session.exec(
                select(GisReading).where(
                    GisReading.building_id == building_id,
                    GisReading.number == number,
                    GisReading.resource == resource,
                    GisReading.month == month,
                )
            ).first()
            if one is None:
                unknown.append(number)
                continue
            state = verdict(said)
            counts[state] += 1
            if state != "sent":
                one.state, one.said, one.said_at_us = state, said.strip()[:MAX_SAID], now_us
                session.add(one)
    return Outcome(counts["accepted"], counts["refused"], counts["sent"], unknown)


def _key(row: list[str]) -> tuple[str, str, date, str] | None:
    """Number, resource, month and status of a row; None for the heading and for what is none."""
    number, resource = row[NUMBER].strip(), _NAMES.get(row[RESOURCE].strip().casefold())
    period = re.fullmatch(r"(?:\d{2}\.)?(\d{2})\.(\d{4})|(\d{4})-(\d{2})(?:-\d{2})?.*", row[PERIOD].strip())
    if not number or resource is None or period is None:
        return None
    month, year = (period[1], period[2]) if period[1] else (period[4], period[3])
    if not 1 <= int(month) <= 12:
        return None
    return number, resource, date(int(year), int(month), 1), row[STATUS] if len(row) > STATUS else ""

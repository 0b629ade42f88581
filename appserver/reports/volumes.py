"""Volumes of a free period as a file: of a building or a point, or of all points of a town."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from appserver.metering.free_volumes import Volumes
from appserver.metering.timebase import moment, zone_of
from appserver.metering.volumes import PointVolume
from appserver.reports.statement import Cell, Column, Statement
from appserver.reports.words import word


def _shown(at: datetime | None, language: str) -> str:
    if at is None:
        return ""
    return f"{at:%d.%m.%Y %H:%M}" if language == "ru" else f"{at:%Y-%m-%d %H:%M}"


def _columns(language: str, *first: Column) -> list[Column]:
    def say(key: str) -> str:
        return word(key, language)

    return [
        *first,
        Column("premises", say("premises"), 12),
        Column("account", say("account"), 16),
        Column("resource", say("resource"), 18),
        Column("role", say("volumes.point"), 14),
        Column("serial", say("serial"), 16),
        Column("start_at", say("volumes.from"), 16),
        Column("start", say("start"), 12, True),
        Column("end_at", say("volumes.to"), 16),
        Column("end", say("end"), 12, True),
        Column("volume", say("volume"), 12, True),
        Column("unit", say("unit"), 9),
        Column("quality", say("quality"), 15),
        Column("error", say("volumes.error"), 12, True),
        Column("clock", say("volumes.clock"), 12, True),
    ]


def volumes_statement(volumes: Volumes, language: str) -> Statement:
    """Volumes of a building or a point, step by step."""

    def say(key: str) -> str:
        return word(key, language)

    rows: list[tuple[Cell, ...]] = [
        (
            row.point.premises,
            row.point.account_number,
            say(f"r.{row.resource}"),
            say(f"volumes.{row.point.role}"),
            row.point.serial,
            _shown(row.period_start if row.start_at is None else row.start_at, language),
            row.start,
            _shown(row.period_end if row.end_at is None else row.end_at, language),
            row.end,
            row.volume,
            say(f"u.{row.unit}"),
            say(f"q.{row.quality}"),
            row.error,
            row.clock,
        )
        for row in volumes.rows
    ]
    header = [
        (say("address"), volumes.address),
        (say("period"), f"{_shown(volumes.start, language)} – {_shown(volumes.end, language)}"),
        (say("zone"), volumes.timezone),
    ]
    return Statement("volumes", language, say("volumes.title"), header, _columns(language), rows)


def town_statement(volumes: Iterable[PointVolume], first: date, last: date, zone: str, language: str) -> Statement:
    """Volumes of all points of a town or an organisation, times of ends in ``zone``."""
    place = zone_of(zone)

    def say(key: str) -> str:
        return word(key, language)

    def at(us: int | None) -> str:
        return "" if us is None else _shown(moment(us, place), language)

    rows: list[tuple[Cell, ...]] = [
        (
            row.address,
            row.premises,
            row.account_number,
            say(f"r.{row.resource}"),
            say(f"volumes.{row.role}"),
            row.serial,
            at(row.start_us),
            row.start,
            at(row.end_us),
            row.end,
            row.volume,
            say(f"u.{row.unit}"),
            say(f"q.{row.quality}"),
            row.error,
            row.clock,
        )
        for row in volumes
    ]
    shown = "%d.%m.%Y" if language == "ru" else "%Y-%m-%d"
    header = [
        (say("period"), f"{first:{shown}} – {last - timedelta(days=1):{shown}}"),
        (say("zone"), zone),
    ]
    columns = _columns(language, Column("address", say("address"), 40))
    return Statement("volumes", language, say("volumes.title"), header, columns, rows)

"""The list of silent modules as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appserver.metering.collection import SilentModule
from appserver.metering.timebase import moment, zone_of
from appserver.reports.statement import Cell, Column, Statement
from appserver.reports.words import word


@dataclass(frozen=True, slots=True)
class SilentRow:
    """A silent module with who heard it last and why it may be silent."""

    module: SilentModule
    gateway_eui: str
    gateway: str
    reason: str
    """One of :data:`appserver.metering.silence.REASONS`."""


def silence_statement(rows: Sequence[SilentRow], now_us: int, hours: int, zone: str, language: str) -> Statement:
    """The list at a moment, times in ``zone``."""
    place = zone_of(zone)

    def say(key: str) -> str:
        return word(key, language)

    def shown(at: datetime) -> str:
        return f"{at:%d.%m.%Y %H:%M}" if language == "ru" else f"{at:%Y-%m-%d %H:%M}"

    def line(number: int, row: SilentRow) -> tuple[Cell, ...]:
        one = row.module
        heard = one.last_uplink_at_us
        return (
            number,
            one.organisation,
            one.address,
            one.premises,
            one.serial,
            one.dev_eui,
            say("silent.never") if heard is None else shown(moment(heard, place)),
            None if heard is None else (now_us - heard) // 3_600_000_000,
            row.gateway or row.gateway_eui,
            say(f"silent.{row.reason}"),
        )

    columns = [
        Column("number", say("number"), 6, True),
        Column("organisation", say("organisation"), 28),
        Column("address", say("address"), 40),
        Column("premises", say("premises"), 12),
        Column("serial", say("serial"), 16),
        Column("dev_eui", "DevEUI", 20),
        Column("last_uplink_at", say("silent.heard"), 18),
        Column("silent_hours", say("silent.hours"), 12, True),
        Column("gateway", say("silent.last_gateway"), 22),
        Column("reason", say("silent.reason"), 40),
    ]
    header = [
        (say("silent.at"), f"{shown(moment(now_us, place))} ({zone})"),
        (say("silent.longer"), str(hours)),
        (say("total"), str(len(rows))),
    ]
    lines = [line(number, row) for number, row in enumerate(rows, 1)]
    return Statement("silent", language, say("silent.title"), header, columns, lines)

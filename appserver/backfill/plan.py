"""Which missing boundary values to ask for next, and what to ask. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appserver.metering.timebase import date_of, midnight_us, moment
from appserver.rules.kinds import Backfill


@dataclass(frozen=True, slots=True)
class Gap:
    """A boundary value that is not known."""

    dev_eui: str
    meter_id: int
    point_id: int
    day: int
    """Number of the day that the boundary begins."""
    subsystem: int = 1
    """Of the device's subsystems the one that counts it."""

    @property
    def billing(self) -> bool:
        """Whether a billing period begins or ends with it."""
        return date_of(self.day).day == 1


@dataclass(frozen=True, slots=True)
class Asked:
    """An earlier query for a point's boundary."""

    point_id: int
    day: int
    state: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a device is asked for: an archive and a time of its clock."""

    archive: str
    time: datetime


def stamp_of(day: int, building: ZoneInfo, device: ZoneInfo) -> Stamp:
    """The record that tells the register at a building's midnight.

    A KARAT closes a day with a record stamped 23:00, the start of its last hour; where the device's clock shows another
    time than midnight, the hour's own record is asked for.
    """
    local = moment(midnight_us(day, building), device).replace(tzinfo=None)
    if local.hour == 0 and local.minute == 0:
        return Stamp("day_integral", local - timedelta(hours=1))
    return Stamp("hour_integral", local)


def budget(rule: Backfill, asked_last_hour: int, in_flight: int) -> int:
    """How many queries may be added now."""
    hour = rule.airtime_ms_hour // rule.query_airtime_ms
    return max(min(rule.in_flight - in_flight, hour - asked_last_hour), 0)


def choose(gaps: Iterable[Gap], asked: Iterable[Asked], busy: Collection[str], count: int, rule: Backfill) -> list[Gap]:
    """At most ``count`` gaps to ask for: billing boundaries first, then the newest; one of a device.

    A device that had no record of a day has none of the days before it either.
    """
    tries: dict[tuple[int, int], int] = {}
    gone: dict[int, int] = {}
    for one in asked:
        tries[one.point_id, one.day] = tries.get((one.point_id, one.day), 0) + 1
        if one.state == "no_record":
            gone[one.point_id] = max(gone.get(one.point_id, one.day), one.day)
    wanted = [
        gap
        for gap in gaps
        if gap.dev_eui not in busy
        and tries.get((gap.point_id, gap.day), 0) < rule.attempts
        and gap.day > gone.get(gap.point_id, -1)
    ]
    chosen: dict[str, Gap] = {}
    for gap in sorted(wanted, key=lambda g: (not g.billing, -g.day, g.point_id)):
        if len(chosen) >= count:
            break
        chosen.setdefault(gap.dev_eui, gap)
    return list(chosen.values())


def subsystem_of(channel: int) -> int:
    """The subsystem behind a channel: KARAT's codec numbers a subsystem's further registers 11 to 19, 21 to 29 …"""
    return channel if channel < 10 else channel // 10


NO_RECORD = 0x011A


def answer_state(values: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """What an uplink says to an open query: its state and reason, None when it is no refusal."""
    error = (values or {}).get("error")
    if not isinstance(error, int):
        return None
    return ("no_record" if error == NO_RECORD else "failed"), str((values or {}).get("error_text", ""))

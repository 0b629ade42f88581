"""A gateway's statistics as charts and as a table of outcomes."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from appserver.web import i18n
from internalapi import messages as m

HOUR_US = 3_600_000_000
CHART_HOURS = 48
DAY_HOURS = 24
SHOWN_HOURS = 30 * DAY_HOURS


class Outcome(NamedTuple):
    """One answer of the gateway to downlinks: how often in the last day, and in the last 30 days."""

    code: str
    day: int
    month: int


def outcomes(hours: Sequence[m.GatewayHour], now_us: int) -> list[Outcome]:
    """All outcomes, success first, the others by how often they came."""
    month: Counter[str] = Counter()
    day: Counter[str] = Counter()
    for hour in hours:
        month.update(hour.outcomes)
        if hour.hour_us > now_us - DAY_HOURS * HOUR_US:
            day.update(hour.outcomes)
    rows = [Outcome(code, day[code], count) for code, count in month.items()]
    return sorted(rows, key=lambda row: (row.code != "NONE", -row.month, row.code))


def online_share(hours: Sequence[m.GatewayHour], now_us: int) -> float | None:
    """Share of the last day in which the gateway was heard; None when nothing is known of that day."""
    day = [hour.online_s for hour in hours if hour.hour_us > now_us - DAY_HOURS * HOUR_US]
    return min(1.0, sum(day) / (DAY_HOURS * 3600)) if day else None


def charts(hours: Sequence[m.GatewayHour], now_us: int, zone: str) -> list[dict[str, Any]]:
    """Frames, airtime and round trip by the hour, the last two days. A figure without any value is left out."""
    by_hour = {hour.hour_us: hour for hour in hours}
    last_us = now_us - now_us % HOUR_US
    moments = [last_us - back * HOUR_US for back in range(CHART_HOURS - 1, -1, -1)]

    def values(of: Callable[[m.GatewayHour], float | None]) -> list[float | None]:
        return [of(by_hour[moment]) if moment in by_hour else None for moment in moments]

    def figure(unit: str, digits: int, *series: tuple[str, str, list[float | None]]) -> dict[str, Any]:
        return {
            "title": " · ".join(name for name, _, _ in series) + (f", {unit}" if unit else ""),
            "step": "hour",
            "unit": unit,
            "digits": digits,
            "language": i18n.language(),
            "label": i18n.gettext("Hour"),
            "x": [_wall_clock(moment, zone) for moment in moments],
            "series": [{"name": name, "kind": kind, "values": found} for name, kind, found in series],
        }

    found = [
        figure(
            "",
            0,
            (i18n.gettext("Frames received"), "house", values(lambda hour: hour.uplinks)),
            (i18n.gettext("Frames sent"), "flats", values(lambda hour: hour.outcomes.get("NONE", 0))),
        ),
        figure(
            i18n.gettext("s"),
            1,
            (i18n.gettext("Airtime"), "bar", values(lambda hour: sum(hour.airtime_ms.values()) / 1000)),
        ),
        figure(
            i18n.gettext("ms"),
            0,
            (i18n.gettext("Round trip, mean"), "value", values(lambda hour: hour.rtt_mean_ms)),
            (i18n.gettext("at most"), "gap", values(lambda hour: hour.rtt_most_ms)),
        ),
    ]
    return [one for one in found if any(value for series in one["series"] for value in series["values"])]


def _wall_clock(moment_us: int, zone: str) -> int:
    """Local time as if it were UTC, so that days stand upright."""
    local = datetime.fromtimestamp(moment_us / 1e6, UTC).astimezone(ZoneInfo(zone))
    return calendar.timegm(local.timetuple())

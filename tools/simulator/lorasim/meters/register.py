"""A meter's register: what has flowed through it since the start, forwards and backwards, and what it shows.

Kept are totals at midnights and the hours of the last day that was asked for; a year of a thousand meters is some megabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lorasim.meters.config import USUAL, Incident

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
FLAGGED = {"leak": "leak", "burst": "burst", "reverse": "reverse", "magnet": "magnet"}


@dataclass(slots=True, frozen=True)
class Shown:
    """What a meter shows at a moment; volumes in the resource's units."""

    serial: int
    forward: int
    reverse: int
    flags: frozenset[str]


class Register:
    """``use``: units of the 24 hours of a day, by its ordinal. Days begin at local midnight of the first one and are 24 hours
    long: a change to summer time shifts the habits of those who live there by an hour.
    """

    __slots__ = (
        "_backward",
        "_day",
        "_forward",
        "_hours",
        "_incidents",
        "_litre",
        "_serial",
        "_start_units",
        "_start_us",
        "_today",
        "_use",
    )  # fmt: skip

    def __init__(
        self,
        use: Callable[[int], list[int]],
        start: datetime,
        start_units: int,
        serial: int,
        incidents: list[Incident],
        litre: int,
    ) -> None:
        self._use, self._start_units, self._serial, self._incidents, self._litre = (
            use,
            start_units,
            serial,
            incidents,
            litre,
        )
        self._day = start.date().toordinal()
        self._start_us = round(start.timestamp()) * 1_000_000
        self._forward, self._backward = array("q", [0]), array("q", [0])
        self._hours = array("q"), array("q")
        self._today = -1

    def _amount(self, incident: Incident) -> float:
        return incident.amount or USUAL.get(incident.kind, 0.0)

    def _of_day(self, number: int) -> tuple[list[int], list[int]]:
        """What flows in the hours of a day, forwards and backwards."""
        forward = self._use(self._day + number)
        backward = [0] * 24
        for incident in self._incidents:
            if incident.kind in ("replacement", "clock", "silence"):
                continue
            first, last = incident.from_h - 24 * number, incident.from_h + incident.for_h - 24 * number
            for hour in range(24):
                share = min(hour + 1, last) - max(hour, first)
                if share <= 0:
                    continue
                amount = self._amount(incident)
                if incident.kind in ("leak", "burst"):
                    forward[hour] += round(amount * self._litre * share)
                elif incident.kind == "thief":
                    forward[hour] -= round(forward[hour] * amount * share)
                elif incident.kind == "magnet":
                    forward[hour] -= round(forward[hour] * share)
                elif incident.kind == "reverse":
                    backward[hour] += round(amount * self._litre * share)
        return forward, backward

    def _flowed(self, at_us: int) -> tuple[int, int]:
        """Forwards and backwards since the start; within an hour it flows evenly."""
        since_us = max(0, at_us - self._start_us)
        number, in_day_us = divmod(since_us, DAY_US)
        while len(self._forward) <= number:
            forward, backward = self._of_day(len(self._forward) - 1)
            self._forward.append(self._forward[-1] + sum(forward))
            self._backward.append(self._backward[-1] + sum(backward))
        if self._today != number:
            forward, backward = self._of_day(number)
            self._hours, self._today = (array("q", forward), array("q", backward)), number
        hour, rest_us = divmod(in_day_us, HOUR_US)
        sums = []
        for before, hours in ((self._forward[number], self._hours[0]), (self._backward[number], self._hours[1])):
            sums.append(before + sum(hours[:hour]) + hours[hour] * rest_us // HOUR_US)
        return sums[0], sums[1]

    def shown(self, at_us: int) -> Shown:
        """What the meter shows at a moment."""
        forward, backward = self._flowed(at_us)
        start_units, serial, base, flags = self._start_units, self._serial, (0, 0), set()
        hours = (at_us - self._start_us) / HOUR_US
        for incident in self._incidents:
            if incident.kind == "replacement" and hours >= incident.from_h:
                start_units, serial = 0, serial + 1_000_000
                base = self._flowed(self._start_us + round(incident.from_h * HOUR_US))
            elif incident.kind in FLAGGED and incident.from_h <= hours < incident.from_h + incident.for_h:
                flags.add(FLAGGED[incident.kind])
        return Shown(serial, start_units + forward - base[0], backward - base[1], frozenset(flags))

    def clock_error_us(self, at_us: int) -> int:
        """How far the meter's own clock is ahead at a moment."""
        hours = (at_us - self._start_us) / HOUR_US
        wrong = (one for one in self._incidents if one.kind == "clock" and one.from_h <= hours)
        return sum(round(self._amount(one) * 1e6) for one in wrong)

    def is_silent(self, at_us: int) -> bool:
        hours = (at_us - self._start_us) / HOUR_US
        return any(one.kind == "silence" and one.from_h <= hours < one.from_h + one.for_h for one in self._incidents)

    def hourly(self, until_us: int, count: int) -> list[Shown]:
        """The last ``count`` full hours' values, the oldest first: the meter's own archive."""
        last_us = until_us - until_us % HOUR_US
        return [self.shown(last_us - n * HOUR_US) for n in reversed(range(count))]


def midnight_before(at_us: int, start: datetime) -> int:
    """The last local midnight, microseconds."""
    local = datetime.fromtimestamp(at_us / 1e6, start.tzinfo)
    return round(datetime.combine(local.date(), datetime.min.time(), start.tzinfo).timestamp()) * 1_000_000

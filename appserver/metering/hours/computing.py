"""The hours of points out of their readings, by the rules of balances.

Between two readings that stand exactly on the hour, of one meter and plausible, the volume is their difference; whatever is
more than that (interpolation, a rollover, a replacement, a correction) goes the way of :mod:`appserver.metering.consumption`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from appserver.db import Connection
from appserver.metering.boundary import MAX_GAP_US, BoundaryValue, Sample, boundary_value
from appserver.metering.consumption import ZERO, Mark, Term, advance
from appserver.metering.hours.due import DAY_US, REACH_US
from appserver.metering.hours.packed import RANK, Month, hours_in, month_edges, month_of
from appserver.metering.refreshing import Told, Window, listed, read_told, sample_of
from appserver.metering.store import PointHistory, corrected, point_histories, reverse_growth, with_acts
from appserver.metering.timebase import HOUR_US
from appserver.models.columns import to_micro

MEASURED, SERVER_TIME, DISPUTED = RANK["measured"], RANK["server_time"], RANK["disputed"]
Days = tuple[int, int]
"""First and last day (of UTC) of which something new is known."""
Span = tuple[int, int]
"""From when to when, in microseconds, hours are to be computed."""
Key = tuple[int, int]
"""A point and a month."""
KEYS_A_QUERY = 500


def refreshed(connection: Connection, due: Mapping[int, Iterable[Days]], within: Span = (0, 2**62)) -> dict[Key, Month]:
    """The months of points with all hours computed anew that are due ``within`` a span; the others as they are kept."""
    histories = point_histories(connection, list(due))
    spans = {
        point: [(max(low, within[0]), min(high, within[1])) for low, high in _spans(days) if _meet((low, high), within)]
        for point, days in due.items()
    }
    months = _months(connection, histories, spans)
    for point, told in _told(connection, histories, spans).items():
        history = histories[point]
        for span in spans[point]:
            for month in _months_of(history, span):
                _put(connection, history, told, months[point, month], month, span)
    return months


def _meet(span: Span, other: Span) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def _spans(days: Iterable[Days]) -> list[Span]:
    """What these days can decide, without overlaps."""
    spans: list[Span] = []
    for first, last in sorted(days):
        low, high = first * DAY_US - REACH_US, (last + 1) * DAY_US + REACH_US
        if spans and low <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(high, spans[-1][1]))
        else:
            spans.append((low, high))
    return spans


def _months_of(history: PointHistory, span: Span) -> range:
    return range(month_of(span[0], history.zone), month_of(span[1] - 1, history.zone) + 1)


def _months(
    connection: Connection, histories: Mapping[int, PointHistory], spans: Mapping[int, Sequence[Span]]
) -> dict[Key, Month]:
    """The months that the spans touch, as they are kept or new."""
    keys = sorted({(p, month) for p, its in spans.items() for span in its for month in _months_of(histories[p], span)})
    months = {(point, month): Month(hours_in(month, histories[point].zone)) for point, month in keys}
    for start in range(0, len(keys), KEYS_A_QUERY):
        values, parameters = listed(keys[start : start + KEYS_A_QUERY])
        for point, month, volumes, ranks in connection.execute(
            f"WITH k (point_id, month) AS (VALUES {values}) SELECT h.point_id, h.month, h.volumes, h.ranks FROM k"
            " CROSS JOIN point_hours h ON h.point_id = k.point_id AND h.month = k.month",
            parameters,
        ):
            if len(ranks) == len(months[point, month].ranks):  # the zone may have changed meanwhile
                months[point, month] = Month(len(ranks), volumes, ranks)
    return months


class _Hung:
    """What is known of a meter while it hung at a point, around a span."""

    __slots__ = ("_rows", "_samples", "_values", "_words", "exact", "most_micro", "term")

    def __init__(self, term: Term, rows: list[Told], words: dict[int, int | None]) -> None:
        self.term = term
        self._rows = rows
        self._words = words
        self._samples: list[Sample] | None = None
        self._values: dict[int, BoundaryValue | None] = {}
        self.most_micro = to_micro(term.register.qmax) if term.ratio == 1 else -1
        """What an hour's difference may be without a closer look."""
        self.exact: dict[int, tuple[int, int] | None] = {}
        """Value and rank at the moments on the hour of which one reading tells; None where there is more to it."""
        for at_us, value_micro, quality, *_ in rows:
            if at_us % HOUR_US == 0:
                rank = SERVER_TIME if quality == "server_time" else MEASURED
                self.exact[at_us] = None if at_us in self.exact else (value_micro, rank)
        self.exact |= dict.fromkeys(words)

    @property
    def samples(self) -> list[Sample]:
        """Readings, people's words and acts, in order of time."""
        if self._samples is None:
            self._samples = with_acts(self.term, corrected(list(map(sample_of, self._rows)), self._words))
        return self._samples

    @property
    def moments(self) -> list[int]:
        """Of which something is known, in order."""
        known = {row[0] for row in self._rows} - self._words.keys() | {self.term.from_us}
        known |= {at_us for at_us, value in self._words.items() if value is not None}
        if self.term.until_us is not None and self.term.end_value is not None:
            known.add(self.term.until_us)
        return sorted(known)

    def at(self, at_us: int) -> BoundaryValue | None:
        """The register at a moment."""
        if at_us not in self._values:
            self._values[at_us] = boundary_value(self.samples, at_us, step=self.term.register.step)
        return self._values[at_us]

    def hours_between(self, start_us: int, first: int, last: int) -> set[int]:
        """Numbers of the hours after ``start_us``, of ``first`` to ``last`` (excluded), that two close samples may tell."""
        hours: set[int] = set()
        for one, other in pairwise(self.moments):
            if other - one <= MAX_GAP_US:
                low, high = (one - start_us) // HOUR_US, -((start_us - other) // HOUR_US)
                hours.update(range(max(low, first), min(high, last)))
        return hours


def _told(
    connection: Connection, histories: Mapping[int, PointHistory], spans: Mapping[int, Sequence[Span]]
) -> dict[int, list[_Hung]]:
    """What is known of each point's meters around its spans."""
    asked: list[tuple[int, Term, Window]] = []
    windows: dict[str, dict[Window, list[Told]]] = {}
    for point, its in spans.items():
        history = histories[point]
        for term in history.terms:
            until_us = term.until_us if term.until_us is not None else 2**62
            near = [
                (low - MAX_GAP_US, high + MAX_GAP_US)
                for low, high in its
                if _meet((low, high), (term.from_us, until_us))
            ]
            if near:
                low = max(min(low for low, _ in near), term.from_us + 1)
                window = (term.meter_id, low, min(max(high for _, high in near), until_us - 1))
                asked.append((point, term, window))
                windows.setdefault(history.register_name, {})[window] = []
    words = {register: read_told(connection, register, its) for register, its in windows.items()}
    told: dict[int, list[_Hung]] = {}
    for point, term, window in asked:
        register = histories[point].register_name
        told.setdefault(point, []).append(_Hung(term, windows[register][window], words[register].get(window, {})))
    return told


def _put(connection: Connection, history: PointHistory, told: list[_Hung], its: Month, month: int, span: Span) -> None:
    """Compute the hours of a month that a span touches."""
    start_us, end_us = month_edges(month, history.zone)
    first = max((span[0] - start_us) // HOUR_US, 0)
    last = min(-((start_us - span[1]) // HOUR_US), len(its.ranks))
    its.forget(first, last)
    growth = partial(reverse_growth, connection, history.register_name)
    only = told[0] if len(told) == 1 else None
    for hour in sorted({hour for one in told for hour in one.hours_between(start_us, first, last)}):
        from_us = start_us + hour * HOUR_US
        to_us = min(from_us + HOUR_US, end_us)
        if only is not None and (before := only.exact.get(from_us)) and (after := only.exact.get(to_us)):
            volume = after[0] - before[0]
            if 0 <= volume <= only.most_micro and only.term.holds(from_us) and only.term.holds(to_us):
                its.put(hour, volume, max(before[1], after[1]))
                continue
        its.put(hour, *_between(history.terms, told, from_us, to_us, growth))


def _between(terms: Sequence[Term], told: list[_Hung], from_us: int, to_us: int, growth: Any) -> tuple[int | None, int]:
    """The volume of an hour and its rank, by the rules of marks."""
    at_end = _at(told, to_us)
    if at_end is None:
        return None, RANK["missing"]
    at_start = _at(told, from_us)
    if at_start is not None:
        mark = Mark(from_us, at_start[0].id, at_start[1].value, ZERO, quality=at_start[1].quality)
    elif from_us < terms[0].from_us:  # its first meter was hung within this hour: nothing was counted earlier
        mark = Mark(terms[0].from_us, terms[0].id, terms[0].start_value, ZERO)
    else:
        return None, RANK["missing"]
    value = at_end[1]
    end = advance(mark, terms, to_us, value.value, value.quality, growth)
    rank = max(RANK[mark.quality], RANK[value.quality])
    return to_micro(end.total), max(rank, DISPUTED) if end.breaks else rank


def _at(told: list[_Hung], at_us: int) -> tuple[Term, BoundaryValue] | None:
    its = next((its for its in told if its.term.holds(at_us)), None)
    value = its.at(at_us) if its is not None else None
    return None if its is None or value is None else (its.term, value)

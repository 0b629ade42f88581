"""FR-12: an imbalance taken apart into its causes, in units of the resource, with the evidence behind each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from statistics import fmean

from appserver.metering.consumption import ZERO
from appserver.metering.explain import night, suspects
from appserver.metering.explain.filled import Filled, fill, typical_rates
from appserver.metering.explain.model import (
    CauseRow,
    Evidence,
    Explanation,
    HouseSeries,
    PointSeries,
    Unmetered,
    volume,
)

SKEW_DAYS = 7.0
"""A value so long before or after the edge is a reading at another time; a longer silence is a missing one."""
DAY_US = 86_400_000_000
NIGHT_HOURS = 6
DRIPPING = 0.02
"""Share of flats that draw less than their meter's starting flow on a night."""
LEAST_STEP = 0.01
"""Steps of the residual under this share of the house's flow are not told."""
LEAST_SURE = 8
GUESSED = 0.15
"""Days on which more of the house's flow is an estimate tell no steps."""
LEAST_CLOCK_US = 120_000_000
"""A smaller difference may be the time that a frame takes to arrive."""
ZERO_USE = 0.02


def explain(series: HouseSeries) -> Explanation:
    """The causes of an imbalance; their volumes add up to it, ``rest`` is what none of them explains."""
    typical, per_person = typical_rates(series.flats)
    flats = [fill(flat, series.days, typical) for flat in series.flats]
    without = [_likely(premises, typical, per_person) for premises in series.unmetered]
    residual = _residual(series, flats, sum(without))
    found = _leaks(series, len(without))
    rows = [
        _skew(series, flats),
        _missing(series, flats),
        _unmetered(series, without),
        _reverse(series),
        _theft(series, flats, residual, found),
    ]
    left = series.imbalance - sum((row.volume for row in rows), ZERO)
    rows.insert(-1, _leak_row(series, found, left))
    left -= rows[-2].volume
    rows.insert(3, _start_flow(series, left))
    left -= rows[3].volume
    rows.append(CauseRow("rest", left, None, "low", _rises(series, flats, residual, found)))
    return Explanation(series.imbalance, tuple(rows))


def _residual(series: HouseSeries, flats: Sequence[Filled], without: float) -> list[float]:
    """What came in each day and nobody counted; days whose flow is unknown take the mean of the others."""
    known = {
        day: flow - sum(flat.days[day] for flat in flats) - without
        for day, flow in enumerate(series.house)
        if flow is not None
    }
    mean = fmean(known.values()) if known else 0.0
    return [known.get(day, mean) for day in range(series.days)]


def _evidence(
    series: HouseSeries, point: PointSeries, what: str, amount: Decimal | None = None, **rest: object
) -> Evidence:
    days = {
        name: series.first_day + timedelta(days=int(rest.pop(name)))  # type: ignore[call-overload]
        for name in ("since", "until")
        if name in rest
    }
    info = point.info
    return Evidence(what, amount, info.point_id, info.meter_id, info.premises, **days, **rest)  # type: ignore[arg-type]


def _ordered(evidence: list[Evidence]) -> tuple[Evidence, ...]:
    """The largest share first."""
    return tuple(sorted(evidence, key=lambda e: -abs(e.volume or ZERO)))


# ------------------------------------------------------------------------------------------------- what was not counted


def _clock(point: Filled, length: int) -> float:
    """What the clock adds to the difference between what flowed and what the register shows for the period.

    By the point's own values where they tell; else at its daily rate.
    """
    if not length:
        return 0.0
    series = point.series
    more = []
    for own, part, error_us, day in zip(series.surplus, series.day_part, series.clock_us, (0, -1), strict=True):
        even = -(error_us or 0) / DAY_US if abs(error_us or 0) >= LEAST_CLOCK_US else 0.0
        more.append(float(own) if own is not None else point.days[day] * (even if part is None else part))
    return more[0] - more[1]


def _skew(series: HouseSeries, flats: Sequence[Filled]) -> CauseRow:
    """Values that were taken at another time: by a clock that is off, or days before the period's edge."""
    evidence = []
    total = bound = ZERO
    for flat in flats:
        amount = volume(_clock(flat, series.days))
        total += amount
        bound += flat.series.clock_bound
        worst = max((error or 0 for error in flat.series.clock_us), key=abs)
        if abs(worst) >= LEAST_CLOCK_US:
            minutes = (Decimal(worst) / 60_000_000).quantize(Decimal(1))
            evidence.append(_evidence(series, flat.series, "clock", amount, number=minutes))
        for gap in flat.gaps:
            if gap.kind in ("start", "end") and gap.days <= SKEW_DAYS:
                amount = volume(gap.volume)
                total += amount
                evidence.append(
                    _evidence(
                        series,
                        flat.series,
                        f"read_{gap.kind}",
                        amount,
                        since=gap.from_day,
                        until=gap.until_day,
                        number=Decimal(gap.days).quantize(Decimal("0.1")),
                    )
                )
    for main in series.mains:
        bound += main.clock_bound
        filled = fill(main, series.days, 0.0)
        sign = -1 if main.info.direction == "in" else 1
        amount = volume(sign * _clock(filled, series.days))
        if amount:
            total += amount
            minutes = Decimal(max((error or 0 for error in main.clock_us), key=abs)) / 60_000_000
            evidence.append(_evidence(series, main, "clock_main", amount, number=minutes.quantize(Decimal(1))))
    return CauseRow("skew", total, volume(bound), "high" if evidence else "medium", _ordered(evidence))


def _missing(series: HouseSeries, flats: Sequence[Filled]) -> CauseRow:
    """Days that a meter does not tell, at its own rate; interpolated values add to the bound only."""
    evidence = []
    total = bound = ZERO
    for flat in flats:
        bound += flat.series.spread
        for gap in flat.gaps:
            if gap.kind in ("start", "end") and gap.days <= SKEW_DAYS:
                continue
            amount = volume(gap.volume)
            total += amount
            evidence.append(
                _evidence(series, flat.series, f"missing_{gap.kind}", amount, since=gap.from_day, until=gap.until_day)
            )
    return CauseRow("missing", total, volume(bound), "medium" if evidence else "high", _ordered(evidence))


def _likely(premises: Unmetered, typical: float, per_person: float | None) -> float:
    """What premises without a meter draw a day: by norm; else a flat like as many persons with one, else like a flat."""
    if premises.by_norm is not None:
        return premises.by_norm
    if premises.kind != "flat":
        return 0.0
    if premises.residents is not None and per_person is not None:
        return premises.residents * per_person
    return typical


def _unmetered(series: HouseSeries, likely: Sequence[float]) -> CauseRow:
    """What premises without a meter draw, by norm or as others like them do."""
    evidence = [
        Evidence(
            "no_meter_norm" if premises.by_norm is not None else f"no_meter_{premises.kind}",
            volume(a_day * series.days),
            premises=premises.premises,
            number=None if premises.residents is None else Decimal(premises.residents),
        )
        for premises, a_day in zip(series.unmetered, likely, strict=True)
    ]
    total = sum((e.volume or ZERO for e in evidence), ZERO)
    bound = volume(sum(likely) * series.days / 2)
    return CauseRow("unmetered", total, bound, "low" if likely else "high", _ordered(evidence))


def _reverse(series: HouseSeries) -> CauseRow:
    """What flowed back through flats' meters was counted off; it came in all the same."""
    evidence = []
    for point, sign in [*((flat, 1) for flat in series.flats), *((main, -1) for main in series.mains)]:
        if point.reverse:
            evidence.append(_evidence(series, point, "reverse", volume(point.reverse * sign)))
    total = sum((e.volume or ZERO for e in evidence), ZERO)
    return CauseRow("reverse", total, ZERO, "high", _ordered(evidence))


def _start_flow(series: HouseSeries, left: Decimal) -> CauseRow:
    """Flows under the starting flow move no meter. Nothing tells them, so they take no more than others leave over."""
    hours = Decimal(NIGHT_HOURS * series.days)
    expected = sum((flat.qstart for flat in series.flats), ZERO) * hours * Decimal(str(DRIPPING))
    amount = volume(min(expected, max(left, ZERO)))
    evidence = []
    if expected:
        flow = max(flat.qstart for flat in series.flats)
        evidence.append(Evidence("starting_flow", amount, number=flow))
    return CauseRow("start_flow", amount, volume(expected), "low", tuple(evidence))


# ---------------------------------------------------------------------------------------------------- leaks and theft


def _leaks(series: HouseSeries, unmetered: int) -> list[night.Leak]:
    nights = night.night_residuals(series.house_nights, series.flats, unmetered)
    step = sum(float(main.spread) for main in series.mains) / 2
    return night.leaks(nights, step / 3)


def _leak_row(series: HouseSeries, leaks: Sequence[night.Leak], left: Decimal) -> CauseRow:
    """Leaks at their flow of the night, all day long.

    Where the flats' own nights are not known, the flow may be theirs: then leaks take no more than others leave over.
    """
    evidence = []
    bound = 0.0
    sure = all(leak.sure for leak in leaks)
    whole = sum(24 * leak.per_hour * (leak.end - leak.start) for leak in leaks)
    part = 1.0 if sure or whole <= left else max(float(left), 0.0) / whole
    for leak in leaks:
        hours = 24 * (leak.end - leak.start) * part
        bound += leak.bound * hours
        evidence.append(
            Evidence(
                "night_flow",
                volume(leak.per_hour * hours),
                since=series.first_day + timedelta(days=leak.start),
                until=series.first_day + timedelta(days=leak.end),
                number=volume(leak.per_hour),
            )
        )
    if not any(flow is not None for flow in series.house_nights):
        evidence.append(Evidence("nights_unknown"))
    total = sum((e.volume or ZERO for e in evidence), ZERO)
    confidence = "high" if leaks and sure else "medium" if part == 1.0 else "low"
    return CauseRow("leak", total, volume(bound), confidence, tuple(evidence))


def _steps(
    series: HouseSeries, flats: Sequence[Filled], residual: Sequence[float], leaks: Sequence[night.Leak]
) -> tuple[list[suspects.Suspect], list[suspects.Rise]]:
    """Suspects and rises, found on the days that are known; what they took on the others is put in at the same rate."""
    days = _sure_days(series, flats)
    if len(days) < LEAST_SURE:
        return [], []
    begun = []
    before = 0.0
    for leak in leaks:
        if leak.start > 0:
            begun.append((sum(day < leak.start for day in days), 24 * (leak.per_hour - before)))
        before = leak.per_hour
    known = [replace(flat, days=[flat.days[day] for day in days]) for flat in flats]
    least = LEAST_STEP * fmean(series.house[day] or 0.0 for day in days)
    found, rises = suspects.find([residual[day] for day in days], known, least, begun)
    edges = [*days, series.days]
    whole = []
    for suspect in found:
        start, end = edges[suspect.start], edges[suspect.end]
        part = (end - start) / (suspect.end - suspect.start)
        whole.append(replace(suspect, start=start, end=end, volume=suspect.volume * part))
    return whole, [replace(rise, start=edges[rise.start], end=edges[rise.end]) for rise in rises]


def _sure_days(series: HouseSeries, flats: Sequence[Filled]) -> list[int]:
    """Days on which the house is known and next to nothing of the flats is an estimate.

    A day that is known only together with its neighbours tells steps badly: it counts when there are too few others.
    """

    def days(vague: Callable[[Filled, int], bool]) -> list[int]:
        return [
            day
            for day, flow in enumerate(series.house)
            if flow is not None and sum(flat.days[day] for flat in flats if vague(flat, day)) <= GUESSED * flow
        ]

    sharp = days(Filled.blurred)
    return sharp if len(sharp) >= LEAST_SURE else days(Filled.guessed)


def _theft(
    series: HouseSeries, flats: Sequence[Filled], residual: Sequence[float], leaks: Sequence[night.Leak]
) -> CauseRow:
    found, _ = _steps(series, flats, residual, leaks)
    evidence = []
    for suspect in found:
        point = suspect.flat.series
        fall = volume(suspect.fall)
        evidence.append(
            _evidence(
                series, point, "step", volume(suspect.volume), since=suspect.start, until=suspect.end, number=fall
            )
        )
        evidence += [_evidence(series, point, f"flag_{flag}") for flag in point.flags if flag in suspects.TAMPER]
    total = sum((e.volume or ZERO for e in evidence), ZERO)
    suspected = {suspect.flat.series.info.point_id for suspect in found}
    for flat in flats:
        info = flat.series.info
        if info.point_id in suspected or flat.gaps or info.premises_kind not in ("flat", ""):
            continue
        if flat.series.residents and sum(flat.days) <= ZERO_USE * flat.series.residents and series.days >= 20:
            evidence.append(_evidence(series, flat.series, "zero_use", number=Decimal(flat.series.residents)))
        elif suspects.TAMPER & set(flat.series.flags):
            evidence += [
                _evidence(series, flat.series, f"flag_{flag}") for flag in flat.series.flags if flag in suspects.TAMPER
            ]
    confidence = "medium" if found and all(suspect.sure for suspect in found) else "low"
    return CauseRow("theft", total, None, confidence, tuple(evidence))


def _rises(
    series: HouseSeries, flats: Sequence[Filled], residual: Sequence[float], leaks: Sequence[night.Leak]
) -> tuple[Evidence, ...]:
    _, rises = _steps(series, flats, residual, leaks)
    return tuple(
        Evidence(
            "rise",
            since=series.first_day + timedelta(days=rise.start),
            until=series.first_day + timedelta(days=rise.end),
            number=volume(rise.a_day),
        )
        for rise in rises
    )

"""Detectors over volumes: leak, burst, standstill, imbalance, theft. Pure: a picture in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from appserver.incidents.detectors import flags
from appserver.incidents.facts import NIGHT_HOURS, Finding, FlowFact, HouseFact, Picture
from appserver.rules.kinds import IncidentLimits

ZERO = Decimal(0)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values) if values else ZERO


def _text(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.001")), "f")


def leaks(picture: Picture) -> Iterator[Finding]:
    """Flow in the quietest hour of several nights in a row, and devices that tell of a leak themselves."""
    for flow in picture.flows:
        nights = night_flows(flow)[-picture.limits.leak_nights :]
        if len(nights) < picture.limits.leak_nights:
            continue
        limit = picture.limits.leak_individual
        if flow.role != "individual":
            limit = _mean([hour.volume for hour in flow.hours]) * picture.limits.leak_house_pct / 100
        least = min(volume for _, _, volume in nights)
        if least > limit > 0 or (limit == 0 and least > 0):
            evidence: dict[str, Any] = {
                "least_per_hour": _text(least),
                "limit_per_hour": _text(limit),
                "nights": [{"night": night, "least": _text(volume)} for night, _, volume in nights],
            }
            yield Finding("leak", flow.place, nights[0][1], evidence)
    yield from flags("leak", picture)


def night_flows(flow: FlowFact) -> list[tuple[str, int, Decimal]]:
    """Nights of which all quiet hours are known: local date, start of the first, volume of the quietest hour."""
    nights: dict[str, dict[int, tuple[int, Decimal]]] = {}
    for hour in flow.hours:
        if hour.local_hour in NIGHT_HOURS:
            nights.setdefault(hour.night, {})[hour.local_hour] = (hour.start_us, hour.volume)
    return [
        (night, min(start for start, _ in hours.values()), min(volume for _, volume in hours.values()))
        for night, hours in sorted(nights.items())
        if len(hours) == len(NIGHT_HOURS)
    ]


def bursts(picture: Picture) -> Iterator[Finding]:
    """Hours in which more passed than a tap gives, and devices that tell of a burst themselves."""
    for flow in picture.flows:
        mean = _mean([hour.volume for hour in flow.hours])
        limit = max(flow.qmax * picture.limits.burst_share_pct / 100, mean * picture.limits.burst_times)
        run: list[Any] = []
        for hour in flow.hours:
            if hour.volume > limit and (not run or hour.start_us == run[-1].start_us + HOUR_US):
                run.append(hour)
                continue
            if run:
                yield _burst(flow, run, limit, over=True)
            run = [hour] if hour.volume > limit else []
        if run:
            yield _burst(flow, run, limit, over=run[-1].start_us + 2 * HOUR_US < picture.now_us)
    yield from flags("burst", picture)


def _burst(flow: FlowFact, run: Sequence[Any], limit: Decimal, over: bool) -> Finding:
    evidence = {
        "most_per_hour": _text(max(hour.volume for hour in run)),
        "limit_per_hour": _text(limit),
        "hours": len(run),
    }
    return Finding("burst", flow.place, run[0].start_us, evidence, run[-1].start_us + HOUR_US if over else None)


def standstills(picture: Picture) -> Iterator[Finding]:
    """Points that counted before and count no more, and devices that miss their medium."""
    for fact in picture.still:
        yield Finding("no_flow", fact.place, fact.since_us, {"days": fact.days, "before": _text(fact.before)})
    yield from flags("no_flow", picture)


KNOWN_PCT = 95
"""A day of which fewer flats are known says nothing of the imbalance."""


def residuals(house: HouseFact) -> list[Decimal | None]:
    """Common meter less the flats, day by day; None where it or more than a few flats are not known."""
    found: list[Decimal | None] = []
    for index, whole in enumerate(house.house):
        known = [volumes[index] for volumes in house.flats.values() if volumes[index] is not None]
        enough = len(known) * 100 >= len(house.flats) * KNOWN_PCT
        found.append(whole - sum((v for v in known if v is not None), ZERO) if whole is not None and enough else None)
    return found


def steady_residuals(house: HouseFact) -> list[Decimal | None]:
    """Common meter less those flats that are known on every day: a flat that comes and goes makes no step."""
    steady = [volumes for volumes in house.flats.values() if None not in volumes]
    return [
        None if whole is None else whole - sum((volumes[index] or ZERO for volumes in steady), ZERO)
        for index, whole in enumerate(house.house)
    ]


def imbalances(picture: Picture) -> Iterator[Finding]:
    """Houses whose imbalance is over the limit for several days in a row, up to the last one known."""
    for house in picture.houses:
        run: list[tuple[int, Decimal]] = []
        for start_us, whole, rest in zip(house.day_starts_us, house.house, residuals(house), strict=True):
            if rest is None or not whole:
                continue
            percent = 100 * rest / whole
            run = [*run, (start_us, percent)] if abs(percent) > picture.limits.imbalance_pct else []
        if len(run) >= picture.limits.imbalance_days:
            evidence = {
                "resource": house.resource,
                "days": len(run),
                "worst_pct": format(max((p for _, p in run), key=abs).quantize(Decimal("0.1")), "f"),
                "limit_pct": format(picture.limits.imbalance_pct, "f"),
            }
            yield Finding(
                "imbalance", house.place, run[0][0], evidence, subject=f"{house.place.subject}:{house.resource}"
            )


def thefts(picture: Picture) -> Iterator[Finding]:
    """Flats whose fall is taken up by the house's residual: few, with their evidence, for a person to look at."""
    for house in picture.houses:
        for point_id, at, fall, rise in suspects(house, picture.limits):
            evidence = {"resource": house.resource, "fall_per_day": _text(fall), "residual_rise_per_day": _text(rise)}
            yield Finding("theft", house.places[point_id], house.day_starts_us[at], evidence)


def suspects(house: HouseFact, limits: IncidentLimits) -> list[tuple[int, int, Decimal, Decimal]]:
    """Point, index of the first low day, fall and rise of the residual a day; the largest falls first.

    A rise that one flat explains explains no second one.
    """
    days, residual = limits.theft_days, steady_residuals(house)
    steps: list[tuple[Decimal, int, int, Decimal]] = []
    for point_id, volumes in house.flats.items():
        best: tuple[Decimal, int, int, Decimal] | None = None
        for at in range(days, len(volumes) - days + 1):
            before, after = _known(volumes, at - days, at), _known(volumes, at, at + days)
            rest_before, rest_after = _known(residual, at - days, at), _known(residual, at, at + days)
            if not (before and after and rest_before and rest_after):
                continue
            mean = _mean(before)
            fall, rise = mean - _mean(after), _mean(rest_after) - _mean(rest_before)
            if mean <= 0 or fall * 100 < mean * limits.theft_fall_pct or rise * 100 < fall * limits.theft_share_pct:
                continue
            if best is None or fall > best[0]:
                best = (fall, point_id, at, rise)
        if best is not None:
            steps.append(best)
    found: list[tuple[int, int, Decimal, Decimal]] = []
    explained: dict[int, Decimal] = {}
    for fall, point_id, at, rise in sorted(steps, key=lambda step: (-step[0], step[1])):
        near = sum((known for other, known in explained.items() if abs(other - at) < days), ZERO)
        if (rise - near) * 100 >= fall * limits.theft_share_pct and len(found) < limits.theft_suspects:
            found.append((point_id, at, fall, rise))
            explained[at] = explained.get(at, ZERO) + fall
    return found


def _known(values: Sequence[Decimal | None], first: int, last: int) -> list[Decimal]:
    """The values of a span when all of them are known, else none."""
    span = [value for value in values[first:last] if value is not None]
    return span if len(span) == last - first else []

"""Detectors of incidents over plain values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from appserver.incidents.facts import (
    ConflictFact,
    DeviceFact,
    EventFact,
    Finding,
    FlagFact,
    FlowFact,
    GatewayFact,
    GraphFact,
    Hour,
    HouseFact,
    Picture,
    Place,
    StillFact,
    VerificationFact,
)
from appserver.incidents.flows import residuals
from appserver.incidents.kinds import KINDS
from appserver.rules import IncidentLimits, load

D = Decimal
HOUR = 3_600_000_000
DAY = 24 * HOUR
NOW = 1_793_000_000_000_000
RULE, LIMITS = load().get(IncidentLimits, date(2026, 11, 1))
FLAT = Place(1, 7, 70, 700, "00" * 8)
HOUSE = Place(1, None, 10, 100)


def found(kind: str, **facts: Any) -> list[Finding]:
    return list(KINDS[kind].find(Picture(NOW, LIMITS, **facts)))


def test_every_kind_has_a_detector_that_finds_nothing_in_nothing() -> None:
    assert [finding for kind in KINDS for finding in found(kind)] == []


def test_fr_09_silent_meter_and_many_of_a_house_are_one() -> None:
    limit = LIMITS.silent_meter_hours * HOUR
    lately = DeviceFact(FLAT, 0, NOW - limit)
    silent = DeviceFact(FLAT, 0, NOW - limit - 1)
    fresh = DeviceFact(FLAT, NOW - HOUR)
    assert found("silent_meter", devices=[lately, fresh]) == []
    (one,) = found("silent_meter", devices=[silent])
    assert (one.place, one.started_at_us, one.ended_at_us) == (FLAT, NOW - limit - 1, None)
    never = DeviceFact(FLAT, NOW - limit - 5)
    assert found("silent_meter", devices=[never])[0].evidence["last_uplink_at_us"] is None
    many = [DeviceFact(Place(1, n, n, n, f"{n:016x}"), 0, NOW - limit - n) for n in range(1, LIMITS.silent_group + 1)]
    (group,) = found("silent_meter", devices=many)
    assert group.key == ("silent_meter", "building:1")
    assert group.evidence["count"] == LIMITS.silent_group


def test_fr_09_silent_gateway_by_the_networks_log() -> None:
    log = [
        GatewayFact("aa", 5, "GATEWAY_OFFLINE", "not heard for 5 min"),
        GatewayFact("aa", 9, "GATEWAY_ONLINE"),
        GatewayFact("aa", 20, "GATEWAY_OFFLINE"),
        GatewayFact("bb", 7, "GATEWAY_ONLINE"),
    ]
    assert [(f.key[1], f.started_at_us, f.ended_at_us) for f in found("silent_gateway", gateways=log)] == [
        ("gateway:aa", 5, 9),
        ("gateway:aa", 20, None),
    ]


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        ("magnetic_tamper", "magnet"),
        ("case_opened", "opened"),
        ("head_detached", "opened"),
        ("leak", "leak"),
        ("burst", "burst"),
        ("reverse_flow", "reverse_flow"),
        ("no_medium", "no_flow"),
        ("low_battery", "low_battery"),
        ("temperature_sensor_error", "device_fault"),
    ],
)
def test_fr_09_flags_of_devices(flag: str, kind: str) -> None:
    (holds,) = found(kind, flags=[FlagFact(FLAT, flag, 5)])
    assert (holds.started_at_us, holds.ended_at_us, holds.evidence) == (5, None, {"flags": [flag]})
    (over,) = found(kind, flags=[FlagFact(FLAT, flag, 5, 9)])
    assert over.ended_at_us == 9
    assert found(kind, flags=[FlagFact(FLAT, "corrected", 5)]) == []


def hours(volume: Callable[[int, int], str], nights: int = 4) -> list[Hour]:
    start = NOW - nights * DAY
    return [
        Hour(start + (n * 24 + h) * HOUR, h, f"2026-10-{20 + n}", D(volume(n, h)))
        for n in range(nights)
        for h in range(24)
    ]


def test_fr_12_leak_by_night_flow() -> None:
    leaking = FlowFact(FLAT, "individual", D(5), hours(lambda n, h: "0.012" if 2 <= h <= 4 else "0.020"))
    (leak,) = found("leak", flows=[leaking])
    assert leak.evidence["least_per_hour"] == "0.012" and len(leak.evidence["nights"]) == LIMITS.leak_nights
    one_quiet_night = FlowFact(FLAT, "individual", D(5), hours(lambda n, h: "0" if (n, h) == (2, 3) else "0.012"))
    assert found("leak", flows=[one_quiet_night]) == []
    two_nights = FlowFact(FLAT, "individual", D(5), hours(lambda n, h: "0.012", nights=2))
    assert found("leak", flows=[two_nights]) == []


def test_fr_12_leak_of_a_house_is_a_night_that_does_not_fall() -> None:
    sleeping = FlowFact(HOUSE, "house", D(500), hours(lambda n, h: "0.2" if 2 <= h <= 4 else "1.2"))
    running = FlowFact(HOUSE, "house", D(500), hours(lambda n, h: "1.0" if 2 <= h <= 4 else "1.2"))
    assert found("leak", flows=[sleeping]) == []
    assert len(found("leak", flows=[running])) == 1


def test_fr_09_burst_has_start_and_end() -> None:
    flow = FlowFact(FLAT, "individual", D(5), hours(lambda n, h: "3.5" if n == 1 and 10 <= h < 13 else "0.01"))
    (burst,) = found("burst", flows=[flow])
    start = NOW - 4 * DAY + 34 * HOUR
    assert (burst.started_at_us, burst.ended_at_us, burst.evidence["hours"]) == (start, start + 3 * HOUR, 3)
    lasting = FlowFact(FLAT, "individual", D(5), hours(lambda n, h: "3.5" if n == 3 and h >= 22 else "0.01"))
    assert found("burst", flows=[lasting])[0].ended_at_us is None


def test_fr_09_no_flow_battery_clock_conflict_verification_reverse_graph() -> None:
    assert found("no_flow", still=[StillFact(FLAT, 5, 31, D("4.2"))])[0].evidence == {"days": 31, "before": "4.200"}
    low = DeviceFact(FLAT, 0, NOW, battery_pct=LIMITS.battery_pct - 1)
    assert len(found("low_battery", devices=[low, DeviceFact(FLAT, 0, NOW, LIMITS.battery_pct)])) == 1
    slow = DeviceFact(FLAT, 0, NOW, clock_offset_us=-(LIMITS.clock_s + 1) * 1_000_000)
    assert found("clock", devices=[slow])[0].evidence["offset_s"] == -(LIMITS.clock_s + 1)
    assert found("clock", devices=[DeviceFact(FLAT, 0, NOW, clock_offset_us=LIMITS.clock_s * 1_000_000)]) == []
    two = [ConflictFact(FLAT, "volume", at, D("1.5")) for at in (5, 6)]
    assert len({f.key for f in found("conflict", conflicts=two)}) == 2
    (overdue,) = found("verification", verifications=[VerificationFact(FLAT, "2026-10-01", 5, False)])
    assert overdue.evidence == {"until": "2026-10-01", "readings_count": False}
    assert found("reverse_flow", events=[EventFact(FLAT, "reverse_flow", 5, 9)])[0].ended_at_us == 9
    (graph,) = found("temperature_graph", graphs=[GraphFact(HOUSE, "return", 5, None, 4, D("6.2"))])
    assert graph.key == ("temperature_graph", "meter:100:return")


def house(flats: dict[int, list[str]], whole: list[str], lost: int | None = None) -> HouseFact:
    days = len(whole)
    volumes: dict[int, list[Decimal | None]] = {point: [D(v) for v in its] for point, its in flats.items()}
    if lost is not None:
        volumes[1][lost] = None
    return HouseFact(
        Place(1),
        "cold_water",
        [NOW - (days - n) * DAY for n in range(days)],
        [D(v) for v in whole],
        volumes,
        {point: Place(1, point, point, point * 10) for point in flats},
    )


def test_fr_09_imbalance_over_the_limit_for_days() -> None:
    fine = house({1: ["9"] * 5}, ["10"] * 5)
    assert found("imbalance", houses=[fine]) == []
    bad = house({1: ["9", "9", "8", "8", "8"]}, ["10"] * 5)
    (imbalance,) = found("imbalance", houses=[bad])
    assert (imbalance.started_at_us, imbalance.evidence["worst_pct"]) == (NOW - 3 * DAY, "20.0")
    assert imbalance.key == ("imbalance", "building:1:cold_water")
    recovered = house({1: ["8", "8", "8", "8", "9.9"]}, ["10"] * 5)
    assert found("imbalance", houses=[recovered]) == []
    gap = house({1: ["8"] * 5}, ["10"] * 5, lost=2)
    assert residuals(gap)[2] is None
    assert found("imbalance", houses=[gap])[0].evidence["days"] == 4


def test_fr_26_a_flat_with_a_gap_makes_no_thief_of_another() -> None:
    gap = house({1: ["0.3"] * 14, 2: ["0.3"] * 7 + ["0.02"] * 7}, ["1.0"] * 14, lost=9)
    assert [f.place.point_id for f in found("theft", houses=[gap])] == [2]
    away = house({1: ["0.3"] * 14, 2: ["0.3"] * 7 + ["0"] * 7}, ["0.7"] * 7 + ["0.4"] * 7, lost=9)
    assert found("theft", houses=[away]) == []


def test_fr_26_theft_is_a_fall_that_the_residual_takes_up() -> None:
    honest, thief = ["0.3"] * 14, ["0.3"] * 7 + ["0.02"] * 7
    stolen = house({1: honest, 2: thief, 3: honest}, ["1.0"] * 14)
    (suspect,) = found("theft", houses=[stolen])
    assert suspect.place.point_id == 2
    assert suspect.started_at_us == NOW - 7 * DAY
    assert suspect.evidence["residual_rise_per_day"] == "0.280"


def test_fr_26_somebody_on_holiday_is_no_thief() -> None:
    away = house({1: ["0.3"] * 14, 2: ["0.3"] * 7 + ["0"] * 7}, ["0.7"] * 7 + ["0.4"] * 7)
    assert found("theft", houses=[away]) == []


def test_fr_26_one_rise_explains_one_flat_and_suspects_are_few() -> None:
    down = ["0.3"] * 7 + ["0"] * 7
    both = house({1: ["0.31"] * 7 + ["0"] * 7, 2: down}, ["0.7"] * 14)
    assert [f.place.point_id for f in found("theft", houses=[both])] == [1, 2]
    one_rise = house({1: ["0.31"] * 7 + ["0"] * 7, 2: down}, ["0.7"] * 7 + ["0.4"] * 7)
    assert [f.place.point_id for f in found("theft", houses=[one_rise])] == [1]
    many = house(dict.fromkeys(range(1, 9), down), ["3"] * 14)
    assert len(found("theft", houses=[many])) == LIMITS.theft_suspects

"""Meters of a town: what they use, what happens to them, and their payloads as the application's own codecs read them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lorasim import scenario
from lorasim.meters.config import Incident, MeterGroup
from lorasim.meters.fleet import FleetMeter
from lorasim.meters.payloads import LAYOUTS, USUAL
from lorasim.meters.register import HOUR_US
from lorasim.meters.usage import PROFILES, UNITS

from appserver.codecs import registry
from appserver.codecs.base import Decoded

ZONE = ZoneInfo("Asia/Yekaterinburg")
START = datetime(2026, 1, 12, tzinfo=ZONE)
START_US = round(START.timestamp()) * 1_000_000
BIG = {"cold_water": "m3", "hot_water": "m3", "electricity": "kWh", "heat": "Gcal"}


def meter(resource: str = "cold_water", payload: str = "", number: int = 0, **fields: Any) -> FleetMeter:
    fields.setdefault("residents", (2, 2))
    return FleetMeter(MeterGroup(resource=resource, payload=payload, **fields), number, 7, START, "town")


def at(hours: float) -> int:
    return START_US + round(hours * HOUR_US)


def decode(one: FleetMeter, now: int) -> tuple[Decoded, dict[str, Any]]:
    message = one.message(now)
    assert message is not None
    codec = registry.CODECS[one.layout.codec]
    assert isinstance(message.tag, dict)
    return codec.decode(message.f_port, message.data, now), message.tag


def big(resource: str, units: int) -> Decimal:
    return Decimal(units) / UNITS[resource]


# ------------------------------------------------------------------------------------------------------------ use


def total(resource: str, month: int, residents: int = 2, flats: int = 20) -> float:
    """Of a day, over flats and the days of a month."""
    first = date(2026, month, 1).toordinal()
    profile = PROFILES[resource]
    days = [
        sum(profile(f"flat/{n}", resource, first + day, residents, "town")) for n in range(flats) for day in range(28)
    ]
    return mean(days) / UNITS[resource]


def test_water_is_used_by_people() -> None:
    one, four = total("cold_water", 4, residents=1), total("cold_water", 4, residents=4)
    assert one == pytest.approx(0.110, rel=0.15) and four == pytest.approx(4 * one, rel=0.1)
    assert total("hot_water", 4, residents=0) == 0


def test_electricity_has_seasons_and_evenings() -> None:
    january, july = total("electricity", 1), total("electricity", 7)
    assert 1.15 < january / july < 1.6
    first = date(2026, 1, 12).toordinal()
    days = [PROFILES["electricity"](f"flat/{n}", "electricity", first, 2, "town") for n in range(100)]
    night, evening = (sum(sum(day[a:b]) for day in days) / (b - a) for a, b in ((1, 5), (18, 22)))
    assert evening > 2 * night > 0


def test_heat_follows_the_weather_and_stops_in_summer() -> None:
    assert total("heat", 7) == 0
    assert total("heat", 1) > 1.5 * total("heat", 4) > 0
    assert 0.01 < total("heat", 1) < 0.12  # Gcal a day of a flat of 58 m²


def test_the_same_seed_is_the_same_meter_whatever_is_asked_first() -> None:
    forwards, backwards = meter(), meter()
    times = [at(hour) for hour in (5, 30, 31, 200, 500)]
    assert [forwards.register.shown(t) for t in times] == [backwards.register.shown(t) for t in reversed(times)][::-1]


@pytest.mark.parametrize("resource", list(PROFILES))
def test_registers_only_grow_and_hours_add_up(resource: str) -> None:
    register = meter(resource).register
    shown = [register.shown(at(hour / 2)).forward for hour in range(24 * 20)]
    assert shown == sorted(shown) and shown[-1] > shown[0]


# ------------------------------------------------------------------------------------------------------- payloads


@pytest.mark.parametrize(("payload", "resource"), [(name, one) for name, of in LAYOUTS.items() for one in of.resources])
def test_payloads_are_read_by_the_applications_codecs(payload: str, resource: str) -> None:
    one = meter(resource, payload)
    for hours in (30.0, 55.5, 700.25):
        got, tag = decode(one, at(hours))
        value = big(resource, tag["units"])
        assert got.clock is not None or payload.startswith("cayenne")
        if payload == "cayenne-water":
            assert got.values["generic_1"] == str(int(value * 1000))
            continue
        if payload == "vega-si11":
            assert got.measurements[0].unit == "imp" and got.measurements[0].value == tag["units"] // 100
            continue
        first = got.measurements[0]
        assert first.unit == BIG[resource]
        assert first.value == pytest.approx(value, abs=Decimal("0.01") if resource != "heat" else Decimal("0.001"))


def test_24_hours_of_archive() -> None:
    """Axioma's long packet holds the volumes of the last 24 hours; the newest is what the meter showed then."""
    one = meter("hot_water", "axioma-24h", residents=(4, 4))
    got, _ = decode(one, at(40.4))
    assert len(got.values["steps"]) == 23 and sum(got.values["steps"]) > 0
    first, last = one.register.shown(at(17)).forward // 10, one.register.shown(at(40)).forward // 10
    assert Decimal(got.values["log_volume_m3"]) == Decimal(first) / 1000
    assert got.measurements[0].value == Decimal(last) / 1000


def test_clocks_of_karat_show_local_time() -> None:
    """At 20 o'clock UTC it is one in the morning in Yekaterinburg, of the next day."""
    got, _ = decode(meter("cold_water", "karat-926-v20"), at(25))
    assert got.clock == datetime(2026, 1, 13, 1)  # noqa: DTZ001
    betar, _ = decode(meter("cold_water", "betar"), at(25))
    assert betar.clock == datetime(2026, 1, 12, 20)  # noqa: DTZ001


def test_the_value_of_midnight() -> None:
    one = meter("cold_water", "karat-926-v20", archive=True)
    got, tag = decode(one, at(24 + 17.3))
    assert tag["measured_us"] == at(24) and got.measurements[0].archive
    assert got.measurements[0].at == datetime(2026, 1, 13)  # noqa: DTZ001


# ------------------------------------------------------------------------------------------------------ incidents


def with_incident(kind: str, payload: str = "karat-926-v20", **fields: Any) -> tuple[FleetMeter, FleetMeter]:
    """The same meter without and with an incident from the 48th hour on, for ten hours."""
    incident = Incident(kind, 0, 48, fields.pop("for_h", 10), **fields)
    return meter("cold_water", payload), meter("cold_water", payload, incidents=[incident])


def used(one: FleetMeter, begin_h: float, end_h: float) -> int:
    return one.register.shown(at(end_h)).forward - one.register.shown(at(begin_h)).forward


@pytest.mark.parametrize(("kind", "litres"), [("leak", 8 * 10), ("burst", 900 * 10)])
def test_leak_and_burst(kind: str, litres: int) -> None:
    usual, hit = with_incident(kind)
    assert used(hit, 0, 48) == used(usual, 0, 48)
    assert used(hit, 48, 58) == used(usual, 48, 58) + litres * 10
    assert used(hit, 58, 90) == used(usual, 58, 90)
    assert "leak" in str(decode(hit, at(50))[0].flags)
    assert not decode(hit, at(60))[0].flags


def test_a_thief_takes_a_share_and_a_magnet_all() -> None:
    usual, thief = with_incident("thief", for_h=240)
    assert used(thief, 48, 288) == pytest.approx(0.2 * used(usual, 48, 288), rel=0.05)
    usual, magnet = with_incident("magnet", "betar")
    assert used(magnet, 48, 58) == 0 and used(magnet, 58, 300) == used(usual, 58, 300)
    assert decode(magnet, at(52))[0].flags == ("magnetic_tamper",)


def test_water_that_runs_backwards() -> None:
    _, one = with_incident("reverse")
    got, _ = decode(one, at(60))
    reverse = next(each for each in got.measurements if each.variant == "reverse")
    assert reverse.value == Decimal("0.4")
    assert "reverse" in str(decode(one, at(50))[0].flags)
    net = meter("cold_water", "betar", incidents=one.group.incidents)
    before, after = decode(net, at(48))[0].measurements[0].value, decode(net, at(58))[0].measurements[0].value
    assert after - before == big("cold_water", used(one, 48, 58)) - Decimal("0.4")


def test_a_replaced_meter_begins_at_zero_with_another_serial() -> None:
    usual, one = with_incident("replacement")
    assert one.register.shown(at(47)).serial == 40_000_001
    shown = one.register.shown(at(72))
    assert (shown.serial, shown.forward) == (41_000_001, used(usual, 48, 72))


def test_a_wrong_clock_and_a_silent_module() -> None:
    _, one = with_incident("clock", amount=-1800.0)
    assert decode(one, at(49))[0].clock == datetime(2026, 1, 14, 0, 30)  # noqa: DTZ001
    _, silent = with_incident("silence")
    assert silent.message(at(50)) is None and silent.message(at(59)) is not None


# ------------------------------------------------------------------------------------------------ archive queries


@pytest.mark.parametrize(("payload", "resource"), [("karat-926-v20", "cold_water"), ("karat-213", "heat")])
def test_archive_queries_are_answered(payload: str, resource: str) -> None:
    one = meter(resource, payload)
    codec = registry.CODECS["karat"]
    assert codec.encode is not None
    query = {"command": "archive_query", "protocol": "2.0", "archive": "hour_integral", "time": "2026-01-13T05:00:00"}
    f_port, data = codec.encode(query)
    answer = one.answer(f_port, data, at(100))
    assert answer is not None
    got = registry.CODECS[one.layout.codec].decode(answer.f_port, answer.data, at(100))
    assert got.measurements[0].at == datetime(2026, 1, 13, 5) and got.measurements[0].archive  # noqa: DTZ001
    expected = big(resource, one.register.shown(at(29)).forward)
    assert got.measurements[0].value == pytest.approx(expected, abs=Decimal("0.0005"))


def test_what_the_archive_does_not_have() -> None:
    codec = registry.CODECS["karat"]
    assert codec.encode is not None
    query = {"command": "archive_query", "protocol": "2.0", "archive": "day_integral", "time": "2025-12-01T00:00:00"}
    answer = meter().answer(*codec.encode(query), at(100))
    assert answer is not None and len(answer.data) == 4
    assert meter("cold_water", "betar").answer(*codec.encode(query), at(100)) is None


# --------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('resource = "steam"', "meters.0.resource: 'steam' is none of cold_water"),
        ('resource = "heat"\npayload = "betar"', "meters.0.payload: 'betar'; for heat there are karat-213"),
        ("every_h = 0", "meters.0.every_h"),
        ('[[meters.incidents]]\nkind = "fire"', "meters.0.incidents.0.kind: 'fire' is none of leak"),
    ],
)
def test_impossible_tables(lines: str, complaint: str) -> None:
    with pytest.raises(scenario.ScenarioError, match=complaint):
        scenario.parse(f'name = "x"\n[[meters]]\n{lines}\n')


def test_every_resource_has_its_usual_payload() -> None:
    assert all(resource in LAYOUTS[name].resources for resource, name in USUAL.items())

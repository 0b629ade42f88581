"""The simulated house: volumes that add up, payloads as the vendors lay them out, a registry that fits them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from lorasim import payloads, scenario
from lorasim.clock import MeterClock
from lorasim.consumption import Household, Register, to_us
from lorasim.house import RESOURCES, SimulatedHouse, import_rows, start_of

from appserver.exchange.columns import COLUMNS

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
SATKA = scenario.load("satka")


@pytest.fixture(scope="module")
def house() -> SimulatedHouse:
    assert SATKA.house is not None
    return SimulatedHouse(SATKA.house, 2018, start_of(SATKA, NOW))


def local(*at: int) -> datetime:
    return datetime(*at, tzinfo=ZoneInfo("Asia/Yekaterinburg"))


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (payloads.karat_926_v18(15, local(2018, 8, 1), 34_810), "84020f0001081200990d0000"),
        (payloads.karat_926_v18(15, local(2018, 9, 1), 52_710), "84020f000109120097140000"),
        (payloads.karat_926_v18(5, local(2018, 8, 14, 15), 40_020, 0x44), "8402050f0e081244a20f0000"),
        (payloads.karat_926_v20(15, local(2024, 2, 29), 1_234_567), "85020f806b232d000087d6120000000000"),
    ],
)
def test_karat_926_payloads(built: bytes, expected: str) -> None:
    """Samples of the layout published at github.com/ws-lab/karat-proto 4515b7a."""
    assert built.hex() == expected


def test_vega_si11_payload() -> None:
    """Sample of github.com/VegaAbsolute/IoTVegaParser si11_v1.js, with a period of an hour in place of 15 minutes."""
    built = payloads.vega_si11(1533081600, (3481, 2239, 0, 65535), period_h=1, celsius=23)
    assert built.hex() == "01640c00f8605b17990d0000bf08000000000000ffff0000"


def test_common_meter_is_the_flats_and_the_loss(house: SimulatedHouse) -> None:
    """3.4 % and 4 l/h of cold water, 2.6 % of hot: what the balance must find."""
    start, end = house.start_us, house.start_us + 31 * DAY
    loss = {"cold_water": (Decimal("0.034"), Decimal("0.004")), "hot_water": (Decimal("0.026"), Decimal(0))}
    for resource in RESOURCES:
        flats, common = Decimal(0), Decimal(0)
        for meter in house.meters:
            if meter.resource == resource:
                used = Decimal(house.units(meter, end) - house.units(meter, start)).scaleb(-4)
                flats, common = (flats + used, common) if meter.flat else (flats, used)
        share, leak = loss[resource]
        assert common - flats == pytest.approx(flats * share + leak * 24 * 31, abs=Decimal("0.001"))
        assert 200 < flats < 600  # 60 flats use 7 to 20 m³ a day of each water


def test_registers_never_fall_and_shown_values_follow(house: SimulatedHouse) -> None:
    for module in house.modules[:6] + house.modules[-2:]:
        last = 0
        for hour in range(0, 24 * 8, 5):
            at = house.start_us + hour * DAY // 24
            shown, exact = house.shown_units(module, at), house.units(module.meter, at)
            assert last <= shown <= exact < shown + 1_000
            last = shown


def test_a_house_follows_from_its_seed(house: SimulatedHouse) -> None:
    assert SATKA.house is not None
    again, other = (SimulatedHouse(SATKA.house, seed, house.start) for seed in (2018, 2019))
    end = house.start_us + 3 * DAY
    values = [[h.units(m, end) for m in h.meters] for h in (house, again, other)]
    assert values[0] == values[1] != values[2]
    assert house.modules[5].app_key == again.modules[5].app_key != other.modules[5].app_key


def test_reports_carry_midnights_of_the_zone(house: SimulatedHouse) -> None:
    module = house.modules[0]
    until = house.start_us + 10 * DAY
    reports = list(takewhile(lambda report: report.send_us < until, house.reports(module)))
    assert [report.measured_us for report in reports] == [house.start_us + n * DAY for n in range(10)]
    assert all(report.send_us > report.measured_us for report in reports)
    assert [report.units for report in reports] == [house.shown_units(module, r.measured_us) for r in reports]
    assert house.start.hour == 0 and house.start.utcoffset() == timedelta(hours=5)


def test_days_of_25_hours() -> None:
    """Volgograd set its clocks back by an hour on 2020-12-27 (tz database)."""
    zone = ZoneInfo("Europe/Volgograd")
    register = Register(Household("k", 3, 0.0), "cold_water", datetime(2020, 12, 26, tzinfo=zone))
    used = [register.units(round(hours * 3_600_000_000)) for hours in (24, 49)]
    days = [sum(register.household.day("cold_water", date(2020, 12, day).toordinal(), True)) for day in (26, 27)]
    assert used == [days[0], days[0] + days[1]]


def test_nobody_at_home_uses_nothing() -> None:
    assert Household("k", 0).day("cold_water", 737_000, False) == [0] * 24
    assert Household("k", 2, away_probability=1.0).day("hot_water", 737_000, True) == [0] * 24


def test_import_rows_fit_the_import_table(house: SimulatedHouse) -> None:
    rows = import_rows(SATKA, now_us=NOW)
    assert len(rows) == 122
    known = {column.name for column in COLUMNS}
    required = {column.name for column in COLUMNS if column.required}
    for row, module in zip(rows, house.modules, strict=True):
        assert set(row) <= known
        assert all(row[name] for name in required)
        assert (row["dev_eui"], row["app_key"]) == (f"{module.dev_eui:016x}", module.app_key.hex())
        assert Decimal(row["start_value"]) * 10_000 == house.shown_units(module, house.start_us)
        assert row["role"] == ("individual" if row["premises"] else "house")
    assert len({row["serial"] for row in rows}) == len({row["dev_eui"] for row in rows}) == 122
    assert [rows[n]["device_name"] for n in (0, 39, 40, 121)] == [
        "подъезд 1, кв. 1, ХВС",
        "подъезд 1, кв. 20, ГВС",
        "подъезд 2, кв. 21, ХВС",
        "ОДПУ, ГВС",
    ]
    common = [row for row in rows if row["role"] == "house"]
    assert [(row["resource"], row["pulse_weight"]) for row in common] == [
        ("cold_water", "0.0100"),
        ("hot_water", "0.0100"),
    ]


def test_meters_clock_runs_fast_and_never_ahead() -> None:
    clock = MeterClock(start_us=NOW, meter_start_us=NOW - 31 * DAY, speed=10_000)
    assert clock.meter_us(NOW - 5) == NOW - 31 * DAY
    assert clock.meter_us(NOW + 1_000_000) == NOW - 31 * DAY + 10_000_000_000
    late = NOW + 3_600_000_000
    assert clock.meter_us(late) == late
    first, last, next_one = NOW - 31 * DAY, NOW - DAY // 3, NOW + 2 * DAY // 3
    assert clock.send_us(first, first + 10_000_000_000) == NOW + 1_000_000
    # this midnight's value leaves with the fast clock though its hour has not come, tomorrow's waits
    assert clock.send_us(last, NOW + DAY // 3) == NOW + (31 * DAY + DAY // 3) // 10_000
    assert clock.send_us(next_one, next_one + 5) == next_one + 5
    assert not clock.caught_up(NOW + 31 * DAY // 10_000)
    assert clock.caught_up(NOW + 32 * DAY // 10_000)
    assert to_us(local(1970, 1, 1, 5)) == 0

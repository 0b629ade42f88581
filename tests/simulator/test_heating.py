"""A heated office: what is counted adds up, masses and temperatures fit the heat, packets are as long as a frame may be."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from lorasim import heating, scenario
from lorasim.house import SimulatedHouse, import_rows, start_of

from appserver.exchange.columns import COLUMNS

ZONE = ZoneInfo("Asia/Yekaterinburg")
START = datetime(2026, 1, 1, tzinfo=ZONE)
DAY = 86_400_000_000
NOVOURALSK = scenario.load("novouralsk")


@pytest.fixture(scope="module")
def house() -> SimulatedHouse:
    assert NOVOURALSK.house is not None
    return SimulatedHouse(NOVOURALSK.house, 7, START)


def test_one_module_reads_heat_and_water_of_the_building(house: SimulatedHouse) -> None:
    [module] = [one for one in house.modules if one.layout == "karat-307"]
    assert module.water is not None
    assert (module.meter.resource, module.water.resource) == ("heat", "cold_water")
    assert len(house.modules) == 27 and len(house.meters) == 28


def test_what_comes_in_is_the_tenants_and_the_loss(house: SimulatedHouse) -> None:
    end = house.start_us + 31 * DAY
    for resource, share in (("heat", 0.068), ("cold_water", 0.06)):
        flats = [meter for meter in house.meters if meter.resource == resource and meter.flat]
        [main] = [meter for meter in house.meters if meter.resource == resource and not meter.flat]
        shown = sum(house.units(meter, end) - meter.start_units for meter in flats)
        stolen = sum(house.stolen_units(meter, end) for meter in flats)
        assert house.units(main, end) - main.start_units == pytest.approx((shown + stolen) * (1 + share), abs=2)
        assert bool(stolen) == (resource == "cold_water")


def test_a_theft_that_was_found_steals_no_more(house: SimulatedHouse) -> None:
    [meter] = [one for one in house.meters if one.theft is not None]
    days = [house.stolen_units(meter, house.day_us(day)) for day in (7, 12, 18, 30)]
    assert 0 == days[0] < days[1] < days[2] == days[3]


def test_masses_and_temperatures_are_the_heat(house: SimulatedHouse) -> None:
    circuit = heating.Circuit(START, "a town", lambda at_us: (at_us - house.start_us) // 1_000_000)
    half, whole = (circuit.flows(house.start_us + part) for part in (5 * DAY // 2, 5 * DAY))
    assert 0 < half[0] < whole[0]
    assert whole[1] - whole[2] == pytest.approx(5 * 86_400 / heating.KCAL)
    assert circuit.minutes(house.start_us + DAY) == 1440


def test_packets_of_calculators_fit_the_slowest_rate(house: SimulatedHouse) -> None:
    """51 bytes, the most that DR0 to DR2 carry; a day's record is stamped 23:00."""
    at_us = house.start_us + 3 * DAY
    packets = [
        report.payload
        for module in house.modules
        if module.layout != "karat-v20"
        for report in house.report(module, at_us, at_us)
    ]
    codes = {struct.unpack_from("<H", data)[0] for data in packets}
    assert codes == {heating.HEAT, heating.HEAT_REST, heating.WATER, heating.COMPACT_223}
    assert max(map(len, packets)) == 51
    stamp = datetime(2000, 3, 1) + timedelta(seconds=struct.unpack_from("<I", packets[0], 3)[0])  # noqa: DTZ001
    assert stamp == datetime(2026, 1, 3, 23)  # noqa: DTZ001


def test_import_rows_of_tenants_fit_the_import_table() -> None:
    rows = import_rows(NOVOURALSK, now_us=round(START.timestamp()) * 1_000_000)
    assert len(rows) == 28
    assert all(set(row) <= {column.name for column in COLUMNS} for row in rows)
    water = [row for row in rows if row["resource"] == "cold_water" and row["role"] == "house"]
    assert [(row["channel"], row["profile"]) for row in water] == [("15", "karat-929lw")]
    assert {row["premises_kind"] for row in rows} == {"", "nonresidential"}
    start = start_of(NOVOURALSK, round(START.timestamp()) * 1_000_000)
    assert {row["installed_on"] for row in rows} == {start.date().isoformat()}

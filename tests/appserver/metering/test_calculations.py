"""Every row of metering_calculations.json that concerns boundary values, consumption, days and balances."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.db import open_database
from appserver.metering import add_manual_reading
from appserver.metering.balance import imbalance
from appserver.metering.boundary import Sample, boundary_value
from appserver.metering.common_needs import left_over, norm_share, of_area
from appserver.metering.consumption import Register, Term, advance, consumption, from_pulses
from appserver.metering.timebase import hours_in_day, microseconds, trusted_moment, zone_of
from tests.support.house import make_house

ROWS = {
    row["id"]: row
    for row in json.loads(
        (Path(__file__).parents[2] / "vectors" / "metering_calculations.json").read_text(), parse_float=Decimal
    )["calculations"]
}
WATER = Register((Decimal(100_000),), Decimal(3))


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


@pytest.mark.parametrize("name", ["boundary-linear", "boundary-exact"])
def test_boundary(name: str) -> None:
    row = ROWS[name]
    samples = [Sample(at(moment), Decimal(value)) for moment, value in row["input"]["readings"]]
    value = boundary_value(samples, at(row["input"]["boundary"]))
    assert value is not None
    assert (value.value, value.quality) == (row["expected"]["value"], row["expected"]["quality"])


def test_rollover() -> None:
    given, expected = ROWS["rollover-mech5"]["input"], ROWS["rollover-mech5"]["expected"]
    register = Register((Decimal(given["modulus"]),), Decimal(given["qmax_m3h"]))
    step = consumption(given["prev"], given["cur"], Decimal(given["hours"]), register)
    assert (step.volume, step.event) == (expected["consumption"], expected["event"])


def test_small_negative() -> None:
    given, expected = ROWS["small-negative-jitter"]["input"], ROWS["small-negative-jitter"]["expected"]
    register = Register((Decimal(100_000),), Decimal(3), given["tolerance"])
    step = consumption(given["prev"], given["cur"], Decimal(24), register)
    assert (step.volume, step.billable, step.event) == (
        expected["consumption"],
        expected["billable"],
        expected["event"],
    )


def test_reverse_flow() -> None:
    given, expected = ROWS["reverse-flow-explained"]["input"], ROWS["reverse-flow-explained"]["expected"]
    (before, reverse_before), (after, reverse_after) = given["prev"], given["cur"]
    step = consumption(before, after, Decimal(24), WATER, reverse_after - reverse_before)
    assert (step.volume, step.event) == (expected["consumption"], expected["event"])


def test_replacement() -> None:
    a, b = ROWS["replacement-mid-month"]["input"]["installations"]
    zone = zone_of("Asia/Yekaterinburg")

    def local(text: str) -> int:
        return microseconds(datetime.fromisoformat(text).replace(tzinfo=zone))

    swap = local(a["to"])
    terms = [
        Term(1, local("2024-07-01T00:00"), swap, Decimal(100), a["close"], WATER),
        Term(2, swap, None, b["open"], None, WATER),
    ]
    start = advance(None, terms, local("2024-08-01T00:00"), a["open_at_period"], "measured")
    end = advance(start, terms, local("2024-09-01T00:00"), b["close_at_period"], "measured")
    assert end.total - start.total == ROWS["replacement-mid-month"]["expected"]["consumption"]
    assert end.event == "replaced"


def test_pulses() -> None:
    given = ROWS["pulse-weight"]["input"]
    value = from_pulses(
        Decimal(given["pulses"]), given["start_value"], Decimal(given["pulses_at_binding"]), given["weight_m3"]
    )
    assert value == ROWS["pulse-weight"]["expected"]["value"]


def test_novouralsk_table() -> None:
    rows = ROWS["novouralsk-table"]["input"]["rows"]
    volumes = {name: consumption(start, end, Decimal(744), WATER).volume for name, start, end, _ in rows}
    inconsistent = [name for name, _, _, printed in rows if volumes[name] != printed]
    assert inconsistent == ROWS["novouralsk-table"]["expected"]["inconsistent_rows"]
    assert sum(printed for *_, printed in rows) == ROWS["novouralsk-table"]["expected"]["sum_printed"]


def test_house_balance() -> None:
    given, expected = ROWS["house-balance"]["input"], ROWS["house-balance"]["expected"]
    difference, percent = imbalance(given["odpu"], given["ipu"], given["unmetered_by_norm"])
    assert (difference, percent) == (expected["imbalance_m3"], expected["imbalance_pct"])


def test_novouralsk_target() -> None:
    given = ROWS["novouralsk-target"]["input"]
    _, percent = imbalance(given["odpu"], given["ipu"])
    assert percent == ROWS["novouralsk-target"]["expected"]["pct"]
    assert 4 <= percent <= 9


def test_day_of_25_hours() -> None:
    given = ROWS["day25h-pavlodar"]["input"]
    hours = hours_in_day(date.fromisoformat(given["day"]), zone_of(given["tz"]))
    assert hours == ROWS["day25h-pavlodar"]["expected"]["hours"]


def test_clock_that_is_not_believed() -> None:
    given, expected = ROWS["clock-2000"]["input"], ROWS["clock-2000"]["expected"]
    commissioned = at("2022-03-01T00:00:00Z")
    moment, trusted = trusted_moment(at(given["device_time"]), at(given["rx"]), commissioned)
    assert (moment, "measured" if trusted else "server_time") == (at(expected["effective_time"]), expected["quality"])


def test_common_needs_by_meters() -> None:
    given, expected = ROWS["odn-electricity"]["input"], ROWS["odn-electricity"]["expected"]
    left = left_over(*(Decimal(given[name]) for name in ("V", "nonres", "res_norm", "res_meters")))
    volume = of_area(left, Decimal(given["S_i"]), Decimal(given["S_total"]))
    assert volume == expected["volume"]
    assert (volume * given["tariff"]).quantize(Decimal("0.01")) == expected["cost"]


def test_common_needs_by_norm() -> None:
    given, expected = ROWS["odn-norm"]["input"], ROWS["odn-norm"]["expected"]
    volume = norm_share(*(Decimal(given[name]) for name in ("N", "S_common", "S_i", "S_total")))
    assert volume.quantize(Decimal("0.001")) == expected["volume"]
    assert (volume * given["tariff"]).quantize(Decimal("0.01")) == expected["cost"]


def test_duplicate(tmp_path: Path) -> None:
    readings = ROWS["duplicate"]["input"]["readings"]
    db = open_database(tmp_path / "application.db")
    house = make_house(db)
    before = db.rows("SELECT count(*) FROM reading")[0][0]
    moment = at("2026-10-20T00:00:00+03:00")
    for _, value in readings:
        add_manual_reading(db, house.meters["1"], Decimal(value), moment, moment + 1, "ivanov")
    assert db.rows("SELECT count(*) FROM reading")[0][0] - before == ROWS["duplicate"]["expected"]["stored"]
    db.close()

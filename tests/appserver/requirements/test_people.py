"""FR-25, FR-27, FR-29, FR-23: what people see of their flat, the charts, the watched controller, readings of ГИС ЖКХ."""

from __future__ import annotations

import html
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.errors import RegistryError
from appserver.heat.control import control
from appserver.metering.queries import house_balance
from appserver.metering.resident import resident_view
from appserver.rules.entered import enter_rule, rule_book
from tests.support import satka
from tests.support.console import Console
from tests.support.house import make_house

OCTOBER = date(2026, 10, 1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> satka.Satka:
    return satka.build(tmp_path_factory.mktemp("satka") / "application.db", flats=14, days=31)


def test_fr_25_a_flat_sees_its_volumes_why_they_are_charged_and_the_median_of_its_neighbours(
    house: satka.Satka,
) -> None:
    month = house.first_day.replace(day=1)
    cold, hot = resident_view(house.db, house.premises[1], month)
    assert [cold.resource, hot.resource] == ["cold_water", "hot_water"]
    assert cold.volume is not None and cold.last_value is not None and cold.last_at_us is not None
    assert cold.basis in ("measured", "unknown") and any(version.startswith("substitution@") for version in cold.rules)
    balance = house_balance(house.db, house.building_id, "cold_water", month, date(2026, 11, 1), "month")
    others = sorted(
        point.volume
        for point in balance.points
        if point.role == "individual"
        and point.premises_id != house.premises[1]
        and point.volume is not None
        and point.quality in ("measured", "interpolated", "server_time")
    )
    middle = len(others) // 2
    assert cold.neighbours == len(others) >= 10
    assert cold.neighbours_median == (others[middle] if len(others) % 2 else (others[middle - 1] + others[middle]) / 2)


def test_fr_25_fewer_than_ten_neighbours_are_not_compared(tmp_path: Path) -> None:
    small = satka.build(tmp_path / "application.db", flats=5, days=5)
    for point in resident_view(small.db, small.premises[1], small.first_day):
        assert (point.neighbours_median, point.high_use) == (None, False)
    with pytest.raises(RegistryError):
        resident_view(small.db, 999, small.first_day)
    small.db.close()


async def test_fr_25_over_http_with_no_personal_data_in_the_address(console: Console) -> None:
    make_house(console.services.database)
    [point] = (await console.api("GET", "/premises/1/summary?month=2026-10-01", role="viewer")).json
    assert (point["serial"], point["volume"], point["neighbours"]) == ("11", "0.750", 1)
    assert "account" not in json.dumps(point), "only the number of the premises is needed to ask"
    assert (await console.api("GET", "/premises/99/summary?month=2026-10-01")).status == 404


async def test_fr_27_the_charts_have_the_numbers_of_the_tables(console: Console) -> None:
    made = make_house(console.services.database)
    await console.sign_in()
    page = (await console.ask("GET", f"/houses/{made.building_id}?period=2026-10")).text
    chart = json.loads(html.unescape(re.findall(r'data-chart="([^"]+)"', page)[0]))
    balance = house_balance(
        console.services.database, made.building_id, "cold_water", OCTOBER, date(2026, 11, 1), "day"
    )
    for kind, column in (("house", "house"), ("gap", "imbalance")):
        series = next(each for each in chart["series"] if each["kind"] == kind)
        wanted = [None if (value := getattr(row, column)) is None else float(value) for row in balance.periods]
        assert series["values"] == wanted
    assert 'class="waterfall"' in page, "the imbalance as a waterfall of its causes"
    meter = (await console.ask("GET", f"/meters/{made.meters['1']}")).text
    strip = meter[meter.index('class="strip"') :]
    assert strip[: strip.index("</svg>")].count("<rect") == 33
    assert 'class="measured"' in strip and 'class="missing"' in strip
    profile = json.loads(html.unescape(re.findall(r'data-chart="([^"]+)"', meter)[0]))
    assert profile["series"][0]["values"] == [0.15] * 5


def test_fr_29_a_controller_is_watched_against_the_graph_and_never_set(tmp_path: Path) -> None:
    made = satka.build(tmp_path / "application.db", flats=2, days=2)
    db, dev_eui = made.db, "70b3d5e75e00bbbb"
    (tmp_path / "outdoor").mkdir()
    (tmp_path / "outdoor" / "a.csv").write_text("2026-10-01;-5\n2026-10-02;-6\n", encoding="utf-8")
    with pytest.raises(RegistryError, match="weather_control"):
        control(db, rule_book(db), made.building_id, OCTOBER, date(2026, 10, 3))
    enter_rule(
        db,
        "weather_control",
        {"dev_eui": dev_eui, "supply": "t_supply"},
        valid_from=date(2026, 1, 1),
        source="Проект ИТП",
        author="a",
        now_us=1,
    )
    with db.transaction() as connection:
        for number, (hour, setpoint, supply, valve) in enumerate(((1, 64, 62, 40), (13, 66, 64, 50), (30, 65, 70, 20))):
            connection.execute(
                "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec,"
                " state, reason, object) VALUES (?, 0, ?, 1, ?, 2, x'00', ?, 'own@1', 'decoded', '', ?)",
                (
                    90_000 + number,
                    dev_eui,
                    number,
                    satka.microseconds(satka.midnight(OCTOBER)) + hour * 3_600_000_000,
                    json.dumps({"setpoint_c": setpoint, "t_supply": supply, "valve_pct": valve}),
                ),
            )
    first, second = control(db, rule_book(db), made.building_id, OCTOBER, date(2026, 10, 3))
    assert (first.setpoint_c, first.supply_c, first.valve_pct) == (Decimal(65), Decimal(63), Decimal(45))
    assert (first.outdoor_c, first.deviation_c) == (Decimal(-5), Decimal(-2))
    assert first.graph_c == Decimal("63.55"), "between the rows of -4 and -6 degrees"
    assert (second.supply_c, second.deviation_c) == (Decimal(70), Decimal(5))
    assert db.rows("SELECT count(*) FROM archive_query WHERE dev_eui = ?", (dev_eui,)) == [(0,)]
    db.close()


async def test_fr_23_readings_of_gis_are_kept_as_such_and_beside_ours(console: Console) -> None:
    made = make_house(console.services.database)
    told = {"meter_id": made.meters["1"], "measured_at": "2026-10-06T00:00:00+03:00", "value": "100.8"}
    answer = await console.api("POST", "/readings/batch", json={"source": "gis", "readings": [told]})
    assert (answer.json["new"], answer.json["known"]) == (1, 0)
    again = await console.api("POST", "/readings/batch", json={"source": "gis", "readings": [told]})
    assert (again.json["new"], again.json["known"]) == (0, 1)
    items = (await console.api("GET", f"/readings?meter_id={made.meters['1']}")).json["items"]
    its = [(item["source"], item["value"]) for item in items if item["measured_at"] == items[0]["measured_at"]]
    assert sorted(its) == [("gis", "100.800"), ("lorawan", "100.750")]

"""A house with a KARAT-307: frames through the ingest, archives, the report of heat consumption, breaches, gaps."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from appserver import reports
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.heat.days import report
from appserver.heat.outdoor import outdoor
from appserver.heat.quantity import energy_gcal
from appserver.incidents import Filter, incidents
from appserver.incidents.runner import run
from appserver.ingest import Ingest
from appserver.registry.crud import create_in
from appserver.registry.installations import bind_in, install_in
from appserver.rules import book_of
from internalapi.messages import Event
from tests.support.satka import KARAT_EPOCH, microseconds

D = Decimal
ZONE = ZoneInfo("Asia/Yekaterinburg")
FIRST = date(2026, 1, 1)
DEV_EUI = "70b3d5e75e00aaaa"
GRAPH = """
[[rule]]
kind = "temperature_graph"
address = "Новоуральск"
valid_from = 2020-01-01
source = "График теплоснабжающей организации"
[rule.values]
rows = [[10, 42, 37], [-5, 64, 50], [-6, 65, 51], [-28, 95, 70]]

[[rule]]
kind = "heat_contract"
address = "Новоуральск"
valid_from = 2020-01-01
source = "Договор № 1"
[rule.values]
system = "closed"
cold_water_c = 5
load_gcal_h = 0.2
"""


@dataclass(slots=True)
class House:
    db: Database
    building_id: int
    meter_id: int
    events: list[Event]
    folder: Path

    def take(self, *events: Event) -> None:
        Ingest(self.db, lambda: self.now_us).take(events)

    @property
    def now_us(self) -> int:
        return microseconds(datetime(2026, 2, 1, 6, tzinfo=ZONE))


def frames(day: date, supply: str, back: str, mass: str = "100", worked_h: int = 24) -> list[Event]:
    """The packets 800 and 801 of a day, stamped 23:00 as the device does; packed by the published layout."""
    stamp = datetime(day.year, day.month, day.day, 23)  # noqa: DTZ001 (the device's own clock)
    seconds = int((stamp - KARAT_EPOCH).total_seconds())
    energy = energy_gcal(D(mass), D(supply), D(back))
    first = struct.pack(
        "<HBI8fIi",
        800,
        7,
        seconds,
        float(mass),
        float(mass),
        0,
        float(supply),
        float(back),
        0,
        0,
        float(energy),
        0,
        worked_h * 60,
    )
    rest = struct.pack(
        "<HBI6f5i", 801, 7, seconds, 102, 101, 1, float(D(supply) - D(back)), 0.6, 0.5, 0, 0, 0, 0, (24 - worked_h) * 60
    )
    received = microseconds(datetime(day.year, day.month, day.day, 4, tzinfo=ZONE) + timedelta(days=1))
    return [
        Event(
            0, "up", received + n * 60_000_000, DEV_EUI, codec="karat-meter", f_port=5, data=data, session_id=1, f_cnt=n
        )
        for n, data in enumerate((first, rest))
    ]


def numbered(events: list[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, id=n, f_cnt=n) for n, event in enumerate(events, 1)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    db = open_database(tmp_path / "application.db")
    with db.writing() as session:
        organisation = create_in(session, "organisation", {"name": "УК"})
        building = create_in(
            session,
            "building",
            {"organisation_id": organisation.id, "address": "г. Новоуральск, ул. Ленина, 1", "timezone": ZONE.key},
        )
        point = create_in(session, "point", {"building_id": building.id, "resource": "heat", "role": "house"})
        meter = create_in(session, "meter", {"serial": "307-1", "model": "КАРАТ-307", "resource": "heat"})
        install_in(session, point.id, meter.id, date(2025, 12, 1), D(0))
        bind_in(session, DEV_EUI, 1, meter.id, "heat", valid_from_us=0)
    events = numbered(
        [
            frame
            for n in range(31)
            if n not in (10, 11)
            for frame in frames(FIRST + timedelta(days=n), "58" if n in (3, 4) else "64", "54" if n == 20 else "50")
        ]
    )
    made = House(db, building.id or 0, meter.id or 0, events, tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "heat.toml").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "outdoor").mkdir()
    lines = [f"{FIRST + timedelta(days=n)};-5,0" for n in range(31)]
    (tmp_path / "outdoor" / "january.csv").write_text("дата;температура\n" + "\n".join(lines), encoding="utf-8")
    yield made
    db.close()


def january(house: House):  # type: ignore[no-untyped-def]
    return report(house.db, book_of(house.folder), house.building_id, FIRST, date(2026, 2, 1))


def test_fr_18_archives_are_joined_in_any_order_twice(house: House) -> None:
    house.db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (house.folder / "copy.db").write_bytes(house.db.path.read_bytes())
    other = Database(house.folder / "copy.db")
    house.take(*house.events)
    rows = house.db.rows("SELECT * FROM calculator_record ORDER BY at_us")
    assert len(rows) == 29
    shuffled = list(house.events)
    random.Random(5).shuffle(shuffled)
    copy = Ingest(other, lambda: house.now_us)
    copy.take(numbered(shuffled))
    copy.take(numbered(shuffled))
    columns = "dev_eui, subsystem, circuit, archive, at_us, received_at_us"
    order = " FROM calculator_record ORDER BY at_us"
    assert other.rows(f"SELECT {columns}{order}") == house.db.rows(f"SELECT {columns}{order}")
    fields = [json.loads(value) for (value,) in house.db.rows(f"SELECT fields{order}")]
    assert [json.loads(value) for (value,) in other.rows(f"SELECT fields{order}")] == fields
    assert {"T1_c", "V1_m3", "P1_mpa", "tA_h", "Tep_h", "dQ_gcal"} <= set(fields[0])
    other.close()


def test_fr_18_days_of_a_heat_meter(house: House) -> None:
    house.take(*house.events)
    made = january(house)
    day = made.rows[0]
    assert day.fields["T1_c"] == 64 and day.fields["m1_t"] == 100
    assert day.times.ok and day.times.sum_h == 24
    assert day.plausible is True
    assert abs((day.reckoned_gcal or 0) - day.fields["dQ_gcal"]) < D("0.01")
    assert (day.filled.basis, made.rows[10].filled.basis) == ("measured", "mean")
    assert made.outdoor_source == "file"


def test_fr_10_breaches_of_the_graph_become_a_report_and_incidents(house: House) -> None:
    house.take(*house.events)
    found = [(b.side, b.first.day, b.last.day, b.worst_c) for b in january(house).breaches]
    assert found == [("supply", 4, 5, D(-6)), ("return", 21, 21, D(4))]
    run(house.db, house.now_us, book_of(house.folder))
    off = [i for i in incidents(house.db, Filter(kinds=("temperature_graph",))) if i.ended_at_us is not None]
    assert [(i.evidence["side"], i.evidence["worst_c"]) for i in off] == [("return", "4.0"), ("supply", "-6.0")]


def test_fr_10_the_graph_of_the_package_accuses_nobody(house: House) -> None:
    house.take(*house.events)
    (house.folder / "rules" / "heat.toml").unlink()
    run(house.db, house.now_us, book_of(house.folder))
    assert incidents(house.db, Filter(kinds=("temperature_graph",))) == []


def test_fr_18_more_than_fifteen_missing_days_go_by_the_contract(house: House) -> None:
    house.take(*house.events[:20])
    rows = january(house).rows
    assert {row.filled.basis for row in rows[10:]} == {"contract"}
    assert rows[30].filled.gcal == D("2.5000"), "0.2 Gcal/h at -28 indoors 20; at -5 it is 25/48 of it"


def test_fr_18_a_day_whose_times_do_not_add_up_is_marked(house: House) -> None:
    house.take(*numbered(frames(FIRST, "64", "50", worked_h=20)))
    day = january(house).rows[0]
    assert day.times.ok and day.filled.basis != "measured", "four hours without power: no normal work"
    stamp = int((datetime(2026, 1, 2, 23) - KARAT_EPOCH).total_seconds())  # noqa: DTZ001 (the device's own clock)
    wrong = struct.pack("<HBI8fIi", 800, 7, stamp, *[1.0] * 8, 0, 600)
    rest = frames(date(2026, 1, 2), "64", "50")[1]
    first = Event(50, "up", rest.time_us, DEV_EUI, codec="karat-meter", f_port=5, data=wrong, session_id=1, f_cnt=50)
    house.take(first, msgspec.structs.replace(rest, id=51, f_cnt=51))
    assert january(house).rows[1].times.known and not january(house).rows[1].times.ok


@pytest.mark.parametrize("language", ["ru", "en"])
def test_fr_15_report_of_heat_consumption_in_every_format(house: House, language: str) -> None:
    house.take(*house.events)
    made = reports.make(house.db, "heat", house.building_id, FIRST, date(2026, 2, 1), language=language)
    for form in reports.FORMATS:
        data = reports.render(made, form)
        assert len(data) > 2000
        assert reports.render(made, form) == data
    keys = [column.key for column in made.columns]
    total = dict(zip(keys, made.totals[0], strict=True))
    assert total["m1"] == D("2900.000")
    charged = total["charged"]
    gj = dict(zip(keys, made.totals[2], strict=True))["charged"]
    assert abs(charged * D("4.1868") - gj) < D("0.001")
    assert any("График теплоснабжающей организации" in note for note in made.notes)
    assert any("99/пр" in note for note in made.notes)
    assert any("04.01.2026 – 05.01.2026" in note for note in made.notes)


def test_outdoor_files_name_file_and_line(house: House) -> None:
    book = book_of(house.folder)
    file = house.folder / "outdoor" / "own.csv"
    file.write_text("2026-01-02;-7.5;новоуральск\n02.01.2026;-30;Сатка\n", encoding="utf-8")
    days, source = outdoor(house.db, book, "г. Новоуральск, 1", ZONE.key, FIRST, date(2026, 1, 4))
    assert (days[date(2026, 1, 1)], days[date(2026, 1, 2)], source) == (D("-5.0"), D("-7.5"), "file")
    file.write_text("2026-01-02;cold\n", encoding="utf-8")
    with pytest.raises(RegistryError, match=r"own\.csv, line 1"):
        january(house)


def test_outdoor_sensor_beats_the_file(house: House) -> None:
    rule = '[[rule]]\nkind = "outdoor_sensor"\nvalid_from = 2020-01-01\nsource = "Датчик на фасаде"\n'
    (house.folder / "rules" / "sensor.toml").write_text(
        rule + '[rule.values]\ndev_eui = "70b3d5e75e00bbbb"\nfield = "t"\n', encoding="utf-8"
    )
    with house.db.transaction() as connection:
        for hour, value in ((1, "-10"), (13, "-8")):
            at_us = microseconds(datetime(2026, 1, 1, hour, tzinfo=ZONE))
            connection.execute(
                "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, data, received_at_us, codec, state,"
                " reason, object) VALUES (?, 0, '70b3d5e75e00bbbb', 1, ?, x'', ?, 'x', 'decoded', '', ?)",
                (hour, hour, at_us, f'{{"t": "{value}"}}'),
            )
    days, source = outdoor(house.db, book_of(house.folder), "г. Новоуральск, 1", ZONE.key, FIRST, date(2026, 1, 3))
    assert (days[date(2026, 1, 1)], days[date(2026, 1, 2)], source) == (D("-9.0"), D("-5.0"), "sensor")


def test_a_house_without_a_heat_meter_says_so(house: House) -> None:
    with pytest.raises(RegistryError, match="no building 99"):
        report(house.db, book_of(house.folder), 99, FIRST, date(2026, 1, 2))
    with house.db.transaction() as connection:
        connection.execute("UPDATE point SET resource = 'gas'")
    made = january(house)
    assert (made.meter_id, {row.filled.basis for row in made.rows}) == (0, {"contract"})
    with pytest.raises(RegistryError, match="no heat meter at point 9"):
        report(house.db, book_of(house.folder), house.building_id, FIRST, date(2026, 1, 2), 9)

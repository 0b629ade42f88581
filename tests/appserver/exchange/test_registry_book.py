"""All tables of the registry, out and into an empty database and out again; dry run and row errors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appserver import registry
from appserver.db import Database, open_database
from appserver.exchange.registry_book import SHEETS, export_book, export_csv, import_book, read_book, tables
from appserver.exchange.tables import TableError

NAMES = st.text(
    st.sampled_from("абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВЁ «»-.,№0123456789;\"=+'"), min_size=1, max_size=120
).map(lambda text: "У" + text.strip())
VALUES = st.decimals("0", "99999", places=6)
ZONES = st.sampled_from(["Europe/Moscow", "Asia/Yekaterinburg", "Asia/Kamchatka", "Europe/Kaliningrad", "UTC"])


@contextmanager
def fresh() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(Path(folder) / "application.db")
        yield db
        db.close()


def fill(db: Database, name: str, zone: str, value: Decimal, weight: Decimal) -> None:
    organisation = registry.create(db, "organisation", {"name": name, "inn": "7417012345"})
    about = {"organisation_id": organisation.id, "address": name, "timezone": zone, "kind": "school", "floors": 5}
    building = registry.create(db, "building", about)
    entrance = registry.create(db, "entrance", {"building_id": building.id, "number": "1", "floors": 9})
    told = {"number": "007", "account_number": "0740105", "area_m2": value, "entrance_id": entrance.id, "floor": -1}
    flat = registry.create(db, "premises", {"building_id": building.id, **told})
    registry.create(db, "account", {"premises_id": flat.id, "number": "9", "holder": name, "share": "0.333333"})
    place = {"building_id": building.id, "resource": "cold_water"}
    kitchen = registry.create(db, "point", {**place, "premises_id": flat.id, "name": "кухня"})
    common = registry.create(db, "point", {**place, "role": "house"})
    meters = [
        registry.create(
            db,
            "meter",
            {"serial": f"00{n}", "model": name, "resource": "cold_water", "q3": value, "pulse_weight": weight,
             "verification_months": 72},
        )
        for n in range(6)
    ]  # fmt: skip
    registry.create(db, "verification", {"meter_id": meters[0].id, "verified_on": "2014-01-01", "organisation": name})
    registry.create(db, "verification", {"meter_id": meters[0].id, "verified_on": "2020-01-01", "result": "unfit"})
    registry.create(db, "seal", {"meter_id": meters[0].id, "number": "01", "set_on": "2026-01-02", "remark": name})
    hung = registry.install(db, kitchen.id, meters[0].id, date(2026, 1, 1), value, facts={"install_act": name})
    registry.bind_channel(
        db, "4b41524154000001", meters[0].id, 2, weight=weight, start_value=value, valid_from_us=1234567
    )
    registry.update(db, "installation", hung.id, {"commissioned_on": "2026-01-03"})
    registry.replace_meter(db, kitchen.id, meters[1].id, date(2026, 3, 1), value + 1, Decimal(0))
    registry.install(db, common.id, meters[2].id, date(2026, 1, 1), Decimal(0), ratio=Decimal("40"))
    cellar = registry.create(db, "point", {**place, "premises_id": flat.id, "name": "подвал"})
    registry.install(db, cellar.id, meters[3].id, date(2026, 1, 1), Decimal(0))
    registry.replace_meter(db, cellar.id, meters[4].id, date(2026, 3, 1), Decimal(1), Decimal(0))
    for at, state in ((0, "repair"), (1, "failed"), (2, "failed"), (3, "written_off"), (5, "repair")):
        registry.update(db, "meter", meters[at].id, {"state": state})


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, ZONES, VALUES, st.decimals("0.000001", "100", places=12).filter(bool))
def test_fr_28_everything_goes_into_an_empty_database_and_comes_back_the_same(
    name: str, zone: str, value: Decimal, weight: Decimal
) -> None:
    with fresh() as db, fresh() as other:
        fill(db, name, zone, value, weight)
        before = tables(db)
        assert all(before[sheet] for sheet in SHEETS)
        book = export_book(db)
        trial = import_book(other, read_book(book), dry_run=True)
        assert (trial.errors, trial.applied) == ([], False)
        assert not any(tables(other).values())
        done = import_book(other, read_book(book), dry_run=False)
        assert (done.errors, done.applied, done.created) == ([], True, trial.created)
        assert tables(other) == before
        again = import_book(other, read_book(book), dry_run=False)
        assert (again.errors, again.created, again.changed) == ([], {}, {})
        for sheet in SHEETS:
            rows = read_book(export_csv(db, sheet), sheet)
            unchanged = import_book(other, rows, dry_run=False)
            assert (unchanged.errors, unchanged.created, unchanged.changed) == ([], {}, {}), sheet


def test_a_meter_that_hangs_and_has_failed_stays_failed() -> None:
    with fresh() as db, fresh() as other:
        fill(db, "У", "UTC", Decimal(1), Decimal(1))
        assert import_book(other, read_book(export_book(db)), dry_run=False).applied
        states = {meter.serial: meter.state for meter in registry.page(other, "meter").items}
        assert states == {
            "000": "repair", "001": "failed", "002": "failed", "003": "written_off", "004": "installed", "005": "repair",
        }  # fmt: skip
        failed = next(meter for meter in registry.page(other, "meter").items if meter.serial == "002")
        told = [(e.event, e.field, e.after) for e in registry.events(other, "meter", failed.id)]
        assert told[0] == ("changed", "state", "failed")
        lines = "serial;manufacturer;model;state\r\n002;;У;in_stock\r\n004;;У;failed\r\n"
        report = import_book(other, read_book(lines.encode(), "meters"), dry_run=False)
        assert [(e.row, e.column) for e in report.errors] == [(2, "meters.state")]
        assert not report.applied
        report = import_book(
            other, read_book(lines.replace("002;;У;in_stock\r\n", "").encode(), "meters"), dry_run=False
        )
        assert (report.changed, report.errors) == ({"meters": 1}, [])


def test_errors_name_row_and_column_and_nothing_is_done() -> None:
    lines = "organisation.name;address;timezone;floors\r\nнет такой;ул. 1;UTC;5\r\nУК;ул. 2;Марс;5\r\nУК;ул. 3;UTC;много\r\nУК;ул. 4;UTC;\r\n"
    with fresh() as db:
        registry.create(db, "organisation", {"name": "УК"})
        report = import_book(db, read_book(lines.encode(), "buildings"), dry_run=False)
        assert [(e.row, e.column) for e in report.errors] == [
            (2, "buildings.organisation_id"), (3, "buildings.timezone"), (4, "buildings.floors"),
        ]  # fmt: skip
        assert not report.applied
        assert tables(db)["buildings"] == []


def test_a_change_is_written_with_its_line_in_the_journal() -> None:
    with fresh() as db:
        organisation = registry.create(db, "organisation", {"name": "УК"})
        lines = "name;inn\r\nУК;7417012345\r\n"
        report = import_book(db, read_book(lines.encode(), "organisations"), False, registry.Note("ivanova"))
        assert report.changed == {"organisations": 1}
        line = registry.events(db, "organisation", organisation.id)[0]
        assert (line.actor, line.field, line.after) == ("ivanova", "inn", "7417012345")


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"a;b\r\n", "", "holds one table"),
        (b"a;b\r\n", "meters", "'a' is none of"),
        (b"serial;serial\r\n", "meters", "twice"),
        (b"PK\x03\x04 broken", "", "damaged"),
    ],
)
def test_what_is_no_table_of_ours(data: bytes, name: str, said: str) -> None:
    with pytest.raises(TableError, match=said):
        read_book(data, name)


def small(db: Database) -> None:
    """A flat with an entrance and a point, and a meter on the shelf."""
    organisation = registry.create(db, "organisation", {"name": "УК"})
    building = registry.create(
        db, "building", {"organisation_id": organisation.id, "address": "ул. 1", "timezone": "UTC"}
    )
    entrance = registry.create(db, "entrance", {"building_id": building.id, "number": "1"})
    flat = {"building_id": building.id, "number": "7", "entrance_id": entrance.id, "area_m2": "10"}
    premises = registry.create(db, "premises", flat)
    registry.create(db, "point", {"building_id": building.id, "premises_id": premises.id, "resource": "cold_water"})
    registry.create(db, "meter", {"serial": "1", "resource": "cold_water"})


POINT = (
    "point.building.address;point.premises.building.address;point.premises.number;point.resource;point.role;"
    "point.direction;point.name;meter.serial;meter.manufacturer;meter.model;installed_on;installed_at;start_value;ratio"
)
THERE = "ул. 1;ул. 1;7;cold_water;individual;in;;1;;;"
CHANNEL = "meter.serial;meter.manufacturer;meter.model;dev_eui;channel;valid_from;valid_until;weight"
MODULE = "1;;;4b41524154000001"
NINES = "9" * 30


@pytest.mark.parametrize(
    ("table", "head", "line", "column"),
    [
        ("premises", "building.address;number;area_m2", "ул. 1;7;sNaN", "area_m2"),
        ("premises", "building.address;number;area_m2", "ул. 1;8;1e999999", "area_m2"),
        ("premises", "building.address;number;residents", f"ул. 1;7;{NINES}", "residents"),
        ("channels", CHANNEL, f"{MODULE};{NINES};0;;1", "channel"),
        ("channels", CHANNEL, f"{MODULE};1;{NINES};;1", "valid_from"),
        ("channels", CHANNEL, f"{MODULE};1;0;{NINES};1", "valid_until"),
        ("channels", CHANNEL, f"{MODULE};1;100;50;1", "valid_until"),
        ("channels", CHANNEL, f"{MODULE};1;0;;0", "weight"),
        ("installations", POINT, f"{THERE}0001-01-01;;1;1", "installed_on"),
        ("installations", POINT, f"{THERE}9999-12-31;;1;1", "installed_on"),
        ("installations", POINT, f"{THERE}2026-01-01;{NINES[:18]};1;1", "installed_at"),
        ("installations", POINT, f"{THERE}2026-01-01;;1;0", "ratio"),
        ("meters", "serial;resource", "2;cold_water\n2;hot_water", "resource"),
    ],
)
def test_what_cannot_be_is_a_fault_of_its_row(table: str, head: str, line: str, column: str) -> None:
    with fresh() as db:
        small(db)
        before = tables(db)
        report = import_book(db, read_book(f"{head}\n{line}\n".encode(), table), dry_run=False)
        assert [(e.row, e.column) for e in report.errors] == [(2 + line.count("\n"), f"{table}.{column}")]
        assert tables(db) == before


def test_what_a_table_does_not_tell_stays() -> None:
    with fresh() as db:
        small(db)
        for text, table in (
            ("building.address,number,residents,,\nул. 1,7,3,,\n", "premises"),
            ("address;floors\nул. 1;5\n", "buildings"),
        ):
            assert import_book(db, read_book(text.encode(), table), dry_run=False).changed == {table: 1}
        assert tables(db)["premises"] == [["ул. 1", "ул. 1", "1", "7", "flat", "", "10.000", "3", ""]]
        assert tables(db)["buildings"][0][0] == "УК"
        closed = f"{CHANNEL}\n{MODULE};1;0;50;1\n"
        assert import_book(db, read_book(closed.encode(), "channels"), dry_run=False).applied
        again = import_book(
            db, read_book(closed.replace(";valid_until", "").replace(";50", "").encode(), "channels"), False
        )
        assert (again.errors, again.unchanged) == ([], {"channels": 1})


def test_days_as_people_and_spreadsheets_write_them() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "verifications"
    sheet.append(["meter.serial", "meter.manufacturer", "meter.model", "verified_on"])
    sheet.append([1, None, None, datetime(2026, 2, 1)])  # noqa: DTZ001 (a cell has no zone)
    buffer = BytesIO()
    book.save(buffer)
    with fresh() as db:
        small(db)
        assert import_book(db, read_book(buffer.getvalue()), dry_run=False).created == {"verifications": 1}
        text = "meter.serial;meter.manufacturer;meter.model;verified_on\n1;;;01.02.2026\n"
        assert import_book(db, read_book(text.encode(), "verifications"), False).unchanged == {"verifications": 1}
        row = f"{POINT}\n{THERE}01.02.2026;;1,5;\n".encode()
        assert import_book(db, read_book(row, "installations"), False).created == {"installations": 1}
        assert import_book(db, read_book(row, "installations"), False).unchanged == {"installations": 1}


def test_a_replacement_comes_back_whatever_the_numbers_of_the_meters() -> None:
    with fresh() as db, fresh() as other:
        small(db)
        old = registry.create(db, "meter", {"serial": "2", "resource": "cold_water"})
        registry.install(db, 1, old.id, date(2026, 1, 1), Decimal(0))
        registry.bind_channel(db, "4b41524154000001", old.id)
        registry.replace_meter(db, 1, 1, date(2026, 3, 1), Decimal(5), Decimal(0))
        assert [row[7] for row in tables(db)["installations"]] == ["1", "2"]
        report = import_book(other, read_book(export_book(db)), dry_run=False)
        assert report.errors == []
        assert tables(other) == tables(db)


def sheet_that_reaches_far() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "premises"
    book.active.cell(300_000, 300).value = "x"
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\nbuilding.address;number\na;1\n", "first row must be that of the headings"),
        (b"number;number\n1;1\n", "'number' stands there twice"),
        (b"number;kind\n1;flat;more\n", "row 2 has more cells"),
        (b"number;kind\n" + b"7" * 200_000 + b";flat\n", "field larger"),
        (sheet_that_reaches_far(), "reaches to row 300000"),
    ],
)
def test_nothing_of_a_table_is_dropped_in_silence(data: bytes, said: str) -> None:
    with pytest.raises(TableError, match=said):
        read_book(data, "premises")

"""One table of meters in and out: dry run, row errors, all or nothing, again without change, and back (round trip)."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from msgspec import UNSET

from appserver.db import Database, open_database
from appserver.exchange import ImportReport, export_table, read_table, run
from appserver.ingest import Ingest
from appserver.metering import house_balance, last_readings
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import DeviceWrite, Event, Problem, PutResult
from tests.support.satka import ZONE, karat, microseconds, midnight

NOW_US = microseconds(midnight(date(2026, 11, 10)))
HEADS = (
    "организация", "инн", "адрес", "часовой пояс", "квартира", "лицевой счёт", "ресурс", "роль", "номер счётчика", "модель",
    "дата установки", "начальное показание", "DevEUI", "канал", "вес импульса", "импульсов при привязке", "профиль",
    "JoinEUI", "AppKey", "дата поверки", "поверка до",
)  # fmt: skip


class FakeNetwork:
    """Keeps devices as the network process does: all or none."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceWrite] = {}
        self.calls: list[bool] = []
        self.problem: Exception | None = None
        self.warnings: list[str] = []

    async def devices_put(self, *, items: list[DeviceWrite], dry_run: bool) -> PutResult:
        self.calls.append(dry_run)
        if self.problem is not None:
            raise self.problem
        result = PutResult(warnings=self.warnings)
        for item in items:
            if item.dev_eui not in self.devices:
                result.created += 1
            elif self.devices[item.dev_eui] == item:
                result.unchanged += 1
            else:
                result.changed += 1
            if not dry_run:
                self.devices[item.dev_eui] = item
        return result


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


def line(flat: int, resource: str, **changes: object) -> dict[str, object]:
    number = flat * 2 + (resource == "ГВС")
    common = flat == 0
    values = {
        "организация": "УК «Сатка-Сервис»",
        "инн": "7417000000",
        "адрес": "Сатка, Бакальская, 12",
        "часовой пояс": ZONE.key,
        "квартира": "" if common else flat,
        "лицевой счёт": "" if common else f"7412{flat:06}",
        "ресурс": resource,
        "роль": "ОДПУ" if common else "ИПУ",
        "номер счётчика": 18270200 + number,
        "модель": "ВСХНд-50" if common else "СВК-15",
        "дата установки": "01.10.2026",
        "начальное показание": f"{100 + flat},125",
        "DevEUI": f"70B3D5E75E{number:06X}",
        "канал": 1,
        "вес импульса": "0,01" if common else "",
        "импульсов при привязке": 1000 if common else "",
        "профиль": "vega-si-11" if common else "karat-926lw",
        "JoinEUI": "70b3d5e75e01aa00",
        "AppKey": f"{0x8F3A5C7719DD0042A1B2C3D4E5F60000 + number:032x}",
    }
    return values | changes


def table(lines: list[dict[str, object]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEADS, delimiter=";")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue().encode()


def house(flats: int = 3) -> list[dict[str, object]]:
    return [line(flat, resource) for flat in range(flats + 1) for resource in ("ХВС", "ГВС")]


async def imported(db: Database, network: FakeNetwork, data: bytes, dry_run: bool = False) -> ImportReport:
    return await run(db, network, read_table(data), dry_run, NOW_US)


def everything(db: Database) -> list:
    tables = ("organisation", "building", "premises", "point", "meter", "installation", "module_channel", "boundary")
    return [db.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables]


async def test_fr_06_dry_run_shows_and_changes_nothing(db: Database) -> None:
    network = FakeNetwork()
    report = await imported(db, network, table(house()), dry_run=True)
    assert (report.errors, report.applied, network.calls, network.devices) == ([], False, [True], {})
    assert report.created == {
        "organisation": 1, "building": 1, "premises": 3, "point": 8, "meter": 8, "installation": 8, "module_channel": 8,
        "device": 8,
    }  # fmt: skip
    assert [c.what for c in report.changes if c.kind == "premises"] == ["1", "2", "3"]
    assert everything(db) == [[]] * 8


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_the_network_warns_of_reaches_the_report(db: Database, dry_run: bool) -> None:
    network = FakeNetwork()
    network.warnings = ["2 devices share one root key, DevEUI 0000000000000004 among them: whoever opens one …"]
    report = await imported(db, network, table(house()), dry_run)
    assert report.warnings == network.warnings
    assert report.applied is not dry_run and not report.errors


async def test_fr_06_import_then_again_changes_nothing(db: Database) -> None:
    network = FakeNetwork()
    first = await imported(db, network, table(house()))
    assert first.applied and network.calls == [False]
    device = network.devices["70b3d5e75e000002"]
    assert (device.profile, device.activation, device.join_eui) == ("karat-926lw", "OTAA", "70b3d5e75e01aa00")
    assert device.name is UNSET
    before = everything(db)
    again = await imported(db, network, table(house()))
    assert again.applied and not again.changes
    assert (again.created, again.changed) == ({"device": 0}, {"device": 0})
    assert sum(again.unchanged.values()) == 45
    assert everything(db) == before
    rows = db.rows("SELECT weight, start_value, start_pulses FROM module_channel ORDER BY id")
    assert rows[0] == ("0.01", 100_125_000, 1_000_000_000) and rows[2] == ("1", 0, 0)


async def test_changes_are_listed_before_and_after(db: Database) -> None:
    network = FakeNetwork()
    await imported(db, network, table(house()))
    lines = house()
    lines[2]["модель"] = "СГВ-15"
    lines[2]["начальное показание"] = "101,5"
    report = await imported(db, network, table(lines))
    assert [(c.kind, c.field, c.before, c.after) for c in report.changes] == [
        ("meter", "model", "СВК-15", "СГВ-15"),
        ("installation", "start_value", "101.125", "101.500"),
    ]
    assert report.changed == {"meter": 1, "installation": 1, "device": 0}
    assert db.rows("SELECT min(value_micro) FROM boundary WHERE point_id = 3") == [(101_500_000,)]


async def test_every_change_has_its_line_in_the_journal(db: Database) -> None:
    network = FakeNetwork()
    await imported(db, network, table(house()))

    def told() -> list[tuple[str, str, str, str | None, str | None, str]]:
        lines = db.rows("SELECT subject, event, field, before, after, actor FROM registry_event ORDER BY id")
        return [line for line in lines if line[1] != "created"]

    before = told()
    assert {line[:2] for line in before} == {("meter", "installed"), ("point", "meter_installed")}
    lines = house()
    lines[0] |= {"вес импульса": "0,001"}
    lines[2] |= {"модель": "СГВ-15", "начальное показание": "101,5", "лицевой счёт": "740199"}
    lines[3] |= {"лицевой счёт": "740199"}
    report = await run(db, network, read_table(table(lines)), False, NOW_US, "ivanova")
    assert report.applied, report.errors
    assert told()[len(before) :] == [
        ("premises", "changed", "account_number", "7412000001", "740199", "ivanova"),
        ("meter", "changed", "model", "СВК-15", "СГВ-15", "ivanova"),
        ("meter", "changed", "start_value", "101.125", "101.500", "ivanova"),
        ("meter", "changed", "channel.weight", "0.01", "0.001", "ivanova"),
    ]
    account = db.rows("SELECT subject_id, after FROM registry_event WHERE subject = 'account' ORDER BY id DESC LIMIT 1")
    (number,) = db.rows("SELECT number FROM account WHERE id = ?", (account[0][0],))[0]
    assert (number, account[0][1]) == ("740199", '{"number": "740199"}')
    again = len(told())
    await run(db, network, read_table(table(lines)), False, NOW_US, "ivanova")
    assert len(told()) == again, "the same once more changes nothing and says nothing"


async def test_fr_06_planted_errors_are_reported_by_row_and_column_and_nothing_is_done(db: Database) -> None:
    """FR-06: 180 meters, three planted errors."""
    network = FakeNetwork()
    lines = [line(flat, resource) for flat in range(1, 91) for resource in ("ХВС", "ГВС")]
    lines[10]["начальное показание"] = "сто"
    lines[77]["DevEUI"] = "70B3"
    lines[150]["ресурс"] = "квас"
    report = await imported(db, network, table(lines))
    assert [(e.row, e.column) for e in report.errors] == [(12, "start_value"), (79, "dev_eui"), (152, "resource")]
    assert not report.applied and network.calls == [] and everything(db) == [[]] * 8
    report = await imported(db, network, table([line(f, r) for f in range(1, 91) for r in ("ХВС", "ГВС")]))
    assert report.applied and report.created["meter"] == 180


@pytest.mark.parametrize(
    ("changes", "row", "column"),
    [
        ({4: {"номер счётчика": 18270202}}, 6, "serial"),
        ({4: {"DevEUI": "70B3D5E75E000002"}}, 6, "app_key"),
        ({4: {"AppKey": f"{0x8F3A5C7719DD0042A1B2C3D4E5F60002:032x}"}}, 6, "app_key"),
        ({4: {"часовой пояс": "Europe/Moscow"}}, 6, "timezone"),
        ({4: {"начальное показание": ""}}, 6, "start_value"),
        ({4: {"квартира": ""}}, 6, "premises"),
        ({5: {"ресурс": "ХВС", "квартира": 2}}, 7, "serial"),
        ({4: {"дата установки": "01.01.0001"}}, 6, "installed_on"),
        ({4: {"дата установки": "9999-12-31"}}, 6, "installed_on"),
        ({4: {"дата поверки": "01.02.2026", "поверка до": "31.01.2026"}}, 6, "verification_until"),
    ],
)
async def test_rows_that_do_not_fit_together(db: Database, changes: dict, row: int, column: str) -> None:
    lines = house()
    for index, cells in changes.items():
        lines[index].update(cells)
    report = await imported(db, FakeNetwork(), table(lines))
    assert not report.applied
    assert (row, column) in [(e.row, e.column) for e in report.errors]


async def test_what_hangs_there_is_not_replaced_silently(db: Database) -> None:
    network = FakeNetwork()
    await imported(db, network, table(house()))
    other_meter = line(1, "ХВС", **{"номер счётчика": "99", "DevEUI": "70b3d5e75e0000ff"})
    other_module = line(2, "ХВС", **{"номер счётчика": "98", "DevEUI": "70B3D5E75E000002", "квартира": 9})
    elsewhere = line(3, "ХВС", квартира=10)
    report = await imported(db, network, table([other_meter, other_module, elsewhere]), dry_run=True)
    assert [(e.row, e.column) for e in report.errors] == [(2, "serial"), (3, "dev_eui"), (4, "serial")]


@pytest.mark.parametrize(
    "problem",
    [
        ApiError(409, Problem("conflict", "the key of 70b3d5e75e000002 is used elsewhere", "app_key")),
        NetworkUnavailable("no network process"),
    ],
)
async def test_network_that_refuses_or_is_away(db: Database, problem: Exception) -> None:
    network = FakeNetwork()
    network.problem = problem
    report = await imported(db, network, table(house()))
    assert not report.applied and len(report.errors) == 1
    assert everything(db) == [[]] * 8


async def test_frames_that_came_before_their_meter_count(db: Database) -> None:
    stamp = midnight(date(2026, 10, 2))
    event = Event(
        id=1, type="up", time_us=microseconds(stamp), dev_eui="70b3d5e75e000002", codec="karat", f_port=5,
        data=karat(Decimal("101.625"), stamp),
    )  # fmt: skip
    Ingest(db, lambda: NOW_US).take([event])
    report = await imported(db, FakeNetwork(), table(house()))
    assert report.readings == 2
    balance = house_balance(db, 1, "cold_water", date(2026, 10, 1), date(2026, 10, 2))
    assert next(p for p in balance.points if p.premises == "1").volume == Decimal("0.5")


@pytest.mark.parametrize("format", ["csv", "xlsx"])
@pytest.mark.parametrize("language", ["ru", "en"])
async def test_fr_06_round_trip(db: Database, tmp_path: Path, format: str, language: str) -> None:
    network = FakeNetwork()
    await imported(db, network, table(house()))
    devices = {d.dev_eui: {"profile": str(d.profile), "join_eui": str(d.join_eui)} for d in network.devices.values()}
    exported = export_table(db, format, language=language, devices=devices)  # type: ignore[arg-type]
    assert exported == export_table(db, format, language=language, devices=devices), "the same bytes"  # type: ignore[arg-type]
    again = await imported(db, network, exported, dry_run=True)
    assert again.errors == [] and again.changes == []
    other = open_database(tmp_path / "other.db")
    report = await imported(other, FakeNetwork(), exported)
    assert report.applied and everything(other) == everything(db)
    other.close()


async def test_fr_28_exports_carry_no_keys_and_no_formulas(db: Database) -> None:
    """SEC-14, SEC-25."""
    network = FakeNetwork()
    evil = ["=cmd|' /C calc'!A0", "+7417", "-1+1", "@SUM(A1)"]
    lines = house()
    for flat, text in enumerate(evil[:3], 1):
        lines[flat * 2]["модель"] = lines[flat * 2 + 1]["модель"] = text
    assert (await imported(db, network, table(lines))).applied
    data = export_table(db, "csv").decode("utf-8-sig")
    for row in csv.reader(io.StringIO(data), delimiter=";"):
        assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@")]
    assert "8f3a5c77" not in data.lower()
    sheet = openpyxl.load_workbook(io.BytesIO(export_table(db, "xlsx"))).active
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    assert evil[0] in [cell.value for cell in cells]
    again = await imported(db, network, export_table(db, "csv"), dry_run=True)
    assert again.changes == [] and again.errors == []


async def test_town_of_meters_is_quick(db: Database) -> None:
    lines = [
        line(flat, resource, адрес=f"Улица, {flat // 60}", DevEUI="", профиль="", JoinEUI="", AppKey="", канал="")
        for flat in range(60, 2060)
        for resource in ("ХВС", "ГВС")
    ]
    report = await imported(db, FakeNetwork(), table(lines))
    assert report.applied and report.created["meter"] == 4000
    assert len(last_readings(db, limit=1000).items) == 1000

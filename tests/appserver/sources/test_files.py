"""FR-20 and FR-01: readings beside the radio, by push and by file, merge with what the radio brought."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest

from appserver import registry
from appserver.db import Database
from appserver.metering import house_balance
from appserver.metering.incoming import Item, read_moment, read_value, take
from appserver.metering.store import rebuild
from appserver.sources.files import sweep, watch
from appserver.sources.intake import refused
from appserver.sources.tables import read_readings
from tests.appserver.sources.conftest import NOW_US
from tests.support import satka as support
from tests.support.house import FIRST_DAY, House


def test_fr_20_three_days_without_lorawan_are_filled_by_a_file(tmp_path: Path) -> None:
    """The balance of the house is the same as if the radio had brought everything."""
    whole = support.build(tmp_path / "whole.db", flats=6, days=8)
    part = support.build(tmp_path / "part.db", flats=6, days=8)
    days = [whole.first_day + timedelta(days=n) for n in range(9)]
    from_us, until_us = (support.microseconds(support.midnight(days[n])) - 1 for n in (3, 6))
    lost = "measured_at_us BETWEEN ? AND ? AND register = 'volume'"
    names = dict(part.db.rows("SELECT id, serial FROM meter"))
    lines = ["Номер;Дата;Показание"]
    for meter, at_us, value in part.db.rows(
        f"SELECT meter_id, measured_at_us, value_micro FROM reading WHERE {lost}", (from_us, until_us)
    ):
        local = datetime.fromtimestamp(at_us / 1_000_000, support.ZONE)
        lines.append(f"{names[meter]};{local:%d.%m.%Y %H:%M:%S};{Decimal(value).scaleb(-6)}")
    assert len(lines) > 40
    db = part.db
    db.connection.execute(f"DROP TRIGGER reading_no_delete{' ON reading' if db.url else ''}")
    db.connection.execute(f"DELETE FROM reading WHERE {lost}", (from_us, until_us))
    with db.transaction() as connection:
        for point in part.points.values():
            rebuild(connection, point)
    args = (part.building_id, "cold_water", part.first_day, part.last_day, "day")
    assert any(period.missing for period in house_balance(db, *args).periods)
    folder = tmp_path / "drop"
    folder.mkdir()
    drop(folder / "gsm.csv", "\n".join(lines).encode("cp1251"))
    assert sweep(db, folder, whole.now_us + 1) == [folder / "done" / "gsm.csv"]
    told, expected = house_balance(db, *args), house_balance(whole.db, *args)
    assert [(p.house, p.individual, p.missing) for p in told.periods] == [
        (p.house, p.individual, p.missing) for p in expected.periods
    ]
    assert db.rows("SELECT DISTINCT source FROM reading ORDER BY 1") == [("gprs",), ("lorawan",)]
    whole.db.close()
    part.db.close()


def drop(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    os.utime(file, (1, 1))


def test_fr_20_the_same_value_from_two_sources_is_one_reading(db: Database, house: House) -> None:
    before = db.rows("SELECT count(*) FROM reading")
    same = Item(FIRST_DAY + timedelta(days=5), Decimal("100.75"), meter_id=house.meters["1"])
    done = take(db, [same], "gprs", NOW_US)
    assert (done.new, done.known, done.errors) == (0, 1, [])
    assert db.rows("SELECT count(*) FROM reading") == before


def test_fr_20_wrong_items_are_named_and_the_others_taken(db: Database, house: House) -> None:
    registry.create(db, "meter", {"serial": "77", "manufacturer": "a", "resource": "gas"})
    registry.create(db, "meter", {"serial": "77", "manufacturer": "b", "resource": "gas"})
    day = FIRST_DAY + timedelta(days=6)
    items = [
        Item(day, Decimal(1), serial="nobody"),
        Item(day, Decimal(1), serial="77"),
        Item(day, Decimal("NaN"), meter_id=house.meters["1"]),
        Item(day + timedelta(days=90), Decimal(1), meter_id=house.meters["1"]),
        Item(day, Decimal("100.9"), meter_id=house.meters["1"]),
    ]
    done = take(db, items, "gprs", NOW_US)
    assert (done.new, [number for number, _ in done.errors]) == (1, [0, 1, 2, 3])
    assert take(db, items, "gprs", NOW_US + 1).new == 0


def test_fr_20_a_moment_without_a_zone_is_the_buildings(db: Database, house: House) -> None:
    take(db, [Item(datetime(2026, 10, 7), Decimal("101.999"), meter_id=house.meters["1"])], "gprs", NOW_US)  # noqa: DTZ001
    moment = int(datetime(2026, 10, 6, 21, tzinfo=UTC).timestamp()) * 1_000_000
    assert db.rows("SELECT measured_at_us, quality, source FROM reading WHERE value_micro = 101999000") == [
        (moment, "archive", "gprs")
    ]


def test_fr_20_files_go_to_done_or_refused_with_the_lines_named(db: Database, house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    serial = f"{house.building_id}1"
    good = f"serial;date;value;kind\n{serial};2026-10-08 00:00;103,5;archive\n\n{serial};2026-10-09T01:00+03:00;104;current\n"
    drop(folder / "a.csv", good.encode())
    drop(
        folder / "b.csv",
        f"serial,date,value\n{serial},2026-10-10,104.5\n{serial},yesterday,1\nx,2026-10-10,1\n".encode(),
    )
    drop(folder / "c.csv", b"some;thing\n1;2\n")
    drop(folder / "notes.txt", b"not a table")
    (folder / "new.csv").write_bytes(good.encode())
    moved = sweep(db, folder, NOW_US)
    assert [str(path.relative_to(folder)) for path in moved] == [
        "done/a.csv",
        "refused/b.csv",
        "refused/c.csv",
        "refused/notes.txt",
    ]
    assert (folder / "refused" / "b.csv.report.txt").read_text().splitlines() == [
        "new readings: 1",
        "known already: 0",
        "refused: 2",
        "line 3: 'yesterday' is not a date; write it as 01.11.2026 00:00 or 2026-11-01T00:00:00+03:00",
        "line 4: There is no meter 'x'.",
    ]
    assert "no row of headings" in (folder / "refused" / "c.csv.report.txt").read_text()
    assert db.rows("SELECT value_micro, quality FROM reading WHERE value_micro > 103000000 ORDER BY 1") == [
        (103_500_000, "archive"),
        (104_000_000, "measured"),
        (104_500_000, "archive"),
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["done", "new.csv", "refused"]
    drop(folder / "a.csv", good.encode())
    assert sweep(db, folder, NOW_US) == [folder / "done" / "a.1.csv"]
    assert db.rows("SELECT count(*) FROM reading WHERE value_micro > 103000000") == [(3,)]


def test_fr_20_unfinished_files_are_left_alone(db: Database, house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    line = f"serial;date;value\n{house.building_id}1;2026-10-08;103,5\n".encode()
    for name in (".hidden.csv", "~lock.csv", "a.csv.part", "b.tmp"):
        drop(folder / name, line)
    writer = (folder / "open.csv").open("wb")
    writer.write(line[:20])
    writer.flush()
    os.utime(folder / "open.csv", (1, 1))
    assert sweep(db, folder, NOW_US) == [], "half a file that its writer holds open is no file yet"
    writer.write(line[20:])
    writer.close()
    assert sweep(db, folder, NOW_US) == [], "it changed a moment ago"
    os.utime(folder / "open.csv", (1, 1))
    assert sweep(db, folder, NOW_US) == [folder / "done" / "open.csv"]
    assert (folder / "done" / "open.csv.report.txt").read_text().splitlines()[0] == "new readings: 1"
    assert len(list(folder.iterdir())) == 5


def test_fr_20_a_crash_between_the_commit_and_the_move_changes_nothing(
    db: Database, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    drop(folder / "a.csv", f"serial;date;value\n{house.building_id}1;2026-10-08;103,5\nx;2026-10-08;1\n".encode())
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sweep(db, folder, NOW_US)
    assert (folder / "a.csv").exists()
    assert sweep(db, folder, NOW_US + 1) == [folder / "refused" / "a.csv"]
    assert "known already: 1" in (folder / "refused" / "a.csv.report.txt").read_text()
    assert db.rows("SELECT count(*) FROM reading WHERE value_micro = 103500000") == [(1,)]
    assert [entry.attempts for entry in refused(db)] == [2]


def test_fr_20_a_sheet_is_taken_as_a_table_is(db: Database, house: House, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Показания", None, None])
    book.active.append(["Лицевой счёт", "Дата", "Показание"])
    book.active.append(["74011", datetime(2026, 10, 8), 103.5])  # noqa: DTZ001
    folder = tmp_path / "drop"
    folder.mkdir()
    book.save(folder / "october.xlsx")
    os.utime(folder / "october.xlsx", (1, 1))
    assert sweep(db, folder, NOW_US) == [folder / "done" / "october.xlsx"]
    moment = int(datetime(2026, 10, 7, 21, tzinfo=UTC).timestamp()) * 1_000_000
    assert db.rows("SELECT measured_at_us, meter_id FROM reading WHERE value_micro = 103500000") == [
        (moment, house.meters["1"])
    ]


async def test_fr_20_the_folder_is_watched(db: Database, house: House, tmp_path: Path) -> None:
    folder, stop = tmp_path / "new folder" / "drop", asyncio.Event()
    folder.mkdir(parents=True)
    drop(folder / "a.csv", f"serial;date;value\n{house.building_id}1;2026-10-08;103,5\n".encode())
    task = asyncio.create_task(watch(db, folder, stop, lambda: NOW_US))
    async with asyncio.timeout(10):
        while not (folder / "done" / "a.csv").exists():
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert db.rows("SELECT author, source FROM reading WHERE value_micro = 103500000") == [("file:a.csv", "gprs")]


@pytest.mark.parametrize(
    ("text", "value"), [("1 234,5", "1234.5"), ("1\xa0234.50", "1234.50"), ("-0,001", "-0.001"), ("7", "7")]
)
def test_numbers_as_tables_write_them(text: str, value: str) -> None:
    assert read_value(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "abc", "1,2,3"])
def test_what_is_no_number_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        read_value(text)


def test_moments_as_tables_write_them() -> None:
    assert read_moment("01.11.2026 02:03") == datetime(2026, 11, 1, 2, 3)  # noqa: DTZ001
    assert read_moment("2026-11-01T02:03:00+05:00").utcoffset() == timedelta(hours=5)
    with pytest.raises(ValueError):
        read_moment("soon")


def test_quotes_that_do_not_end_are_no_table() -> None:
    (row,) = read_readings(b'serial;date;value\n"1;2026-10-01;5\n')
    assert row.item is None and row.problem

"""FR-23: the XLSX of ГИС ЖКХ, and that what came from there never goes back."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import aiohttp
import openpyxl
import pytest
import xlsxwriter

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange import gis, gis_status
from appserver.metering.incoming import Item, take
from appserver.metering.readings import NewReading, store
from tests.appserver.metering.test_closed_periods import NOVEMBER, OCTOBER, at, db, house  # noqa: F401
from tests.support.console import Answer, Console
from tests.support.house import FIRST_DAY, House, make_house


def export(*meters: tuple[str, str]) -> bytes:
    """«Сведения о ПУ» as ГИС gives it: the serial number in A, its own in AD."""
    data = io.BytesIO()
    with xlsxwriter.Workbook(data) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "Заводской (серийный) номер")
        sheet.write(0, 29, "Номер ПУ в ГИС ЖКХ")
        for number, (serial, its) in enumerate(meters, 1):
            sheet.write_string(number, 0, serial)
            sheet.write_string(number, 29, its)
    return data.getvalue()


def test_fr_23_readings_by_the_template(db: Database, house: House) -> None:  # noqa: F811
    numbers = gis.numbers_of(
        export((f"{house.building_id}1", "50012345-01"), (f"{house.building_id}house", "50012345-99"))
    )
    book = openpyxl.load_workbook(io.BytesIO(gis.workbook(gis.readings(db, house.building_id, OCTOBER, numbers))))
    head, *rows = [tuple(cell or "" for cell in row) for row in book.active.iter_rows(values_only=True)]
    assert head == gis.HEADS
    address = "г. Сатка, ул. Бакальская, 12"
    assert rows == [
        (address, "50012345-99", "Холодная вода", "10.2026", "112.4000000", "", "", "01.11.2026", "", ""),
        (address, "50012345-01", "Холодная вода", "10.2026", "103.1000000", "", "", "01.11.2026", "", ""),
    ]


def test_fr_23_what_came_from_gis_is_never_sent_back(db: Database, house: House) -> None:  # noqa: F811
    numbers = {f"{house.building_id}1": "1", f"{house.building_id}2": "2"}
    end = FIRST_DAY + timedelta(days=92)
    take(db, [Item(end, Decimal("109.1"), meter_id=house.meters["1"])], "gis", at(93))
    take(db, [Item(end, Decimal("118.2"), meter_id=house.meters["2"])], "gprs", at(93))
    assert [row[1] for row in gis.readings(db, house.building_id, NOVEMBER.replace(month=12), numbers)] == ["2"]


@pytest.mark.parametrize("data", [b"", b"nothing", export()])
def test_fr_23_a_file_that_is_no_export_is_told(data: bytes) -> None:
    with pytest.raises(RegistryError) as caught:
        gis.numbers_of(data)
    assert caught.value.field == "file"


async def test_fr_23_over_http(console: Console) -> None:
    made = make_house(console.services.database)
    form = aiohttp.FormData()
    form.add_field("building_id", str(made.building_id))
    form.add_field("month", "2026-10-01")
    form.add_field("file", export((f"{made.building_id}1", "7")), filename="pu.xlsx")
    answer = await console.api("POST", "/billing/gis", role="dispatcher", data=form)
    assert answer.status == 200, answer.text
    assert openpyxl.load_workbook(io.BytesIO(answer.body)).active.max_row == 1, "October is known in part only"
    assert "gis" in (await console.api("GET", "/audit")).text


def with_statuses(file: bytes, *statuses: str) -> bytes:
    """The file as ГИС gives it back: column J filled, row by row."""
    book = openpyxl.load_workbook(io.BytesIO(file))
    for number, status in enumerate(statuses, 2):
        book.active.cell(number, 10, status)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("", "sent"),
        ("Успешно обработано", "accepted"),
        ("Загружено", "accepted"),
        ("Не загружено: ПУ не найден", "refused"),
        ("Загружено с ошибкой", "refused"),
        ("INT004", "refused"),
    ],
)
def test_fr_23_what_column_j_means(said: str, state: str) -> None:
    assert gis_status.verdict(said) == state


def test_fr_23_column_j_comes_back_and_what_was_accepted_is_not_sent_again(db: Database, house: House) -> None:  # noqa: F811
    numbers = {f"{house.building_id}{name}": f"50012345-0{name[0]}" for name in ("1", "2", "house")}
    rows = gis.told(db, house.building_id, OCTOBER, numbers)
    file = gis.workbook([row.cells for row in rows])
    gis_status.remember(db, house.building_id, OCTOBER, rows, "a", 1)
    assert {one.state for one in gis_status.sent(db, house.building_id, OCTOBER)} == {"sent"}
    back = with_statuses(file, "Успешно", "Ошибка: показание меньше контрольного", "")
    done = gis_status.take_statuses(db, house.building_id, back, 2)
    assert (done.accepted, done.refused, done.waiting, done.unknown) == (1, 1, 1, [])
    assert gis_status.take_statuses(db, house.building_id, back, 3) == done, "twice is as once"
    left = gis_status.unsent(db, house.building_id, OCTOBER, gis.told(db, house.building_id, OCTOBER, numbers))
    assert [row.number for row in left] == [row.number for row in rows[1:]]
    changed = [replace(rows[0], cells=(*rows[0].cells[:4], "999.0000000", *rows[0].cells[5:]))]
    assert gis_status.unsent(db, house.building_id, OCTOBER, changed) == changed, "another value is another reading"
    gis_status.remember(db, house.building_id, OCTOBER, left, "b", 4)
    states = {one.number: (one.state, one.sent_by) for one in gis_status.sent(db, house.building_id, OCTOBER)}
    assert states == {rows[0].number: ("accepted", "a"), rows[1].number: ("sent", "b"), rows[2].number: ("sent", "b")}


def test_fr_23_statuses_of_other_houses_and_files_that_are_none(db: Database, house: House) -> None:  # noqa: F811
    rows = gis.told(db, house.building_id, OCTOBER, {f"{house.building_id}1": "7"})
    back = with_statuses(gis.workbook([row.cells for row in rows]), "Успешно")
    assert gis_status.take_statuses(db, house.building_id, back, 1).unknown == ["7"]
    for data in (b"", b"nothing", export(("1", "2"))):
        with pytest.raises(RegistryError):
            gis_status.take_statuses(db, house.building_id, data, 1)
    with pytest.raises(RegistryError, match="Two meters"):
        gis_status.remember(db, house.building_id, OCTOBER, [rows[0], rows[0]], "a", 1)


async def test_fr_23_the_round_trip_on_the_page(console: Console) -> None:
    made, own = make_house(console.services.database), console.services.database
    end_us = int((FIRST_DAY + timedelta(days=31)).timestamp()) * 1_000_000
    console.clock.us = end_us + 86_400_000_000
    with own.transaction() as connection:
        last = [
            NewReading(made.meters[name], "volume", end_us, value, "archive", "lorawan", end_us + 1)
            for name, value in (("1", 104_650_000), ("2", 107_750_000))
        ]
        store(connection, last, console.clock())
    await console.sign_in("disp", role="dispatcher")
    path = f"/houses/{made.building_id}/gis?month=2026-10-01"
    token = await console.csrf()

    async def send(action: str, data: bytes) -> Answer:
        form = aiohttp.FormData()
        for name, text in (("_csrf", token), ("action", action), ("month", "2026-10-01")):
            form.add_field(name, text)
        form.add_field("file", data, filename="f.xlsx")
        return await console.ask("POST", path, data=form)

    known = export((f"{made.building_id}1", "7"), (f"{made.building_id}2", "8"))
    file = await send("file", known)
    assert file.headers["Content-Disposition"].startswith("attachment"), file.text
    rows = list(openpyxl.load_workbook(io.BytesIO(file.body)).active.iter_rows(min_row=2, values_only=True))
    assert [(row[1], row[4]) for row in rows] == [("7", "104.6500000"), ("8", "107.7500000")]
    page = (await send("statuses", with_statuses(file.body, "Успешно", "Ошибка: нет такого ПУ"))).text
    assert "Accepted: 1, refused: 1" in page and "нет такого ПУ" in page
    again = openpyxl.load_workbook(io.BytesIO((await send("file", known)).body)).active
    assert [row[1] for row in again.iter_rows(min_row=2, values_only=True)] == ["8"], "7 was accepted"
    query = f"building_id={made.building_id}&month=2026-10-15"
    answer = await console.api("GET", f"/billing/gis/status?{query}", role="dispatcher")
    assert {row["number"]: row["state"] for row in answer.json["items"]} == {"7": "accepted", "8": "sent"}
    token = "0" * 43
    assert (await send("statuses", file.body)).status == 403

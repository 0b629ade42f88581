"""FR-23: the XLSX of ГИС ЖКХ, and that what came from there never goes back."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal

import aiohttp
import openpyxl
import pytest
import xlsxwriter

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange import gis
from appserver.metering.incoming import Item, take
from tests.appserver.metering.test_closed_periods import NOVEMBER, OCTOBER, at, db, house  # noqa: F401
from tests.support.console import Console
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

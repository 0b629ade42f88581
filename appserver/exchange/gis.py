"""FR-23: readings for ГИС ЖКХ as its XLSX «Импорт показаний» (template 13.1.3.1), to be uploaded by hand.

ГИС knows meters by numbers of its own. They come out of its export «Сведения о ПУ» (column A the serial number, column AD
the number in ГИС), which is given along and not kept. What came from ГИС is never sent back.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import xlsxwriter

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange.tables import TableError, read_rows
from appserver.metering.balance import PointRow
from appserver.metering.charges import next_month
from appserver.metering.closed import counted_balance
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS

HEADS = (
    "Адрес дома",
    "Номер ПУ в ГИС ЖКХ",
    "Коммунальный ресурс",
    "Период",
    "Значение Т1",
    "Значение Т2",
    "Значение Т3",
    "Дата снятия показания",
    "Техническая возможность автоматического расчёта",
    "Статус обработки",
)
RESOURCES = {
    "cold_water": "Холодная вода",
    "hot_water": "Горячая вода",
    "electricity": "Электрическая энергия",
    "heat": "Тепловая энергия",
    "gas": "Газ",
}
SERIAL, NUMBER = 0, 29
"""Columns A and AD of «Сведения о ПУ»."""
KNOWN = ("measured", "interpolated", "server_time")
MAX_ROWS = 1000
"""Of one file."""
_FIXED = datetime(2000, 1, 1)  # noqa: DTZ001 (equal files are equal bytes)


@dataclass(frozen=True, slots=True)
class Told:
    """A reading for ГИС: the cells of its row, and what they are of."""

    meter_id: int
    number: str
    resource: str
    taken_on: date
    cells: tuple[str, ...]

    @property
    def values(self) -> str:
        """The values T1 to T3 as they stand in the file."""
        return " ".join(value for value in self.cells[4:7] if value)


def numbers_of(export: bytes) -> dict[str, str]:
    """Numbers in ГИС by serial number out of its export. Raises RegistryError for a file that is none."""
    try:
        rows = [row for row in read_rows(export) if len(row) > NUMBER]
    except TableError as error:
        raise RegistryError("invalid", "file", str(error)) from error
    found = {
        row[SERIAL].strip(): row[NUMBER].strip()
        for row in rows
        if row[SERIAL].strip() and any(sign.isdigit() for sign in row[NUMBER])  # the heading has no digits
    }
    if not found:
        raise RegistryError("invalid", "file", "No row has a serial number (A) and a number in ГИС (AD).")
    return found


def readings(db: Database, building_id: int, month: date, numbers: dict[str, str]) -> list[tuple[str, ...]]:
    """The cells of :func:`told`."""
    return [row.cells for row in told(db, building_id, month, numbers)]


def told(db: Database, building_id: int, month: date, numbers: dict[str, str]) -> list[Told]:
    """Rows of a building for a month: meters that ГИС knows and whose value at the end is known, none of its own telling."""
    first, last = month.replace(day=1), next_month(month)
    address = db.rows("SELECT address FROM building WHERE id = ?", (building_id,))
    if not address:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    present = {row[0] for row in db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ?", (building_id,))}
    found: list[Told] = []
    for resource in [name for name in REGISTERS if name in present]:
        balance = counted_balance(db, building_id, resource, first, last, "month", whole_period=True).balance
        for point in balance.points:
            number = numbers.get(point.serial)
            if number is None or point.end is None or point.end_at is None or point.quality not in KNOWN:
                continue
            values = _values(db, point, resource)
            if values:
                padded = [*(f"{value:.7f}" for value in values), "", ""][:3]
                day = point.end_at.strftime("%d.%m.%Y")
                cells = (address[0][0], number, RESOURCES[resource], f"{first:%m.%Y}", *padded, day, "", "")
                found.append(Told(point.meter_id or 0, number, resource, point.end_at.date(), cells))
    return found


def _values(db: Database, point: PointRow, resource: str) -> list[Decimal]:
    """The register at the end, or those of its tariffs; nothing when ГИС told it itself."""
    assert point.end is not None and point.end_at is not None
    at_us = round(point.end_at.timestamp()) * 1_000_000
    told = db.rows(
        "SELECT register, value_micro, source FROM reading WHERE meter_id = ? AND measured_at_us = ? ORDER BY register",
        (point.meter_id, at_us),
    )
    if any(
        source == "gis" and register == REGISTERS[resource] and from_micro(value) == point.end
        for register, value, source in told
    ):
        return []
    tariffs = {register: from_micro(value) for register, value, _ in told if register.startswith("energy_t")}
    return [tariffs[name] for name in sorted(tariffs)][:3] or [point.end]


def workbook(rows: list[tuple[str, ...]]) -> bytes:
    """The rows as an XLSX. Raises RegistryError for more than ГИС takes at once."""
    if len(rows) > MAX_ROWS:
        raise RegistryError("invalid", "building_id", f"{len(rows)} readings; ГИС takes {MAX_ROWS} in one file.")
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        book.set_properties({"created": _FIXED})
        sheet = book.add_worksheet("Импорт показаний")
        sheet.write_row(0, 0, HEADS)
        for number, row in enumerate(rows, 1):
            for column, text in enumerate(row):
                sheet.write_string(number, column, text)
    return data.getvalue()

"""Reading CSV and XLSX files from people: any usual encoding and separator, and limits against bombs."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import python_calamine

from appserver.exchange.columns import BY_NAME, Column, plain

MAX_BYTES = 50 * 1024 * 1024
MAX_UNPACKED = 50 * 1024 * 1024
MAX_RATIO = 100
MAX_ENTRIES = 1000
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELLS = 10_000_000
"""Cells of the rectangle that a sheet takes, empty ones included."""
MAX_ROW_CHARS = 65_536
HEADER_ROWS = 20
"""The header is looked for in so many first rows."""
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{0,9})(\d{1,9})["']""")
"""Where a row or a cell of a sheet says that it stands: ``r="7"``, ``r="BC7"``."""


class TableError(Exception):
    """The file cannot be read as a table at all: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file: numbers as people see them, and text by column."""

    columns: list[Column]
    rows: list[tuple[int, dict[str, str]]]
    """(row number in the file, column name → text); blank cells are left out."""
    ignored: list[str]
    """Headings that name none of our columns."""


def read_table(data: bytes, filename: str = "") -> Table:
    """Read a CSV or XLSX file, told apart by its content. Raises TableError."""
    return _table(read_rows(data))


def read_rows(data: bytes) -> Iterator[list[str]]:
    """The rows of a CSV or XLSX file as text, told apart by its content. Raises TableError, also while they are read."""
    if len(data) > MAX_BYTES:
        raise TableError(f"The file has {len(data) >> 20} MiB; at most {MAX_BYTES >> 20} MiB are read. Split it.")
    if not data.strip():
        raise TableError("The file is empty.")
    if data[:4] == b"PK\x03\x04":
        return _xlsx_rows(data)
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise TableError("This is an old XLS file; save it as XLSX or CSV.")
    return _csv_rows(data)


def _xlsx_rows(data: bytes) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_size(entries)
            for entry in entries:
                _check_reach(archive.read(entry))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, NotImplementedError) as error:
        raise TableError(f"The XLSX file is damaged: {error}.") from error
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        if not book.sheet_names:
            raise TableError("The XLSX file has no sheet.")
        sheet = book.get_sheet_by_index(0)
        if sheet.height > MAX_ROWS + HEADER_ROWS:
            raise TableError(f"The sheet has {sheet.height} rows; at most {MAX_ROWS} are read. Split it.")
        rows = sheet.to_python(skip_empty_area=False)
    except TableError:
        raise
    except Exception as error:  # the reader has an exception type of its own for every format
        raise TableError(f"The XLSX file cannot be read: {error}.") from error
    return ([_cell(value) for value in row] for row in rows)


def _check_size(entries: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED or (unpacked > 1 << 20 and unpacked / packed > MAX_RATIO):
        raise TableError("The XLSX file unpacks to far more than it should; it is not read.")
    names = {entry.filename.lower() for entry in entries}
    if "xl/workbook.xml" not in names or names & {"xl/workbook.bin", "content.xml"}:
        raise TableError("This is no XLSX file; save it as XLSX or CSV.")


def _check_reach(part: bytes) -> None:
    """Refuse a sheet with a cell far outside: its reader makes room for all that lies between, and may end us."""
    rows = columns = 1
    for letters, digits in _PLACE.findall(part):
        rows = max(rows, int(digits))
        columns = max(columns, reduce(lambda n, letter: n * 26 + letter - 64, letters.upper(), 0))
    if rows * columns > MAX_CELLS:
        raise TableError(f"A sheet reaches to row {rows} and column {columns}; clear what stands there, or split it.")


def _cell(value: Any) -> str:
    """A cell of a sheet as the text that a person would have typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return format(Decimal(repr(value)).normalize(), "f")
    if isinstance(value, datetime):
        return value.date().isoformat() if (value.hour, value.minute, value.second) == (0, 0, 0) else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()


def _csv_rows(data: bytes) -> Iterator[list[str]]:
    text = _decode(data)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(";\t,", key=first.count)
    csv.field_size_limit(MAX_ROW_CHARS)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise TableError(f"The CSV file cannot be read: {error}.") from error


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1251"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise TableError("The file is neither UTF-8 nor Windows-1251 text, nor XLSX; save it as CSV in UTF-8.")


def _table(lines: Iterable[list[str]]) -> Table:
    header: dict[int, Column] = {}
    ignored: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    for number, cells in enumerate(lines, 1):
        if len(cells) > MAX_COLUMNS or sum(map(len, cells)) > MAX_ROW_CHARS:
            raise TableError(f"Row {number} is too long to be one of a table of meters.")
        if not header:
            header, ignored = _header(cells)
            if not header and number >= HEADER_ROWS:
                break
            continue
        values = {header[i].name: text for i, cell in enumerate(cells) if i in header and (text := _unescaped(cell))}
        if values:
            rows.append((number, values))
        if len(rows) > MAX_ROWS:
            raise TableError(f"The file has more than {MAX_ROWS} rows. Split it.")
    if not header:
        raise TableError("No row of headings was found. It must name at least a serial number and an address.")
    missing = [c for c in BY_NAME.values() if c.required and c not in header.values()]
    if missing:
        names = ", ".join(dict.fromkeys(f"{c.name} ({c.russian[0]})" for c in missing))
        raise TableError(f"These columns are missing: {names}.")
    return Table(list(header.values()), rows, ignored)


def _unescaped(cell: str) -> str:
    """A cell's text without the apostrophe that keeps spreadsheets from taking it for a formula."""
    text = cell.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in "=+-@\t\r" else text


def _header(cells: list[str]) -> tuple[dict[int, Column], list[str]]:
    """Columns by position when this row is the one of headings: two of ours are enough to tell."""
    found: dict[int, Column] = {}
    ignored = []
    for index, cell in enumerate(cells):
        column = BY_NAME.get(plain(cell))
        if column is None:
            if cell.strip():
                ignored.append(cell.strip())
        elif column in found.values():
            raise TableError(f"The column {cell.strip()!r} stands there twice.")
        else:
            found[index] = column
    return (found, ignored) if len(found) >= 2 else ({}, [])

"""Tables in files: CSV and XLSX, by the name's ending; ``-`` is CSV on standard input or output."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from meterwan.errors import Failure

MAX_CELL_CHARS = 65_536
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def read(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table as (line number, column → text); names of columns in lower case, empty lines left out.

    Raises Failure when the file is no table.
    """
    lines = _read_xlsx(file) if file.suffix.lower() == ".xlsx" else _read_csv(file)
    header: list[str] | None = None
    for number, cells in enumerate(lines, 1):
        if not any(cells):
            continue
        if header is None:
            header = [cell.strip().lower() for cell in cells]
            doubled = {name for name in header if name and header.count(name) > 1}
            if doubled:
                raise Failure(f"{file}: the column {', '.join(sorted(doubled))} stands there twice")
            continue
        yield number, {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}


def _read_csv(file: Path) -> Iterator[list[str]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8 or as XLSX") from None
    first_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    csv.field_size_limit(MAX_CELL_CHARS)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise Failure(f"{file} is not a CSV table: {error}") from None


def _read_xlsx(file: Path) -> Iterator[list[str]]:
    import python_calamine

    try:
        sheet = python_calamine.CalamineWorkbook.from_path(str(file)).get_sheet_by_index(0)
    except (python_calamine.CalamineError, OSError) as error:
        raise Failure(f"cannot read {file} as an XLSX workbook: {error}") from None
    for cells in sheet.iter_rows():
        yield [_cell_text(cell) for cell in cells]


def _cell_text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def write(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> int:
    """Write a table whole or not at all; returns the number of rows."""
    if file.suffix.lower() == ".xlsx":
        return _write_whole(file, lambda target: _write_xlsx(target, columns, rows))
    if str(file) == "-":
        return _write_csv(sys.stdout, columns, rows)

    def write_csv(target: Path) -> int:
        with target.open("w", encoding="utf-8-sig", newline="") as out:
            return _write_csv(out, columns, rows)

    return _write_whole(file, write_csv)


def _write_whole(file: Path, writer: Any) -> int:
    temporary = file.with_name(f".{file.stem}.new{file.suffix}")
    try:
        count: int = writer(temporary)
        temporary.replace(file)
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_csv(out: Any, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> int:
    writer = csv.writer(out)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([harmless(row.get(column, "")) for column in columns])
        count += 1
    return count


def _write_xlsx(target: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> int:
    import xlsxwriter

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    count = 0
    with xlsxwriter.Workbook(str(target), options) as workbook:
        sheet = workbook.add_worksheet()
        sheet.freeze_panes(1, 0)
        bold = workbook.add_format({"bold": True})
        sheet.write_row(0, 0, columns, bold)
        for count, row in enumerate(rows, 1):
            for place, column in enumerate(columns):
                sheet.write_string(count, place, row.get(column, ""))
    return count


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; plain numbers stay as they are."""
    if text.startswith(_FORMULA) and not _is_number(text):
        return "'" + text
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

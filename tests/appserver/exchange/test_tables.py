"""Reading files from people: encodings, separators, headings, and limits against bombs (SEC-15)."""

from __future__ import annotations

import io
import zipfile

import pytest
import xlsxwriter

from appserver.exchange import TableError, read_table
from appserver.exchange.columns import COLUMNS, WORDS, plain
from appserver.exchange.rows import read_row

HEADS = ["организация", "адрес", "ресурс", "номер счётчика", "начальное показание", "дата установки"]
CELLS = ["УК «Дом»", "Сатка, 1", "ХВС", "0018270260", "3,481", "01.08.2018"]


def text(delimiter: str = ";", heads: list[str] = HEADS, cells: list[str] = CELLS, newline: str = "\r\n") -> str:
    quoted = [[f'"{c}"' if delimiter in c else c for c in line] for line in (heads, cells)]
    return newline.join(delimiter.join(line) for line in quoted) + newline


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_encodings_and_separators(encoding: str, delimiter: str, newline: str) -> None:
    table = read_table(text(delimiter, newline=newline).encode(encoding))
    ((number, cells),) = table.rows
    assert number == 2
    assert list(cells.values()) == CELLS
    row, errors = read_row(number, cells)
    assert errors == []
    assert (row.of("point")["resource"], str(row.of("installation")["start_value"])) == ("cold_water", "3.481")
    assert row.of("installation")["installed_on"].isoformat() == "2018-08-01"


def test_xlsx_with_a_title_above_and_real_numbers_and_dates() -> None:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"default_date_format": "dd.mm.yyyy"})
    sheet = book.add_worksheet()
    sheet.write(0, 0, "Реестр приборов учёта")
    sheet.write_row(2, 0, [*HEADS, "примечание"])
    sheet.write_row(3, 0, [*CELLS[:3], 18270260, 3.481])
    from datetime import date

    sheet.write_datetime(3, 5, date(2018, 8, 1))
    book.close()
    table = read_table(buffer.getvalue(), "x.xlsx")
    assert table.ignored == ["примечание"]
    ((number, cells),) = table.rows
    assert (number, cells["serial"], cells["start_value"], cells["installed_on"]) == (
        4,
        "18270260",
        "3.481",
        "2018-08-01",
    )


def test_every_column_and_word_is_found_by_all_its_names() -> None:
    meaning: dict[str, str] = {}
    for column in COLUMNS:
        for name in (column.name, *column.russian):
            assert meaning.setdefault(plain(name), column.name) == column.name, "no name means two columns"
    for values in WORDS.values():
        words = [plain(word) for value, russian in values.items() for word in (value, *russian)]
        assert len(words) == len(set(words))
    for head in ("Номер счетчика", "НОМЕР СЧЁТЧИКА", "номер_счётчика", "Serial", " serial "):
        assert "serial" in [c.name for c in read_table(text(heads=[*HEADS[:3], head, *HEADS[4:]]).encode()).columns]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\n\n  ", "empty"),
        (b"PK\x03\x04 not a zip at all", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "save it as XLSX"),
        ("адрес;фамилия\nСатка;Иванов\n".encode(), "No row of headings"),
        ("адрес;ресурс\nСатка;ХВС\n".encode(), "missing: organisation"),
        (text(heads=[*HEADS[:-1], "адрес дома"]).encode(), "stands there twice"),
        (b"a;b\0c\n", "neither UTF-8"),
        (("x" * 70_000).encode(), "cannot be read|too long"),
        ((text() + ";" * 500).encode(), "too long"),
    ],
)
def test_what_is_no_table(data: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        read_table(data)


def bomb(entries: int, size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(entries):
            archive.writestr(f"xl/{number}.xml", b"0" * size)
    return buffer.getvalue()


@pytest.mark.parametrize(("entries", "size"), [(1, 60 << 20), (1, 2 << 20), (1001, 10)])
def test_zip_bombs_are_not_unpacked(entries: int, size: int) -> None:
    with pytest.raises(TableError, match="far more"):
        read_table(bomb(entries, size))


def test_too_many_rows() -> None:
    data = text(newline="\n") + "\n".join(["УК;Сатка;ХВС;1;2;01.08.2018"] * 200_001)
    with pytest.raises(TableError, match="more than 200000"):
        read_table(data.encode())


@pytest.mark.parametrize(
    ("column", "raw", "words"),
    [
        ("start_value", "сто", "not a number"),
        ("start_value", "NaN", "decimal number"),
        ("digits", "5,5", "whole number"),
        ("digits", "99", "from 1 to 12"),
        ("installed_on", "31.02.2026", "not a date"),
        ("dev_eui", "70B3D5", "16 hexadecimal"),
        ("app_key", "0" * 32, "placeholder"),
        ("app_key", "0123456789abcdef0123456789abcdef", "placeholder"),
        ("app_key", "xyz", "32 hexadecimal"),
        ("resource", "квас", "use one of cold_water"),
        ("timezone", "Mars/Base", "IANA"),
        ("pulse_weight", "0", "decimal number"),
        ("organisation", None, "must not be empty"),
        ("join_eui", "70b3d5e75e000001", "is needed with"),
    ],
)
def test_cells(column: str, raw: str | None, words: str) -> None:
    cells = {"organisation": "УК", "address": "Сатка", "resource": "хвс", "serial": "1", column: raw}
    if column in ("app_key", "pulse_weight"):
        cells["dev_eui"] = "70b3d5e75e000001"
    _, errors = read_row(7, {name: value for name, value in cells.items() if value is not None})
    assert len(errors) == 1 and errors[0].row == 7
    assert words in errors[0].detail
    if column.endswith("key"):
        assert str(raw) not in errors[0].detail, "keys are not repeated"


def test_thousands_and_blanks() -> None:
    row, errors = read_row(
        2, {"organisation": "УК", "address": "С", "resource": "хвс", "serial": "1", "start_value": "12 345,678"}
    )
    assert errors == [] and str(row.of("installation")["start_value"]) == "12345.678"


@pytest.mark.parametrize(
    "place", [(1_048_575, 0), (1_048_575, 16_383), (100_000, 16_383)], ids=["row", "corner", "column"]
)
def test_a_lone_cell_far_outside_is_refused_before_the_reader_makes_room_for_it(place: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, HEADS)
    sheet.write_string(*place, "x")
    book.close()
    with pytest.raises(TableError, match=r"reaches to row|at most"):
        read_table(buffer.getvalue())


def test_other_spreadsheets_in_a_zip_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<x/>")
    with pytest.raises(TableError, match="no XLSX"):
        read_table(buffer.getvalue())


@pytest.mark.parametrize("raw", ["1e999999999", "1e-999999999", "Infinity", "NaN", "sNaN"])
@pytest.mark.parametrize("column", ["residents", "area_m2", "start_value", "digits"])
def test_numbers_that_nobody_could_write_out_are_refused(column: str, raw: str) -> None:
    _, errors = read_row(7, {"serial": "1", column: raw})
    assert [error.column for error in errors if "decimal number" in error.detail] == [column]

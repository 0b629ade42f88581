"""Statements as files: JSON, CSV, XLSX, HTML, PDF."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import xlsxwriter

from appserver.errors import RegistryError
from appserver.exchange.exports import escaped
from appserver.reports.statement import Cell, Statement, plain
from appserver.reports.words import word

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
}
FORMATS = tuple(MEDIA_TYPES)
_FIXED = datetime(2000, 1, 1)  # noqa: DTZ001 (equal statements are equal bytes)


def render(statement: Statement, format: str) -> bytes:
    """The statement as a file. Raises RegistryError ``invalid`` for a format that is not one."""
    writer = _WRITERS.get(format)
    if writer is None:
        raise RegistryError("invalid", "format", f"There is no format {format!r}; use one of {', '.join(FORMATS)}.")
    return writer(statement)


def places(statement: Statement) -> list[int]:
    """Decimals of each column: as many as its most exact number has."""
    found = [0] * len(statement.columns)
    for row in (*statement.rows, *statement.totals):
        for index, value in enumerate(row):
            if isinstance(value, Decimal):
                found[index] = max(found[index], -int(value.as_tuple().exponent))
    return found


def shown(value: Cell, language: str, decimals: int = 0) -> str:
    """A cell as people read it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:.{decimals}f}"
        return text.replace(".", ",") if language == "ru" else text
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}" if language == "ru" else value.isoformat()
    return str(value)


def _fingerprint(statement: Statement) -> str:
    return f"{word('fingerprint', statement.language)}: {statement.sha256}"


def _json(statement: Statement) -> bytes:
    keys = [column.key for column in statement.columns]

    def records(rows: list[tuple[Cell, ...]]) -> list[dict[str, Cell]]:
        return [dict(zip(keys, row, strict=True)) for row in rows]

    document = {
        "name": statement.name,
        "title": statement.title,
        "language": statement.language,
        "header": [{"label": label, "value": value} for label, value in statement.header],
        "columns": [{"key": column.key, "title": column.title} for column in statement.columns],
        "rows": records(statement.rows),
        "totals": records(statement.totals),
        "notes": statement.notes,
        "sha256": statement.sha256,
    }
    return json.dumps(document, default=plain, ensure_ascii=False, separators=(",", ":")).encode()


def _csv(statement: Statement) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow([column.title for column in statement.columns])
    language, decimals = statement.language, places(statement)
    for row in (*statement.rows, *statement.totals):
        # Numbers stay numbers, minus sign included; only text can be a formula.
        cells = zip(row, decimals, strict=True)
        writer.writerow([escaped(cell) if isinstance(cell, str) else shown(cell, language, n) for cell, n in cells])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def _xlsx(statement: Statement) -> bytes:
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    book.set_properties({"title": statement.title, "created": _FIXED})
    sheet = book.add_worksheet(statement.name)
    title = book.add_format({"bold": True, "font_size": 14})
    bold = book.add_format({"bold": True})
    head = book.add_format({"bold": True, "border": 1, "text_wrap": True, "valign": "vcenter", "bg_color": "#E8EEF4"})
    cell_format = book.add_format({"border": 1})
    volume = book.add_format({"border": 1, "num_format": "0.000"})
    day = book.add_format({"border": 1, "num_format": "dd.mm.yyyy"})
    total = book.add_format({"border": 1, "bold": True, "num_format": "0.000"})
    sheet.write_string(0, 0, statement.title, title)
    line = 1
    for label, said in statement.header:
        sheet.write_string(line, 0, label, bold)
        sheet.write_string(line, 2, said)
        line += 1
    line += 1
    for index, column in enumerate(statement.columns):
        sheet.set_column(index, index, column.width)
        sheet.write_string(line, index, column.title, head)
    sheet.repeat_rows(line)
    sheet.freeze_panes(line + 1, 0)
    for row, summary in [(row, False) for row in statement.rows] + [(row, True) for row in statement.totals]:
        line += 1
        for index, value in enumerate(row):
            if isinstance(value, Decimal):
                sheet.write_number(line, index, float(value), total if summary else volume)
            elif isinstance(value, int):
                sheet.write_number(line, index, value, total if summary else cell_format)
            elif isinstance(value, date):
                sheet.write_datetime(line, index, datetime(value.year, value.month, value.day), day)  # noqa: DTZ001
            else:
                sheet.write_string(line, index, value or "", total if summary else cell_format)
    for text in (*statement.notes, *statement.signatures, _fingerprint(statement)):
        line += 2
        sheet.write_string(line, 0, text)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    book.close()
    return buffer.getvalue()


_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#111}h1{font-size:1.3rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{color:#555}dd{margin:0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{border:1px solid #bbb;padding:.2rem .4rem;text-align:left;vertical-align:top}th{background:#e8eef4}"
    ".n{text-align:right}tfoot td{font-weight:600}footer{margin-top:2rem;color:#555;font-size:.85em}"
    ".neg{color:#b00020}@media print{body{margin:0;font-size:9px}thead{display:table-header-group}"
    "tr{break-inside:avoid}@page{size:A4 landscape;margin:12mm}}"
)


def _html(statement: Statement) -> bytes:
    text, decimals = html.escape, places(statement)

    def line(row: tuple[Cell, ...]) -> str:
        cells = []
        for column, value, digits in zip(statement.columns, row, decimals, strict=True):
            negative = isinstance(value, Decimal) and value < 0
            classes = " ".join(filter(None, ("n" if column.number else "", "neg" if negative else "")))
            attribute = f' class="{classes}"' if classes else ""
            cells.append(f"<td{attribute}>{text(shown(value, statement.language, digits))}</td>")
        return f"<tr>{''.join(cells)}</tr>"

    parts = [
        f'<!doctype html><html lang="{statement.language}"><head><meta charset="utf-8">',
        f"<title>{text(statement.title)}</title><style>{_STYLE}</style></head><body><h1>{text(statement.title)}</h1><dl>",
        *(f"<dt>{text(label)}</dt><dd>{text(value)}</dd>" for label, value in statement.header),
        "</dl><table><thead><tr>",
        *(f"<th>{text(column.title)}</th>" for column in statement.columns),
        "</tr></thead><tbody>",
        *(line(row) for row in statement.rows),
        "</tbody><tfoot>",
        *(line(row) for row in statement.totals),
        "</tfoot></table>",
        *(f"<p>{text(note)}</p>" for note in (*statement.notes, *statement.signatures)),
        f"<footer>{text(_fingerprint(statement))}</footer></body></html>\n",
    ]
    return "".join(parts).encode()


def _pdf(statement: Statement) -> bytes:
    from appserver.reports.pdf import render_pdf  # reportlab takes a third of a second to import

    return render_pdf(statement, shown, places(statement), _fingerprint(statement))


_WRITERS: dict[str, Callable[[Statement], bytes]] = {
    "json": _json,
    "csv": _csv,
    "xlsx": _xlsx,
    "html": _html,
    "pdf": _pdf,
}

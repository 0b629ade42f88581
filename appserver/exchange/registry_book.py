"""Every table of the registry, in and out: an XLSX book with a sheet for each, or one table as CSV.

Rows name what they belong to by what people know (address, number, serial), never by ids, so a book goes into another
database. An import checks every row by the rules of the registry, in one transaction: with an error anywhere, or as a dry run,
nothing stays.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import openpyxl
import xlsxwriter
from sqlmodel import Session, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange.book_sheets import DAY, DECIMAL, SHEETS, WHOLE, Sheet, heads, is_time, names_of
from appserver.exchange.exports import escaped
from appserver.exchange.rows import RowError, _day, _number, _whole
from appserver.exchange.tables import (
    MAX_BYTES,
    MAX_ROWS,
    TableError,
    _cell,
    _check_reach,
    _check_size,
    _csv_rows,
    _unescaped,
)
from appserver.metering.store import rebuild
from appserver.metering.timebase import day_number
from appserver.models import Meter, ModuleChannel, Point
from appserver.models.columns import neat
from appserver.registry.crud import create_in, fetch, raw, update_in
from appserver.registry.installations import bind_in, install_in, remove_in, start_of_day
from appserver.registry.journal import SYSTEM, Note
from appserver.registry.kinds import KINDS, day, whole

_FIXED = datetime(2000, 1, 1)  # noqa: DTZ001 (equal exports are equal bytes)


# ------------------------------------------------------------------------------------------------------------- export


def _text(sheet: Sheet, row: Any, column: str) -> str:
    value = getattr(row, f"{column}_us") if is_time(sheet, column) else getattr(row, column)
    if value is None:
        return ""
    if is_time(sheet, column):
        return str(value)
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return format(neat(value) if isinstance(exponent, int) and exponent >= -6 else value.normalize(), "f")
    return value.isoformat() if isinstance(value, date) else str(value)


def tables(db: Database) -> dict[str, list[list[str]]]:
    """Every sheet's rows as text, sorted, without headings."""
    named: dict[str, dict[int, list[str]]] = {}
    found: dict[str, list[list[str]]] = {}
    with db.reading() as session:
        for sheet in SHEETS.values():
            named[sheet.name] = {}
            rows = []
            for row in session.exec(select(sheet.model)).all():
                own = {column: _text(sheet, row, column) for column in sheet.columns}
                owners = {
                    column: named[other].get(getattr(row, column), [""] * len(names_of(SHEETS[other])))
                    for column, other in sheet.owners
                }
                key: list[str] = []
                for column in sheet.key:
                    key += owners[column] if column in owners else [own[column]]
                named[sheet.name][row.id] = key
                rows.append([*(text for texts in owners.values() for text in texts), *own.values()])
            found[sheet.name] = sorted(rows)
    return found


def export_book(db: Database) -> bytes:
    """All tables as one XLSX book."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": _FIXED})
    for name, rows in tables(db).items():
        sheet = book.add_worksheet(name)
        sheet.write_row(0, 0, heads(SHEETS[name]), book.add_format({"bold": True}))
        for number, row in enumerate(rows, 1):
            for column, text in enumerate(row):
                sheet.write_string(number, column, text)
    book.close()
    return buffer.getvalue()


def export_csv(db: Database, name: str) -> bytes:
    """One table as CSV."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow(heads(SHEETS[name]))
    writer.writerows([escaped(text) for text in row] for row in tables(db)[name])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


# ------------------------------------------------------------------------------------------------------------- import


@dataclass(slots=True)
class BookReport:
    """What an import did, or would do. ``column`` of an error begins with its sheet: ``meters.serial``."""

    dry_run: bool
    applied: bool = False
    errors: list[RowError] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)
    dev_euis: set[str] = field(default_factory=set)
    """Modules with a new binding: frames that waited for it can be decoded."""
    readings: int = 0
    """Readings found in such frames."""


def read_book(data: bytes, name: str = "") -> dict[str, list[tuple[int, dict[str, str]]]]:
    """Rows by sheet: (number in the file, column → text). ``name`` is the table of a CSV file. Raises TableError."""
    if len(data) > MAX_BYTES:
        raise TableError(f"The file has {len(data) >> 20} MiB; at most {MAX_BYTES >> 20} MiB are read. Split it.")
    if data[:4] != b"PK\x03\x04":
        if name not in SHEETS:
            raise TableError(f"A CSV file holds one table; name it: {', '.join(SHEETS)}.")
        return {name: _rows(SHEETS[name], list(_csv_rows(data)), _unescaped)}
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_size(entries)
            for entry in entries:
                _check_reach(archive.read(entry))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except TableError:
        raise
    except Exception as error:  # the reader has exceptions of its own for every fault
        raise TableError(f"The XLSX file is damaged: {error}.") from error
    found = {}
    for sheet in book.worksheets:
        if sheet.title not in SHEETS:
            raise TableError(f"The sheet {sheet.title!r} is none of {', '.join(SHEETS)}.")
        try:
            lines = [[_cell(cell) for cell in line] for line in sheet.iter_rows(values_only=True)]
        except Exception as error:  # read on the way: faults of a sheet show here
            raise TableError(f"The sheet {sheet.title!r} is damaged: {error}.") from error
        found[sheet.title] = _rows(SHEETS[sheet.title], lines, str.strip)
    return found


def _rows(sheet: Sheet, lines: list[list[str]], clean: Callable[[str], str]) -> list[tuple[int, dict[str, str]]]:
    if len(lines) > MAX_ROWS:
        raise TableError(f"{sheet.name} has more than {MAX_ROWS} rows. Split it.")
    known = heads(sheet)
    head = [cell.strip() for cell in lines[0]] if lines else []
    named = [cell for cell in head if cell]
    if lines and not named:
        raise TableError(f"{sheet.name}: the first row must be that of the headings.")
    for cell in named:
        if cell not in known:
            raise TableError(f"{sheet.name}: the column {cell!r} is none of {', '.join(known)}.")
        if named.count(cell) > 1:
            raise TableError(f"{sheet.name}: the column {cell!r} stands there twice.")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = list(map(clean, line))
        if any(cells[len(head) :]) or any(cell and not name for cell, name in zip(cells, head, strict=False)):
            raise TableError(f"{sheet.name}: row {number} has more cells than there are headings.")
        if any(cells):
            rows.append((number, {name: cell for name, cell in zip(head, cells, strict=False) if name}))
    return rows


_TERMS = frozenset({"installations", "channels"})
_moment = whole(0, 7_258_118_400_000_000)
"""Microseconds, to the year 2200."""
_stored = whole(-(2**31), 2**31 - 1)
_HANGING = frozenset({"installed", "commissioned", "removed"})
"""States that installations make; a book does not set them."""
_MADE_LATER = _HANGING | {"written_off"}
"""A new meter begins in stock when it is to end so: what is written off could not have hung anywhere."""


class _RollBack(Exception):
    pass


def import_book(
    db: Database,
    rows: Mapping[str, list[tuple[int, dict[str, str]]]],
    dry_run: bool,
    note: Note = SYSTEM,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BookReport:
    """Import tables, all or nothing. The same again changes nothing. ``progress(done, total)`` is told now and then."""
    report = BookReport(dry_run)
    done, total = 0, sum(map(len, rows.values()))
    try:
        with db.writing() as session:
            writer = _Writer(session, report, note)
            for sheet in SHEETS.values():
                for number, cells in _by_time(sheet, rows.get(sheet.name, ())):
                    writer.take(sheet, number, cells)
                    done += 1
                    if done % 100 == 0:
                        progress(done, total)
            writer.settle_states()
            for point_id in sorted(writer.points):
                rebuild(raw(session), point_id)
            if dry_run or report.errors:
                raise _RollBack
        report.applied = True
    except _RollBack:
        pass
    return report


Rows = Iterable[tuple[int, dict[str, str]]]


def _by_time(sheet: Sheet, rows: Rows) -> Rows:
    """Terms in the order of time: a meter comes off its point before the next one hangs there, whatever their numbers."""
    if sheet.name not in _TERMS:
        return rows

    def start(row: tuple[int, dict[str, str]]) -> int:
        cells = row[1]
        with suppress(ValueError):  # told as a fault of its row, when that is taken
            at = cells.get("installed_at") or cells.get("valid_from")
            return int(at) if at else day_number(_day(cells.get("installed_on", ""))) * 86_400_000_000
        return 0

    return sorted(rows, key=start)


class _Writer:
    """Takes row after row inside the transaction."""

    def __init__(self, session: Session, report: BookReport, note: Note) -> None:
        self._session = session
        self._report = report
        self._note = note
        self.points: set[int] = set()
        self._known: dict[str, dict[tuple[str, ...], int]] = {}
        self._states: dict[int, tuple[int, str]] = {}
        """Meter → its row and the state that it says; installations come first and make states of their own."""
        self._number = 0
        self._said: dict[tuple[Any, ...], tuple[int, dict[str, Any]]] = {}
        """What rows of the file have said so far, by what names them."""

    def take(self, sheet: Sheet, number: int, cells: dict[str, str]) -> None:
        """One row; its fault is kept and the next goes on."""
        self._number = number
        self._try(sheet, number, lambda: self._take(sheet, cells))

    def _try(self, sheet: Sheet, number: int, act: Callable[[], Any]) -> None:
        try:
            with self._session.begin_nested():
                act()
        except RegistryError as error:
            column = f"{sheet.name}.{error.field}" if error.field else sheet.name
            self._report.errors.append(RowError(number, column, error.detail))

    def wants_state(self, meter_id: int, state: str) -> None:
        """The meter is to end in this state; what installations make is not set by a book."""
        if state and state not in _HANGING:
            self._states[meter_id] = (self._number, state)

    def settle_states(self) -> None:
        """Once all installations are in: a meter that hangs may have failed, one that was removed be under repair."""
        for meter_id, (number, state) in self._states.items():
            meter = self._session.get(Meter, meter_id)
            if meter is not None and meter.state != state:
                change = partial(update_in, self._session, "meter", meter_id, {"state": state}, self._note)
                self._try(SHEETS["meters"], number, change)

    def _take(self, sheet: Sheet, cells: dict[str, str]) -> None:
        values = {name: self._read(sheet, name, cells[name]) for name in sheet.columns if name in cells}
        for column, other in sheet.owners:
            prefix = column.removesuffix("_id")
            names = [f"{prefix}.{name}" for name in names_of(SHEETS[other])]
            if column in sheet.key or any(name in cells for name in names):  # what the file does not tell stays
                values[column] = self._owner(sheet, column, other, tuple(cells.get(name, "") for name in names))
        self._begin(sheet, values)
        self._check_said(sheet, values)
        known = self._find(sheet, values)
        created, changed = _ACTS.get(sheet.name, (_create, _change))
        if known is None:
            created(self, sheet, values)
            count = self._report.created
        else:
            count = self._report.changed if changed(self, sheet, known, values) else self._report.unchanged
        count[sheet.name] = count.get(sheet.name, 0) + 1

    def _begin(self, sheet: Sheet, values: dict[str, Any]) -> None:
        """The moment at which a term begins, where only its day is told."""
        if sheet.name == "channels" and values.get("valid_from") is None:
            values["valid_from"] = 0
        elif sheet.name == "installations" and values.get("installed_at") is None:
            _need(values, "point_id", "installed_on")
            point: Point = fetch(self._session, "point", values["point_id"])
            values["installed_at"] = start_of_day(self._session, point, values["installed_on"])

    def _check_said(self, sheet: Sheet, values: dict[str, Any]) -> None:
        key = (sheet.name, *(values.get(name) for name in sheet.key))
        number, said = self._said.setdefault(key, (self._number, values))
        other = next((name for name, value in values.items() if said.get(name) != value), None)
        if other is not None:
            raise RegistryError("conflict", other, f"{other}: row {number} is about the same and says otherwise.")

    def _read(self, sheet: Sheet, column: str, text: str) -> Any:
        try:
            if text == "":
                return None if column in WHOLE | DECIMAL | DAY or is_time(sheet, column) else ""
            if is_time(sheet, column):
                return _moment(_whole(text))
            if column in WHOLE:
                return _stored(_whole(text))
            if column in DECIMAL:
                return _number(text)
            return day(_day(text)) if column in DAY else text
        except ValueError as error:
            raise RegistryError("invalid", column, f"{column}: {error}.") from error

    def _owner(self, sheet: Sheet, column: str, other: str, named: tuple[str, ...]) -> int | None:
        owner = SHEETS[other]
        own = [text for name, text in zip(names_of(owner), named, strict=True) if "." not in name]
        if not any(own):
            return None
        found: dict[str, Any] = {}
        rest = list(named)
        owners = dict(owner.owners)
        for name in owner.key:
            if name in owners:
                size = len(names_of(SHEETS[owners[name]]))
                found[name] = self._owner(owner, name, owners[name], tuple(rest[:size]))
                rest = rest[size:]
            else:
                found[name] = self._read(owner, name, rest.pop(0))
        row = self._find(owner, found)
        if row is None:
            raise RegistryError(
                "invalid", column, f"{column}: there is no such row in {other}: {', '.join(filter(None, named))}."
            )
        return int(row.id)

    def _find(self, sheet: Sheet, values: Mapping[str, Any]) -> Any:
        query: Any = select(sheet.model)
        for name in sheet.key:
            column = getattr(sheet.model, f"{name}_us" if is_time(sheet, name) else name)
            value = values.get(name)
            query = query.where(column.is_(None) if value is None else column == value)
        return self._session.exec(query).first()

    @property
    def session(self) -> Session:
        return self._session

    @property
    def report(self) -> BookReport:
        return self._report

    @property
    def note(self) -> Note:
        return self._note


def _create(writer: _Writer, sheet: Sheet, values: dict[str, Any]) -> None:
    wanted = str(values.get("state") or "") if sheet.name == "meters" else ""
    if wanted in _MADE_LATER:
        values = {**values, "state": "in_stock"}
    given = {name: value for name, value in values.items() if value is not None}
    made = create_in(writer.session, sheet.kind, given, writer.note)
    if wanted:
        writer.wants_state(made.id, wanted)


def _change(writer: _Writer, sheet: Sheet, known: Any, values: dict[str, Any]) -> bool:
    given = {name: value for name, value in values.items() if getattr(known, name) != value}
    wanted = str(given.pop("state", None) or "") if sheet.name == "meters" else ""
    writer.wants_state(known.id, wanted)
    if given:
        update_in(writer.session, sheet.kind, known.id, given, writer.note)
    return bool(given) or (wanted != "" and wanted not in _HANGING)


_ON = ("install_act", "installed_by", "commissioned_on", "commission_act")
_OFF = ("removal_act", "removed_by", "removal_reason")


def _need(values: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if values.get(name) is None:
            raise RegistryError("invalid", name, f"{name}: must not be empty.")


def _or(values: Mapping[str, Any], name: str, default: Any) -> Any:
    return default if values.get(name) is None else values[name]


def _install(writer: _Writer, sheet: Sheet, values: dict[str, Any]) -> None:
    _need(values, "point_id", "meter_id", "installed_on", "start_value")
    made = install_in(
        writer.session, values["point_id"], values["meter_id"], values["installed_on"], values["start_value"],
        values["installed_at"], False, _or(values, "ratio", Decimal(1)),
        {name: values[name] for name in _ON if name in values}, writer.note,
    )  # fmt: skip
    writer.points.add(made.point_id)
    _take_off(writer, made, values)


def _take_off(writer: _Writer, known: Any, values: dict[str, Any]) -> bool:
    if values.get("removed_on") is None or known.removed_at_us is not None:
        return False
    _need(values, "end_value")
    facts = {name: values[name] for name in _OFF if name in values}
    remove_in(
        writer.session,
        known.id,
        values["removed_on"],
        values["end_value"],
        values.get("removed_at"),
        False,
        facts,
        writer.note,
    )
    writer.points.add(known.point_id)
    return True


def _amend(writer: _Writer, sheet: Sheet, known: Any, values: dict[str, Any]) -> bool:
    off = _take_off(writer, known, values)
    acts = {name: values[name] for name in (*_ON, *_OFF) if name in values and getattr(known, name) != values[name]}
    if acts:
        update_in(writer.session, "installation", known.id, acts, writer.note)
    for name in ("start_value", "end_value", "ratio", "installed_on", "removed_on"):
        if values.get(name) is not None and getattr(known, name) != values[name]:
            raise RegistryError("conflict", name, f"{name}: the act of an installation is not rewritten by an import.")
    return off or bool(acts)


def _bind(writer: _Writer, sheet: Sheet, values: dict[str, Any]) -> None:
    _need(values, "meter_id", "channel")
    made = bind_in(
        writer.session, values["dev_eui"], values["meter_id"], values["channel"], values.get("register_name") or "",
        _or(values, "weight", Decimal(1)), _or(values, "start_value", Decimal(0)),
        _or(values, "start_pulses", Decimal(0)), values["valid_from"], _or(values, "counter_bits", 32),
    )  # fmt: skip
    made.valid_until_us = _end(made, values)
    writer.session.add(made)
    writer.report.dev_euis.add(made.dev_eui)


def _rebind(writer: _Writer, sheet: Sheet, known: Any, values: dict[str, Any]) -> bool:
    for name in ("meter_id", "register_name", "weight", "start_value", "start_pulses", "counter_bits"):
        if values.get(name) is not None and getattr(known, name) != values[name]:
            raise RegistryError(
                "conflict", name, f"{name}: a binding is not rewritten by an import; close it, bind anew."
            )
    if "valid_until" not in values or values["valid_until"] == known.valid_until_us:
        return False
    if known.valid_until_us is not None:
        raise RegistryError("conflict", "valid_until", "valid_until: a binding that was closed stays so; bind anew.")
    known.valid_until_us = _end(known, values)
    writer.session.add(known)
    return True


def _end(binding: ModuleChannel, values: Mapping[str, Any]) -> int | None:
    until_us: int | None = values.get("valid_until")
    if until_us is not None and until_us <= binding.valid_from_us:
        raise RegistryError("invalid", "valid_until", "valid_until: must be after the start of the binding.")
    return until_us


_ACTS: dict[str, tuple[Callable[..., None], Callable[..., bool]]] = {
    "installations": (_install, _amend),
    "channels": (_bind, _rebind),
}
assert all(sheet.kind in KINDS for sheet in SHEETS.values())

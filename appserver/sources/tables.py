"""Readings as tables: CSV or XLSX, in any usual encoding, with English or Russian headings in any order.

Columns: ``date`` (the building's clock, or with an offset), ``time`` if it stands apart, ``value`` (or ``t1`` to ``t4`` of a
meter with tariffs), and what tells the meter: ``serial``, ``account`` (with ``resource`` where there are several meters),
``point`` or ``meter`` (ids). If wanted ``register``, ``resource`` and ``kind`` (``archive`` or ``current``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appserver.exchange.columns import BY_WORD, plain
from appserver.exchange.tables import TableError, read_rows
from appserver.metering.incoming import Item, read_moment, read_value
from appserver.sources.intake import Row

MAX_ROWS = 200_000
HEADING_ROWS = 20
NAMES = {
    "serial": ("serial", "номер", "зав. №", "заводской номер", "№ пу", "номер пу", "пу №", "номер счётчика"),
    "account": ("account", "лицевой счёт", "лс", "номер лс"),
    "point": ("point", "point_id", "точка учёта"),
    "meter": ("meter", "meter_id"),
    "resource": ("resource", "ресурс", "услуга", "коммунальный ресурс"),
    "date": ("date", "measured_at", "дата", "дата и время", "дата снятия"),
    "time": ("time", "время", "час"),
    "value": ("value", "показание", "значение"),
    "register": ("register", "регистр"),
    "kind": ("kind", "вид"),
    **{f"t{n}": (f"t{n}", f"т{n}", f"значение т{n}", f"показание т{n}") for n in range(1, 5)},
}
_HEADINGS = {plain(heading): name for name, headings in NAMES.items() for heading in headings}
_METERS = ("serial", "account", "point", "meter")
KINDS = {"": True, "archive": True, "архив": True, "current": False, "текущее": False}


def read_readings(data: bytes) -> list[Row]:
    """The rows of a file, numbered as people see them. Raises ValueError for a file that is no such table."""
    columns: dict[int, str] = {}
    made: list[Row] = []
    try:
        for number, cells in enumerate(read_rows(data), 1):
            if not columns:
                columns = _columns(cells)
                if not columns and number >= HEADING_ROWS:
                    break
                continue
            told = {columns[i]: cell.strip() for i, cell in enumerate(cells) if i in columns and cell.strip()}
            if told:
                made += _rows(number, told)
            if len(made) > MAX_ROWS:
                raise ValueError(f"it has more than {MAX_ROWS} rows; split it")
    except TableError as error:
        raise ValueError(str(error)) from None
    if not columns:
        raise ValueError("no row of headings names a column for the meter, date and value")
    return made


def _columns(cells: list[str]) -> dict[int, str]:
    """Columns by position when this row is the one of headings."""
    found = {i: name for i, cell in enumerate(cells) if (name := _HEADINGS.get(plain(cell)))}
    names = list(found.values())
    if "date" not in names or not any(name in names for name in _METERS):
        return {}
    if not any(name in names for name in ("value", "t1")):
        return {}
    if len(set(names)) < len(names):
        raise ValueError(f"the column {next(name for name in names if names.count(name) > 1)} stands there twice")
    return found


def _rows(number: int, told: Mapping[str, str]) -> list[Row]:
    """A line as rows: one for each tariff that it tells."""
    tariffs = [n for n in range(1, 5) if f"t{n}" in told]
    if not tariffs:
        return [_row(number, told)]
    head = {name: cell for name, cell in told.items() if name not in ("value", "t1", "t2", "t3", "t4")}
    base = head.get("register") or "energy"
    rows = [_row(number, {**head, "value": told[f"t{n}"], "register": f"{base}_t{n}"}) for n in tariffs]
    if "value" in told:
        rows.append(_row(number, {**head, "value": told["value"]}))
    return rows


def _row(number: int, told: Mapping[str, str]) -> Row:
    try:
        return Row(number, item_of_row(told))
    except ValueError as error:
        return Row(number, None, {"row": dict(told)}, str(error))


def item_of_row(told: Mapping[str, Any]) -> Item:
    """A row's cells by the name of their column as a reading. Raises ValueError with what is wrong."""
    kind = str(told.get("kind", "")).lower()
    if kind not in KINDS:
        raise ValueError(f"kind is {told['kind']!r}; write archive or current")
    if not any(told.get(name) for name in _METERS):
        raise ValueError("the number of the meter is missing")
    resource = str(told.get("resource", ""))
    if resource and plain(resource) not in BY_WORD["resource"]:
        raise ValueError(
            f"resource is {resource!r}; write one of {', '.join(dict.fromkeys(BY_WORD['resource'].values()))}"
        )
    date, time = str(told.get("date", "")), str(told.get("time", ""))
    return Item(
        read_moment(f"{date} {_clock(time)}" if time else date),
        read_value(str(told.get("value", ""))),
        serial=str(told.get("serial", "")),
        register_name=str(told.get("register", "")),
        archive=KINDS[kind],
        meter_id=_whole(told, "meter"),
        point_id=_whole(told, "point"),
        account=str(told.get("account", "")),
        resource=BY_WORD["resource"][plain(resource)] if resource else "",
    )


def _clock(time: str) -> str:
    """``8``, ``8:00`` or ``08:00:00`` as a clock shows it."""
    hours, _, rest = time.partition(":")
    return f"{hours:0>2}:{rest or '00'}"


def _whole(told: Mapping[str, Any], name: str) -> int | None:
    text = str(told.get(name, ""))
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{name} is {text!r}, it must be a whole number")
    return int(text)

"""Single rows: text → checked values, and every fault with its row and column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from appserver.exchange.columns import BY_WORD, COLUMNS, Column, plain
from appserver.registry.kinds import KINDS, day, decimal, eui, text, whole

_DAY_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y")
_BLANKS = str.maketrans("", "", " \u00a0\u202f'")
_value = decimal("-1000000000")
MAX_EXPONENT = 30
"""No number of a table has more digits; writing out 1e999999999 would take hours."""


@dataclass(frozen=True, slots=True)
class RowError:
    """A fault in a file."""

    row: int
    """As people count, headings included."""
    column: str
    """Our name of the column, empty when it is not one column."""
    detail: str


@dataclass(slots=True)
class Row:
    """A row with checked values by group."""

    number: int
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, group: str) -> dict[str, Any]:
        """Values of a group, empty when the row has none."""
        return self.groups.get(group, {})


def _number(raw: str) -> Decimal:
    """A decimal number as people write it: a comma or a point, blanks between thousands."""
    try:
        number = Decimal(raw.translate(_BLANKS).replace(",", "."))
    except InvalidOperation as error:
        raise ValueError(f"{raw!r} is not a number") from error
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"{raw!r} is not a decimal number of a meter")
    return number


def _whole(raw: str) -> int:
    number = _number(raw)
    if number != number.to_integral_value():
        raise ValueError(f"{raw!r} is not a whole number")
    return int(number)


def _day(raw: str) -> date:
    for pattern in _DAY_FORMATS:
        try:
            return datetime.strptime(raw[:10] if "T" in raw else raw, pattern).date()  # noqa: DTZ007 (a date alone)
        except ValueError:
            continue
    raise ValueError(f"{raw!r} is not a date; write it as 2026-11-01 or 01.11.2026")


def _key(raw: str) -> str:
    digits = re.sub(r"[-:. ]", "", raw).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise ValueError("must be 32 hexadecimal digits")  # without the value: it is a secret
    if len(set(digits)) == 1 or digits in "0123456789abcdef" * 3:
        raise ValueError("is a placeholder, not a key")
    return digits


def _word(column: str) -> Callable[[str], str]:
    words = BY_WORD[column]
    allowed = ", ".join(dict.fromkeys(words.values()))

    def read(raw: str) -> str:
        value: str | None = words.get(plain(raw))
        if value is None:
            raise ValueError(f"{raw!r} is not known; use one of {allowed}")
        return value

    return read


_READERS: dict[str, Callable[[str], Any]] = {
    "area_m2": _number,
    "residents": _whole,
    "digits": _whole,
    "qmax": _number,
    "verified_on": _day,
    "verification_until": _day,
    "installed_on": lambda raw: day(_day(raw)),
    "start_value": lambda raw: _value(_number(raw)),
    "channel": lambda raw: whole(1, 255)(_whole(raw)),
    "pulse_weight": lambda raw: decimal("0.000000000001")(_number(raw)),
    "start_pulses": lambda raw: _value(_number(raw)),
    "dev_eui": eui,
    "join_eui": eui,
    "app_key": _key,
    "nwk_key": _key,
    "register": text(40),
    "profile": text(60),
    "device_name": text(200),
    **{column: _word(column) for column in BY_WORD},
}


def read_row(number: int, cells: dict[str, str]) -> tuple[Row, list[RowError]]:
    """Check a row's cells one by one."""
    row, errors = Row(number), []
    for column in COLUMNS:
        raw = cells.get(column.name)
        if raw is None:
            if column.required:
                errors.append(RowError(number, column.name, f"{column.russian[0]}: must not be empty."))
            continue
        try:
            row.groups.setdefault(column.group, {})[column.field] = _read(column, raw)
        except ValueError as error:
            errors.append(RowError(number, column.name, f"{column.russian[0]}: {error}."))
    if not errors:
        errors += _together(row)
    return row, errors


def _read(column: Column, raw: str) -> Any:
    reader = _READERS.get(column.name)
    value = raw if reader is None else reader(raw)
    kind = KINDS.get(column.group)
    check = kind.columns.get(column.field) if kind is not None else None
    return value if check is None else check(value)


def _together(row: Row) -> list[RowError]:
    """What the cells of a row must satisfy together."""
    errors = []
    if "dev_eui" not in row.of("channel"):
        needless = [c for c in COLUMNS if c.group in ("device", "channel") and c.field in row.of(c.group)]
        if needless:
            errors.append(RowError(row.number, "dev_eui", f"DevEUI: is needed with {needless[0].name}."))
    if row.of("point").get("role") == "individual" and "number" not in row.of("premises"):
        errors.append(RowError(row.number, "premises", "помещение: an individual meter belongs to premises."))
    on, until = (row.of("meter").get(name) for name in ("verified_on", "verification_until"))
    if on and until and until <= on:
        errors.append(
            RowError(row.number, "verification_until", "поверка до: must be after the day of the verification.")
        )
    return errors

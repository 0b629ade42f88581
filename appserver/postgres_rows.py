"""Many rows for PostgreSQL as one array for each column: it reads an array at once, and a list of rows word by word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

COLUMN_TYPES = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
    " WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped"
)
_HEAD = re.compile(r"^\s*INSERT\s+INTO\s+(\w+)\s*\(([^()]*)\)\s*VALUES\s*$", re.I)


def target_of(head: str) -> tuple[str, list[str]] | None:
    """Table and columns of ``INSERT INTO table (columns) VALUES``; None when it is something else."""
    found = _HEAD.match(head)
    return None if found is None else (found[1], [name.strip().strip('"') for name in found[2].split(",")])


def selection(words: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """What takes the place of ``VALUES`` and a thousand rows: ``SELECT … FROM unnest(…)``.

    ``words`` are those between the parentheses of one row; the question marks among them stand for the columns of
    ``rows`` in order, ``types`` for all of them. Raises ValueError for text with a NUL, TypeError for a value of no
    column.
    """
    columns = iter(zip(*rows, strict=True))
    names: list[str] = []
    arrays: list[str] = []
    chosen: list[str] = []
    for word, type_ in zip(words, types, strict=True):
        if word != "?":
            chosen.append(word)
            continue
        name = f"c{len(names)}"
        names.append(name)
        arrays.append(f"'{_array(next(columns))}'::{type_}[]")
        chosen.append(f"u.{name}")
    return f"SELECT {', '.join(chosen)} FROM unnest({', '.join(arrays)}) AS u ({', '.join(names)})"


def types_of(columns: Sequence[str], known: Mapping[str, str]) -> list[str] | None:
    """The types of columns; None when one of them is not known."""
    types = [known.get(name, "") for name in columns]
    return types if all(types) else None


def _array(values: Sequence[Any]) -> str:
    """An array as PostgreSQL reads it, within the quotes of a text."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return f"{{{','.join(map(str, values))}}}"
    if kinds == {str}:
        spelled = {value: _text(value) for value in set(values)}
        return f"{{{','.join([spelled[value] for value in values])}}}"
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "NULL"
    if kind is int:
        return str(value)
    if kind is bool:
        return "t" if value else "f"
    if kind is bytes:
        return f'"\\\\x{value.hex()}"'
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    raise TypeError(f"{kind.__name__} cannot be a parameter of a query")


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("text with a NUL character cannot be kept")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
    return f'"{escaped}"'

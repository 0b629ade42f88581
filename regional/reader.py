"""A strict reader of plan files: every key is known, every value has its type, an error names the file and key."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from regional.types import PlanError

_MISSING: Any = object()


class Table:
    """One table of a plan file. Keys are taken out one by one; `done()` complains about a key nobody asked for."""

    __slots__ = ("_left", "_path", "_source")

    def __init__(self, values: Mapping[str, Any], source: str, path: str = "") -> None:
        self._left = dict(values)
        self._source = source
        self._path = path

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise the PlanError for a key."""
        where = f"{self._path}.{key}" if self._path and key else self._path or key
        raise PlanError(f"{self._source}: {where}: {problem}")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def integer(self, key: str, default: int | None = None) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(key, f"expected a whole number, got {value!r}")
        return value

    def optional_integer(self, key: str) -> int | None:
        return self.integer(key) if key in self._left else None

    def number(self, key: str, default: float | None = None) -> float:
        value = self._take(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.fail(key, f"expected a number, got {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str):
            self.fail(key, f"expected a text, got {value!r}")
        return value

    def text_or_integer(self, key: str) -> str | int:
        value = self._take(key, None)
        if not isinstance(value, str | int) or isinstance(value, bool):
            self.fail(key, f"expected a text or a whole number, got {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.fail(key, f"expected true or false, got {value!r}")
        return value

    def array(self, key: str, default: tuple[Any, ...] | None = None) -> list[Any]:
        value = self._take(key, default)
        if not isinstance(value, list | tuple):
            self.fail(key, f"expected an array, got {value!r}")
        return list(value)

    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        values = self.array(key, default)
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool):
                self.fail(key, f"expected whole numbers, got {value!r} among them")
        return tuple(values)

    def numbers(self, key: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        values = self.array(key, default)
        for value in values:
            if not isinstance(value, int | float) or isinstance(value, bool):
                self.fail(key, f"expected numbers, got {value!r} among them")
        return tuple(values)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        values = self.array(key, default)
        for value in values:
            if not isinstance(value, str):
                self.fail(key, f"expected texts, got {value!r} among them")
        return tuple(values)

    def table(self, key: str) -> Table:
        """A table below this one; an empty one when it is absent."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.fail(key, f"expected a table, got {value!r}")
        return Table(value, self._source, f"{self._path}.{key}" if self._path else key)

    def tables(self, key: str) -> list[Table]:
        """An array of tables; an empty one when it is absent."""
        rows = self.array(key, ())
        path = f"{self._path}.{key}" if self._path else key
        for n, row in enumerate(rows):
            if not isinstance(row, dict):
                self.fail(key, f"expected tables, got {row!r} as number {n}")
        return [Table(row, self._source, f"{path}[{n}]") for n, row in enumerate(rows)]

    def keys(self) -> Iterator[str]:
        """The keys not yet taken."""
        return iter(tuple(self._left))

    def done(self) -> None:
        """Raise PlanError if a key is left over: a misspelt key must not pass silently."""
        for key in self._left:
            self.fail(key, "no such key in a plan; see docs/regions.md for the keys there are")

    def _take(self, key: str, default: Any) -> Any:
        value = self._left.pop(key, _MISSING)
        if value is _MISSING:
            if default is None:
                self.fail(key, "is missing")
            return default
        return value


def overlay(base: Mapping[str, Any], over: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Lay one table over another: `remove` takes paths out first, tables merge, everything else is replaced."""
    result = copy.deepcopy(dict(base))
    removed = over.get("remove", [])
    if not isinstance(removed, list):
        raise PlanError(f'{source}: remove: expected an array of paths such as "data_rates.12", got {removed!r}')
    for path in removed:
        _remove(result, path, source)
    _merge(result, {key: value for key, value in over.items() if key != "remove"})
    return result


def _merge(into: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def _remove(values: dict[str, Any], path: object, source: str) -> None:
    *parents, last = str(path).split(".")
    table: Any = values
    for name in parents:
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise PlanError(f"{source}: remove: there is no {path!r} to take away")
    del table[last]

"""Reading values out of a TOML table, with a fault for each that is not as it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from appserver.codecs.declared.faults import Fault, Path, line_of, name_of

MAX_SCALE_DIGITS = 30


class Faults:
    """Collects the faults of one file."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.found: list[Fault] = []

    def add(self, path: Path, text: str) -> None:
        """Note a fault at ``path``."""
        self.found.append(Fault(line_of(self._text, path), name_of(path), text))


class Table:
    """One table of the file while it is read; what is missing or wrong is noted and stands as its default."""

    def __init__(self, values: Any, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self._read: set[str] = set()
        self._values: dict[str, Any] = values if isinstance(values, dict) else {}
        if not isinstance(values, dict):
            self.fault("", 'must be a table, such as { name = "volume", type = "u32" }')

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def fault(self, key: str, text: str) -> None:
        """Note a fault of a key, or of the whole table."""
        self.faults.add((*self.path, key) if key else self.path, text)

    def raw(self, key: str) -> Any:
        """The value as it stands; None when it is missing."""
        self._read.add(key)
        return self._values.get(key)

    def text(self, key: str, default: str | None = "") -> str:
        """A text; a fault when it is missing and ``default`` is None."""
        value = self.raw(key)
        if value is None and default is None:
            self.fault(key, "is missing")
        elif value is not None and not isinstance(value, str):
            self.fault(key, "must be a text in quotes")
        return value if isinstance(value, str) else default or ""

    def one_of(self, key: str, known: Sequence[str], default: str | None = "") -> str:
        """One of the known words."""
        value = self.text(key, default)
        if value and value not in known:
            self.fault(key, f'is "{value[:40]}"; write one of {", ".join(known)}')
            return default or known[0]
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = 0) -> int:
        """A whole number; a fault when it is missing and ``default`` is None."""
        value = self.raw(key)
        if value is None and default is not None:
            return default
        if value is None:
            self.fault(key, "is missing")
        elif isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(key, f"must be a whole number from {low} to {high}")
        else:
            return value
        return default if default is not None else low

    def flag(self, key: str) -> bool:
        """true or false; false when it is missing."""
        value = self.raw(key)
        if value is not None and not isinstance(value, bool):
            self.fault(key, "must be true or false")
        return value is True

    def decimal(self, key: str, default: str) -> Decimal:
        """A decimal number, as a text so that it is exact, or plain."""
        value = self.raw(key)
        if value is None:
            return Decimal(default)
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        plain = isinstance(value, str | int | float) and not isinstance(value, bool) and number.is_finite()
        if not plain or len(number.as_tuple().digits) > MAX_SCALE_DIGITS or abs(number.adjusted()) > MAX_SCALE_DIGITS:
            self.fault(key, 'must be a number such as "0.001"')
            return Decimal(default)
        return number

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers, or one of them."""
        value = self.raw(key)
        values = [] if value is None else value if isinstance(value, list) else [value]
        if any(isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high for item in values):
            self.fault(key, f"must be a list of whole numbers from {low} to {high}")
            return ()
        return tuple(values)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one of them."""
        value = self.raw(key)
        values = [] if value is None else value if isinstance(value, list) else [value]
        if any(not isinstance(item, str) for item in values):
            self.fault(key, "must be a list of texts in quotes")
            return ()
        return tuple(values)

    def numbered(self, key: str, low: int, high: int) -> dict[int, str]:
        """A table of numbers to words, such as { 0 = "leak", 3 = "magnet" }."""
        value = self.raw(key)
        if value is None:
            return {}
        found: dict[int, str] = {}
        for name, word in value.items() if isinstance(value, dict) else [("", None)]:
            try:
                number = int(name, 0)
            except ValueError:
                number = low - 1
            if not low <= number <= high or not isinstance(word, str):
                self.fault(key, f'must be a table of numbers from {low} to {high} and words: {{ 0 = "leak" }}')
                return {}
            found[number] = word
        return found

    def tables(self, key: str) -> list[Table]:
        """A list of tables."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(key, f"must be a list of tables, [[{key}]] or [ {{ … }}, … ]")
            return []
        return [Table(item, (*self.path, key, n), self.faults) for n, item in enumerate(value)]

    def keys(self) -> Iterable[str]:
        """The keys that the table has."""
        return self._values.keys()

    def done(self) -> None:
        """Note a fault for each key that nobody has asked for."""
        for key in self._values:
            if key not in self._read:
                self.fault(key, f"is unknown; known here are {', '.join(sorted(self._read))}")

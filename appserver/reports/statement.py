"""A statement as plain values, before it becomes a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Cell = str | int | Decimal | date | datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a statement."""

    key: str
    """Name in JSON."""
    title: str
    width: int = 12
    """In characters."""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in one language."""

    name: str
    language: str
    title: str
    header: list[tuple[str, str]]
    columns: list[Column]
    rows: list[tuple[Cell, ...]]
    totals: list[tuple[Cell, ...]] = field(default_factory=list)
    """As wide as the rows."""
    notes: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """Fingerprint of everything that the statement says."""
        content = [
            self.name,
            self.title,
            self.header,
            [c.key for c in self.columns],
            self.rows,
            self.totals,
            self.notes,
        ]
        return hashlib.sha256(json.dumps(content, default=plain, ensure_ascii=False).encode()).hexdigest()


def plain(value: Any) -> str:
    """A cell as text that does not depend on a language."""
    return value.isoformat() if isinstance(value, date | datetime) else format(value, "f")

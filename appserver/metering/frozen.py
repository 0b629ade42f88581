"""What is kept of a closed period: its balances, charges, explanation, the rules with their versions, and the prints.

Each part is JSON, compressed, with its SHA-256; the hash of a closing is that of its parts that carry numbers. Parts are
written once, and the database refuses to change them.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import Balance
from appserver.metering.explain.model import Explanation

T = TypeVar("T")
PRINT = "print/"
"""Beginning of the names of printed statements."""


@dataclass(frozen=True, slots=True)
class ChargedPoint:
    """What a point was charged for, on which basis."""

    point_id: int
    volume: Decimal | None
    basis: str
    clause: str


@dataclass(frozen=True, slots=True)
class Recalculation:
    """What an earlier closed period turned out to differ by; it belongs to the period it is charged in."""

    close_id: int
    """The closing that turned out wrong."""
    first_day: date
    last_day: date
    """Excluded."""
    point_id: int
    premises: str
    account_number: str
    before: Decimal | None
    """What was charged, recalculations since then included."""
    after: Decimal | None
    """What would be charged by all that is known now."""
    volume: Decimal
    reason: str = ""
    """Reasons of the corrections behind it."""


@dataclass(frozen=True, slots=True)
class RuleUsed:
    """A version of a rule and where it comes from."""

    version: str
    source: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What was charged at the closing, and by which rules."""

    charges: list[ChargedPoint] = field(default_factory=list)
    recalculations: list[Recalculation] = field(default_factory=list)
    rules: list[RuleUsed] = field(default_factory=list)
    explanation: Explanation | None = None


@cache
def _adapter(type_: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(type_)


def packed(value: Any) -> tuple[bytes, str]:
    """A part as bytes, and the SHA-256 of its JSON."""
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    else:
        text = _adapter(type(value)).dump_json(value)
    return zlib.compress(text), hashlib.sha256(text).hexdigest()


def closing_hash(hashes: Mapping[str, str]) -> str:
    """The hash of a closing, of its parts' hashes by name; prints carry it, so they are not in it."""
    lines = "".join(f"{part}:{sha}\n" for part, sha in sorted(hashes.items()) if not part.startswith(PRINT))
    return hashlib.sha256(lines.encode()).hexdigest()


def part_of(db: Database, close_id: int, part: str) -> bytes | None:
    """The JSON of a part; None when the closing has none. Raises RegistryError ``invalid`` when it was tampered with."""
    rows = db.rows("SELECT content, sha256 FROM period_result WHERE close_id = ? AND part = ?", (close_id, part))
    if not rows:
        return None
    try:
        text = zlib.decompress(rows[0][0])
    except zlib.error:
        text = b""
    if hashlib.sha256(text).hexdigest() != rows[0][1]:
        raise RegistryError(
            "invalid", "closing", f"Part {part!r} of closing {close_id} was changed in the file: its hash differs."
        )
    return text


def _read(db: Database, close_id: int, part: str, type_: type[T]) -> T | None:
    text = part_of(db, close_id, part)
    return None if text is None else _adapter(type_).validate_json(text)


def balance_of(db: Database, close_id: int, step: str) -> Balance | None:
    """The balance of a closing by ``hour``, ``day`` or ``month``; None for one that is too long for the step."""
    return _read(db, close_id, f"balance/{step}", Balance)


def summary_of(db: Database, close_id: int) -> Summary:
    """Charges, recalculations, rules and explanation of a closing; nothing for one of before they were kept."""
    try:
        return _read(db, close_id, "summary", Summary) or Summary()
    except ValidationError as error:
        raise RegistryError(
            "invalid", "closing", f"Closing {close_id} was written by another version of the program: {error}"
        ) from error


def hash_of(db: Database, close_id: int) -> str:
    """The hash of a closing; empty for one of before results were kept."""
    hashes = dict(db.rows("SELECT part, sha256 FROM period_result WHERE close_id = ?", (close_id,)))
    return closing_hash(hashes) if hashes else ""

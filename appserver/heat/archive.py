"""The archive of a calculator as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from appserver.db import Database

SHOWN = ("T1_c", "T2_c", "P1_mpa", "P2_mpa", "m1_t", "m2_t", "V1_m3", "V2_m3", "Q1_gcal", "dQ_gcal", "E_kwh", "tA_h")
"""Fields in the order of the page; those that no record has are left out."""


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """A record."""

    at_us: int
    circuit: str
    values: tuple[Decimal | None, ...]
    """Parallel to the page's fields."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The last records of one kind."""

    kind: str
    kinds: list[str]
    """Kinds that there are."""
    fields: list[str]
    rows: list[ArchiveRow]


def archive_of(db: Database, meter_id: int, kind: str = "", limit: int = 48) -> Archive | None:
    """The last records of the module that reads a meter, newest first; None when it tells none."""
    known = db.rows(
        "SELECT DISTINCT r.archive FROM calculator_record r JOIN module_channel c ON c.dev_eui = r.dev_eui"
        " WHERE c.meter_id = ? AND c.valid_until_us IS NULL ORDER BY 1",
        (meter_id,),
    )
    kinds = [name for (name,) in known]
    if not kinds:
        return None
    chosen = kind if kind in kinds else kinds[0]
    records: list[tuple[Any, ...]] = db.rows(
        "SELECT r.at_us, r.circuit, r.fields FROM calculator_record r WHERE r.archive = ? AND (r.dev_eui, r.subsystem) IN"
        " (SELECT dev_eui, CASE WHEN channel >= 10 THEN channel / 10 ELSE channel END FROM module_channel"
        " WHERE meter_id = ? AND valid_until_us IS NULL) ORDER BY r.at_us DESC, r.circuit LIMIT ?",
        (chosen, meter_id, limit),
    )
    told = [(at_us, circuit, msgspec.json.decode(fields)) for at_us, circuit, fields in records]
    fields = [name for name in SHOWN if any(name in values for _, _, values in told)]
    rows = [
        ArchiveRow(at_us, circuit, tuple(Decimal(values[name]) if name in values else None for name in fields))
        for at_us, circuit, values in told
    ]
    return Archive(chosen, kinds, fields, rows)

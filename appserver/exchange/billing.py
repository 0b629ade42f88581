"""FR-22: the registry that billing takes: a row for each account, resource and register of a month, in columns of choice.

The table is one, every other format is a choice of its columns: their names, their order, the mark between them, the mark
of decimals, the encoding. Of a closed month it says what was closed, else what is known now.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange.exports import escaped
from appserver.metering.balance import PointRow
from appserver.metering.charges import charges, next_month
from appserver.metering.closed import counted_balance
from appserver.metering.frozen import summary_of
from appserver.metering.recalculations import pending
from appserver.models.columns import neat
from appserver.models.registry import REGISTERS
from appserver.rules.entered import rule_book

COLUMNS = (
    "account",
    "fias_house",
    "premises",
    "serial",
    "resource",
    "register",
    "date",
    "value",
    "volume",
    "basis",
    "quality",
    "recalculation",
)
"""``value`` is the register at the end; ``volume`` what is charged; ``basis`` measured, average_6m, normative …"""
ENCODINGS = ("utf-8", "cp1251", "cp866")
SEPARATORS = {"semicolon": ";", "comma": ",", "tab": "\t"}

Cell = str | Decimal | date | None


@dataclass(frozen=True, slots=True)
class Template:
    """How a file is written."""

    columns: Sequence[tuple[str, str]] = tuple((name, name) for name in COLUMNS)
    """Column of ``COLUMNS`` and its heading, in the order of the file."""
    header: bool = True
    separator: str = "semicolon"
    encoding: str = "utf-8"
    decimal_comma: bool = False
    date_format: str = "%d.%m.%Y"


def template(
    columns: str = "",
    header: bool = True,
    separator: str = "semicolon",
    encoding: str = "utf-8",
    decimal_comma: bool = False,
) -> Template:
    """A template of ``columns`` such as ``account=LSHET,value=POK_TEK``. Raises RegistryError ``invalid``."""
    chosen = []
    for part in filter(None, (part.strip() for part in columns.split(","))):
        name, _, heading = part.partition("=")
        if name not in COLUMNS:
            raise RegistryError("invalid", "columns", f"There is no column {name!r}; use some of {', '.join(COLUMNS)}.")
        chosen.append((name, heading or name))
    plain = Template()
    return Template(tuple(chosen) or plain.columns, header, separator, encoding, decimal_comma)


def rows(db: Database, building_id: int, month: date, resource: str = "") -> list[dict[str, Cell]]:
    """The registry of a building for the month that begins on ``month``. Raises RegistryError."""
    first, last = month.replace(day=1), next_month(month)
    building = db.rows("SELECT fias_guid FROM building WHERE id = ?", (building_id,))
    if not building:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    known = db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ? AND role = 'individual'", (building_id,))
    found: list[dict[str, Cell]] = []
    for each in [name for name in REGISTERS if (name,) in known and resource in ("", name)]:
        counted = counted_balance(db, building_id, each, first, last, "month", whole_period=True)
        points = [point for point in counted.balance.points if point.role == "individual"]
        if counted.closing is not None:
            summary = summary_of(db, counted.closing.id)
            charged: Mapping[int, tuple[Decimal | None, str]] = {
                c.point_id: (c.volume, c.basis) for c in summary.charges
            }
            again = summary.recalculations
        else:
            made = charges(db, building_id, each, first, points, rule_book(db))
            charged = {id_: (charge.volume, charge.basis) for id_, charge in made.by_point.items()}
            again = pending(db, building_id, each, first)
        more: dict[int, Decimal] = {}
        for one in again:
            more[one.point_id] = more.get(one.point_id, Decimal(0)) + one.volume
        found += [_row(point, building[0][0], each, charged.get(point.point_id), more) for point in points]
    return found


def _row(
    point: PointRow,
    fias: str,
    resource: str,
    charge: tuple[Decimal | None, str] | None,
    more: Mapping[int, Decimal],
) -> dict[str, Cell]:
    again = more.get(point.point_id)
    return {
        "account": point.account_number,
        "fias_house": fias,
        "premises": point.premises,
        "serial": point.serial,
        "resource": resource,
        "register": REGISTERS[resource],
        "date": point.end_at.date() if point.end_at else None,
        "value": point.end,
        "volume": charge[0] if charge else None,
        "basis": charge[1] if charge else "",
        "quality": point.quality,
        "recalculation": neat(again) if again else None,
    }


def write(found: Sequence[Mapping[str, Cell]], how: Template) -> bytes:
    """The rows as a file; what the encoding does not have becomes a question mark."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=SEPARATORS[how.separator], lineterminator="\r\n")
    if how.header:
        writer.writerow([heading for _, heading in how.columns])
    for row in found:
        writer.writerow([_text(row[name], how) for name, _ in how.columns])
    return text.getvalue().encode(how.encoding, "replace")


def _text(value: Cell, how: Template) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        number = format(value, "f")
        return number.replace(".", ",") if how.decimal_comma else number
    return value.strftime(how.date_format) if isinstance(value, date) else escaped(value)

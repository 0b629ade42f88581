"""The tables of the registry as sheets of a book: their columns, what names a row, what a row belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appserver.models import (
    Account,
    Building,
    Entrance,
    Installation,
    Meter,
    MeterSeal,
    MeterVerification,
    ModuleChannel,
    Organisation,
    Point,
    Premises,
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: its columns, what names a row, what it belongs to."""

    name: str
    kind: str
    model: Any
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """Columns, references among them, that tell a row from all others."""
    owners: tuple[tuple[str, str], ...] = ()
    """(column of the table, sheet it refers to); the columns of that sheet's key stand in the row."""


SHEETS = {
    sheet.name: sheet
    for sheet in (
        Sheet("organisations", "organisation", Organisation, ("kind", "name", "inn"), ("name",)),
        Sheet(
            "buildings", "building", Building,
            ("address", "fias_guid", "timezone", "kind", "state", "built_year", "floors"), ("address",),
            (("organisation_id", "organisations"),),
        ),
        Sheet("entrances", "entrance", Entrance, ("number", "floors", "door_code"), ("building_id", "number"),
              (("building_id", "buildings"),)),
        Sheet(
            "premises", "premises", Premises, ("number", "kind", "account_number", "area_m2", "residents", "floor"),
            ("building_id", "number"), (("building_id", "buildings"), ("entrance_id", "entrances")),
        ),
        Sheet(
            "accounts", "account", Account,
            ("number", "unified_number", "service_id", "holder", "share", "opened_on", "closed_on"),
            ("premises_id", "number"), (("premises_id", "premises"),),
        ),
        Sheet(
            "points", "point", Point, ("resource", "role", "direction", "name"),
            ("building_id", "premises_id", "resource", "role", "direction", "name"),
            (("building_id", "buildings"), ("premises_id", "premises")),
        ),
        Sheet(
            "meters", "meter", Meter,
            ("serial", "manufacturer", "model", "resource", "digits", "qmax", "qstart", "type_number", "made_year", "q3",
             "dn_mm", "accuracy", "verification_months", "pulse_weight", "firmware", "state"),
            ("serial", "manufacturer", "model"),
        ),
        Sheet(
            "verifications", "verification", MeterVerification,
            ("verified_on", "valid_until", "result", "document", "arshin_number", "organisation", "remark"),
            ("meter_id", "verified_on"), (("meter_id", "meters"),),
        ),
        Sheet(
            "seals", "seal", MeterSeal,
            ("number", "place", "set_on", "set_by", "set_act", "removed_on", "removed_by", "removed_act", "remark"),
            ("meter_id", "number", "set_on"), (("meter_id", "meters"),),
        ),
        Sheet(
            "installations", "installation", Installation,
            ("installed_on", "installed_at", "start_value", "ratio", "removed_on", "removed_at", "end_value", "install_act",
             "installed_by", "commissioned_on", "commission_act", "removal_act", "removed_by", "removal_reason"),
            ("point_id", "meter_id", "installed_at"), (("point_id", "points"), ("meter_id", "meters")),
        ),
        Sheet(
            "channels", "channel", ModuleChannel,
            ("dev_eui", "channel", "register_name", "weight", "start_value", "start_pulses", "counter_bits", "valid_from",
             "valid_until"),
            ("dev_eui", "channel", "valid_from"), (("meter_id", "meters"),),
        ),
    )
}  # fmt: skip
"""In the order in which they are imported."""

WHOLE = frozenset({"built_year", "floors", "floor", "residents", "digits", "made_year", "dn_mm", "verification_months",
                    "channel", "counter_bits"})  # fmt: skip
DECIMAL = frozenset({"area_m2", "share", "qmax", "qstart", "q3", "pulse_weight", "start_value", "end_value", "ratio",
                      "weight", "start_pulses"})  # fmt: skip
DAY = frozenset({"opened_on", "closed_on", "verified_on", "valid_until", "set_on", "removed_on", "installed_on",
                  "commissioned_on"})  # fmt: skip
TIME = frozenset({"installed_at", "removed_at", "valid_from"})


def is_time(sheet: Sheet, column: str) -> bool:
    return column in TIME or (sheet.name == "channels" and column == "valid_until")


def heads(sheet: Sheet) -> list[str]:
    """Headings: first those that name the owners (``meter.serial``), then the table's own."""
    owners = [
        f"{column.removesuffix('_id')}.{name}" for column, other in sheet.owners for name in names_of(SHEETS[other])
    ]
    return [*owners, *sheet.columns]


def names_of(sheet: Sheet) -> list[str]:
    """Columns that name a row of a sheet, through its owners."""
    found = []
    owners = dict(sheet.owners)
    for column in sheet.key:
        if column in owners:
            found += [f"{column.removesuffix('_id')}.{name}" for name in names_of(SHEETS[owners[column]])]
        else:
            found.append(column)
    return found

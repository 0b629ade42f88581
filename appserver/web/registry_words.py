"""Words of the registry: columns, states, events of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from jinja2 import Environment

from appserver.models.columns import neat
from appserver.web.i18n import N_, gettext
from appserver.web.words import PREMISES

FIELDS = {
    "account_number": N_("Account"),
    "accuracy": N_("Class of accuracy"),
    "address": N_("Address"),
    "area_m2": N_("Area, m²"),
    "arshin_number": N_("Number in ФГИС «Аршин»"),
    "building_id": N_("House"),
    "built_year": N_("Year of construction"),
    "channel.start_pulses": N_("Channel: pulses at the start"),
    "channel.start_value": N_("Channel: value at the start"),
    "channel.weight": N_("Channel: weight of a pulse"),
    "closed_on": N_("Closed on"),
    "commission_act": N_("Act of commissioning"),
    "commissioned_on": N_("Commissioned on"),
    "digits": N_("Digits"),
    "direction": N_("Direction"),
    "dn_mm": N_("Nominal diameter, mm"),
    "document": N_("Document"),
    "door_code": N_("Door code"),
    "effective_on": N_("In force since"),
    "end_value": N_("Value at the removal"),
    "entrance_id": N_("Entrance"),
    "fias_guid": N_("GUID in ГАР (ФИАС)"),
    "firmware": N_("Firmware"),
    "floor": N_("Floor"),
    "floors": N_("Floors"),
    "holder": N_("Account holder"),
    "inn": N_("Taxpayer number"),
    "install_act": N_("Act of installation"),
    "installed_by": N_("Installed by"),
    "installed_on": N_("Installed on"),
    "kind": N_("Kind"),
    "made_year": N_("Year of make"),
    "manufacturer": N_("Manufacturer"),
    "model": N_("Model"),
    "name": N_("Name"),
    "number": N_("Number"),
    "opened_on": N_("Opened on"),
    "organisation": N_("Organisation"),
    "organisation_id": N_("Organisation"),
    "place": N_("Place on the meter"),
    "premises_id": N_("Premises"),
    "pulse_weight": N_("Pulse weight"),
    "q3": N_("Q3 (Qn), units an hour"),
    "qmax": N_("Qmax, units an hour"),
    "qstart": N_("Starting flow, units an hour"),
    "remark": N_("Remark"),
    "removal_act": N_("Act of removal"),
    "removal_reason": N_("Reason of the removal"),
    "removed_act": N_("Act"),
    "removed_by": N_("Removed by"),
    "removed_on": N_("Removed on"),
    "residents": N_("Residents"),
    "resource": N_("Resource"),
    "result": N_("Result"),
    "role": N_("Role"),
    "serial": N_("Serial number"),
    "service_id": N_("ИЖКУ"),
    "set_act": N_("Act"),
    "set_by": N_("Set by"),
    "set_on": N_("Set on"),
    "share": N_("Part of the premises"),
    "start_value": N_("Value at the installation"),
    "state": N_("State"),
    "timezone": N_("Time zone"),
    "type_number": N_("Number of the type in the state register"),
    "unified_number": N_("Unified account (ЕЛС)"),
    "valid_until": N_("Valid until"),
    "verification_months": N_("Interval between verifications, months"),
    "verification_until": N_("Verified until"),
    "verified_on": N_("Verified on"),
}
STATES = {
    "ordered": N_("ordered"),
    "in_stock": N_("in stock"),
    "installed": N_("installed"),
    "commissioned": N_("in service"),
    "failed": N_("out of order"),
    "removed": N_("removed"),
    "repair": N_("under repair"),
    "written_off": N_("written off"),
    "planned": N_("planned"),
    "under_construction": N_("under construction"),
    "closed": N_("closed"),
    "demolished": N_("demolished"),
}
BUILDING_KINDS = {
    "house": N_("block of flats"),
    "school": N_("school"),
    "boiler_house": N_("boiler house"),
    "heat_point": N_("heat point"),
    "office": N_("office"),
    "other": N_("other"),
}
EVENTS = {
    "created": N_("entered"),
    "changed": N_("changed"),
    "deleted": N_("deleted"),
    "installed": N_("installed"),
    "commissioned": N_("taken into service"),
    "removed": N_("removed"),
    "meter_installed": N_("meter installed"),
    "meter_removed": N_("meter removed"),
    "sealed": N_("seal set"),
    "unsealed": N_("seal taken off"),
    "verified": N_("verified"),
    "note": N_("note"),
    "seal_deleted": N_("entry of a seal deleted"),
    "verification_deleted": N_("entry of a verification deleted"),
    "installation_deleted": N_("entry of an installation deleted"),
}
SUBJECTS = {
    "organisation": N_("organisation"),
    "building": N_("house"),
    "entrance": N_("entrance"),
    "premises": N_("premises"),
    "account": N_("account"),
    "point": N_("metering point"),
    "meter": N_("meter"),
}
GAR_STATES = {
    "bound": N_("bound"),
    "old": N_("old GUID"),
    "closed": N_("GUID not valid any more"),
    "unknown": N_("GUID not in the loaded regions"),
    "found": N_("found by its address"),
    "unbound": N_("not bound"),
}
RESULTS = {"fit": N_("fit"), "unfit": N_("unfit")}

TABLES = {
    "registry_field": FIELDS,
    "registry_state": STATES,
    "building_kind": BUILDING_KINDS,
    "registry_event": EVENTS,
    "registry_subject": SUBJECTS,
    "verification_result": RESULTS,
    "gar_state": GAR_STATES,
}
VALUES = {"state": STATES, "kind": BUILDING_KINDS, "result": RESULTS}
"""Columns of the journal whose values are words."""


def word(table: Mapping[str, str], key: str) -> str:
    """What ``key`` is called; the key itself when the table does not know it."""
    return gettext(table[key]) if key in table else key


def choices(table: Mapping[str, str], keys: Iterable[str]) -> list[tuple[str, str]]:
    """Keys with their words, for a choice."""
    return [(key, word(table, key)) for key in keys]


def plain(value: Any) -> str:
    """A value as a field of a form takes it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = format(neat(value), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value.isoformat() if isinstance(value, date) else str(value)


def journal_value(line: Any, which: str) -> str:
    """What a column was before or became after a line of the journal."""
    value = getattr(line, which)
    table = PREMISES if line.subject == "premises" and line.field == "kind" else VALUES.get(line.field, {})
    return "–" if value in (None, "") else word(table, value)


def enter(env: Environment) -> None:
    """Filters and functions for the templates of the registry."""
    for name, table in TABLES.items():
        env.filters[name] = partial(word, table)
    env.filters["plain"] = plain
    env.filters["journal_value"] = journal_value
    for name, table in (("states", STATES), ("building_kinds", BUILDING_KINDS), ("premises_kinds", PREMISES)):
        env.filters[name] = partial(choices, table)
    env.globals["field_names"] = lambda: {name: gettext(title) for name, title in FIELDS.items()}
    env.globals["results"] = lambda: choices(RESULTS, RESULTS)
    env.globals["entrance_names"] = lambda entrances: [(str(id_), one.number) for id_, one in entrances.items()]

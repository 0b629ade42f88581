"""Forms of the registry as tables: the fields of each, and what its button does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from appserver import registry
from appserver.api.problems import Problem, from_registry
from appserver.api.router import Call
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.registry import Note

_BLANKS = str.maketrans("", "", " \u00a0\u202f")


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of a form."""

    name: str
    type: str = "text"
    """``text``, ``date``, ``whole``, ``decimal`` or ``choice``."""
    required: bool = False
    nullable: bool = False
    """An empty one is None in the database, else the empty text."""

    def read(self, text: str) -> Any:
        """What was typed, as the registry takes it; the registry says what is wrong with the rest."""
        if text == "":
            return None if self.nullable or self.type != "text" else ""
        if self.type == "whole":
            return int(text) if text.removeprefix("-").isdecimal() and len(text) < 12 else text
        if self.type == "decimal":
            return text.translate(_BLANKS).replace(",", ".")[:40]
        return text


@dataclass(frozen=True, slots=True)
class Form:
    """A form: ``act(db, id, values, note)`` does it; what stands in ``NOTES`` goes into the journal's line."""

    name: str
    entries: tuple[Entry, ...]
    act: Callable[[Database, int, dict[str, Any], Note], Any]
    keeps: bool = False
    """An empty field empties the column; else it is left out."""


NOTES = ("effective_on", "document", "remark")
SINCE = (Entry("effective_on", "date"), Entry("document"), Entry("remark"))


def _create(kind: str, owner: str) -> Callable[[Database, int, dict[str, Any], Note], Any]:
    return lambda db, id_, values, note: registry.create(db, kind, {owner: id_, **values}, note)


def _update(kind: str) -> Callable[[Database, int, dict[str, Any], Note], Any]:
    return lambda db, id_, values, note: registry.update(db, kind, id_, values, note)


def _remove(db: Database, id_: int, values: dict[str, Any], note: Note) -> Any:
    facts = {name: values[name] for name in ("removal_act", "removed_by", "removal_reason") if name in values}
    removed_on, end_value = _day("removed_on", values), _value("end_value", values)
    return registry.remove(db, id_, removed_on, end_value, facts=facts, note=note)


def _install(db: Database, id_: int, values: dict[str, Any], note: Note) -> Any:
    """A meter, found by its serial number, at the point ``id_``."""
    point = registry.get(db, "point", id_)
    found = registry.page(db, "meter", serial=values.get("serial") or "", resource=point.resource).items
    if len(found) != 1:
        said = "several meters have it; do it by import or API" if found else "no meter of this resource has it"
        raise RegistryError("invalid", "serial", f"serial: {said}.")
    facts = {name: values[name] for name in ("install_act", "installed_by") if name in values}
    installed_on, start_value = _day("installed_on", values), _value("start_value", values)
    return registry.install(db, id_, found[0].id, installed_on, start_value, facts=facts, note=note)


def _day(field: str, values: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(values.get(field) or "")
    except ValueError as error:
        raise RegistryError("invalid", field, f"{field}: must be a date such as 2026-11-01.") from error


def _value(field: str, values: Mapping[str, Any]) -> Decimal:
    try:
        return Decimal(values.get(field) or "")
    except ArithmeticError as error:
        raise RegistryError("invalid", field, f"{field}: must not be empty.") from error


_OPTIONAL = {"nullable": True}
FORMS = {
    form.name: form
    for form in (
        Form(
            "passport",
            (
                Entry("serial", required=True), Entry("manufacturer"), Entry("model"), Entry("type_number"),
                Entry("made_year", "whole"), Entry("dn_mm", "whole"), Entry("q3", "decimal"), Entry("qmax", "decimal"),
                Entry("qstart", "decimal"), Entry("accuracy"), Entry("digits", "whole", required=True),
                Entry("pulse_weight", "decimal"), Entry("verification_months", "whole"), Entry("firmware"),
            ),
            _update("meter"),
            keeps=True,
        ),
        Form("state", (Entry("state", "choice", required=True), *SINCE), _update("meter")),
        Form(
            "verification",
            (
                Entry("verified_on", "date", required=True), Entry("valid_until", "date"), Entry("result", "choice"),
                Entry("arshin_number"), Entry("document"), Entry("organisation"),
            ),
            _create("verification", "meter_id"),
        ),
        Form(
            "seal",
            (
                Entry("number", required=True), Entry("place"), Entry("set_on", "date", required=True),
                Entry("set_by"), Entry("set_act"),
            ),
            _create("seal", "meter_id"),
        ),
        Form(
            "unseal",
            (Entry("removed_on", "date", required=True), Entry("removed_by"), Entry("removed_act")),
            _update("seal"),
        ),
        Form(
            "acts",
            (
                Entry("install_act"), Entry("installed_by"), Entry("commissioned_on", "date"), Entry("commission_act"),
                Entry("removal_act"), Entry("removed_by"), Entry("removal_reason"),
            ),
            _update("installation"),
            keeps=True,
        ),
        Form(
            "remove",
            (
                Entry("removed_on", "date", required=True), Entry("end_value", "decimal", required=True),
                Entry("removal_act"), Entry("removed_by"), Entry("removal_reason"),
            ),
            _remove,
        ),
        Form(
            "install",
            (
                Entry("serial", required=True), Entry("installed_on", "date", required=True),
                Entry("start_value", "decimal", required=True), Entry("install_act"), Entry("installed_by"),
            ),
            _install,
        ),
        Form(
            "building",
            (
                Entry("address", required=True), Entry("kind", "choice"), Entry("timezone", required=True),
                Entry("built_year", "whole"), Entry("floors", "whole"), Entry("fias_guid"),
            ),
            _update("building"),
            keeps=True,
        ),
        Form("building_state", (Entry("state", "choice", required=True), *SINCE), _update("building")),
        Form(
            "entrance",
            (Entry("number", required=True), Entry("floors", "whole"), Entry("door_code")),
            _create("entrance", "building_id"),
        ),
        Form(
            "new_premises",
            (
                Entry("number", required=True), Entry("kind", "choice"), Entry("account_number"),
                Entry("area_m2", "decimal"), Entry("residents", "whole"), Entry("entrance_id", "choice"),
                Entry("floor", "whole"),
            ),
            _create("premises", "building_id"),
        ),
        Form(
            "premises",
            (
                Entry("kind", "choice"), Entry("area_m2", "decimal"), Entry("residents", "whole"),
                Entry("entrance_id", "choice"), Entry("floor", "whole"), *SINCE,
            ),
            _update("premises"),
            keeps=True,
        ),
        Form(
            "account",
            (
                Entry("number", required=True), Entry("holder"), Entry("unified_number"), Entry("service_id"),
                Entry("share", "decimal"), Entry("opened_on", "date"),
            ),
            _create("account", "premises_id"),
        ),
        Form("close_account", (Entry("closed_on", "date", required=True),), _update("account")),
    )
}  # fmt: skip


def note_form(subject: str) -> Form:
    """A line that somebody writes into the journal."""
    entries = (Entry("remark", required=True), Entry("effective_on", "date"), Entry("document"))
    return Form("note", entries, lambda db, id_, values, note: registry.add_note(db, subject, id_, note))


async def send(call: Call, form: Form, id_: int, sent: Mapping[str, str]) -> None:
    """Do what the form says. Raises Problem."""
    values: dict[str, Any] = {}
    for entry in form.entries:
        text = sent.get(entry.name, "").strip()
        if entry.required and not text:
            raise from_registry(RegistryError("invalid", entry.name, f"{entry.name}: must not be empty."))
        if text or (form.keeps and entry.name not in NOTES):
            values[entry.name] = _whole_of_choice(entry, entry.read(text))
    columns = {name: value for name, value in values.items() if name not in NOTES or form.name == "verification"}
    said = {name: value for name, value in values.items() if name not in columns}
    if "effective_on" in said:
        said["effective_on"] = _day("effective_on", said)
    note = Note(call.who.name, at_us=call.services.clock(), **said)
    db = call.services.database
    try:
        await db.run(form.act, db, id_, columns, note)
    except RegistryError as error:
        if error.code == "not_found":
            raise Problem(404, error.detail) from error
        raise from_registry(error) from error
    await call.audit(f"registry.{form.name}", f"{form.name}/{id_}", {"fields": sorted(columns)})


def _whole_of_choice(entry: Entry, value: Any) -> Any:
    return int(value) if entry.name.endswith("_id") and isinstance(value, str) and value.isdecimal() else value

"""Rules as an organisation's own data: the norms of its town, its limits, its graph, each with its source and its term.

They stand above the files. A rule is never changed, so that a statement's version always means the same: it is
withdrawn, or one that begins later takes its place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from sqlmodel import select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.models import Organisation, OwnRule
from appserver.rules.book import Rule, RuleBook, book_of, first_fault
from appserver.rules.kinds import KINDS

FILE = "—"
"""What stands for the file of a rule that is in no file."""
MAX_RULES = 10_000


def rule_book(db: Database, connection: sqlite3.Connection | None = None) -> RuleBook:
    """All rules that hold for a database: the package's, those of the files beside it, and those entered."""
    book = book_of(db.path.parent)
    rows = _rows(connection or db.connection)
    return replace(book, rules=(*book.rules, *rows)) if rows else book


def _rows(connection: sqlite3.Connection) -> list[Rule]:
    found = []
    addresses: dict[int, frozenset[str]] = {}
    for id_, organisation, kind, name, address, first, last, source, note, values in connection.execute(
        "SELECT id, organisation_id, kind, name, address, valid_from, valid_to, source, note, says FROM own_rule"
        " WHERE withdrawn_at_us IS NULL ORDER BY id"
    ).fetchall():
        if organisation is not None and organisation not in addresses:
            houses = connection.execute("SELECT address FROM building WHERE organisation_id = ?", (organisation,))
            addresses[organisation] = frozenset(row[0] for row in houses)
        found.append(
            Rule(
                kind,
                name,
                address,
                _day(first),
                None if last is None else _day(last),
                source,
                KINDS[kind].model_validate_json(values),
                FILE,
                own=True,
                note=note,
                entered_id=id_,
                organisation_id=organisation,
                addresses=None if organisation is None else addresses[organisation],
            )
        )
    return found


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def enter_rule(
    db: Database,
    kind: str,
    values: Mapping[str, Any],
    *,
    valid_from: date,
    source: str,
    author: str,
    now_us: int,
    valid_to: date | None = None,
    organisation_id: int | None = None,
    name: str = "",
    address: str = "",
    note: str = "",
) -> OwnRule:
    """Enter a rule. Raises RegistryError ``invalid`` that names the field, ``conflict`` when one begins that day already."""
    model = KINDS.get(kind)
    if model is None:
        raise RegistryError("invalid", "kind", f"There is no kind of rule {kind!r}; use one of {', '.join(KINDS)}.")
    if not source.strip():
        raise RegistryError("invalid", "source", "A rule needs its source: the decree or the decision it rests on.")
    if valid_to is not None and valid_to <= valid_from:
        raise RegistryError("invalid", "valid_to", "The end must be after the start; it is excluded.")
    try:
        checked = model.model_validate(_exact(values))
    except ValidationError as error:
        place, said = first_fault(error)
        raise RegistryError("invalid", place, f"{place}: {said}") from error
    resource = getattr(checked, "resource", "")
    with db.writing() as session:
        if organisation_id is not None and session.get(Organisation, organisation_id) is None:
            raise RegistryError("not_found", "organisation_id", f"There is no organisation {organisation_id}.")
        for other in session.exec(select(OwnRule).where(OwnRule.kind == kind, OwnRule.valid_from == valid_from)).all():
            same = (other.organisation_id, other.name, other.address) == (organisation_id, name, address.strip())
            if other.withdrawn_at_us is None and same and json.loads(other.says).get("resource", "") == resource:
                raise RegistryError(
                    "conflict",
                    "valid_from",
                    f"Rule {other.id} says this from {valid_from} on; withdraw that one first.",
                )
        row = OwnRule(
            organisation_id=organisation_id,
            kind=kind,
            name=name.strip(),
            address=address.strip(),
            valid_from=valid_from,
            valid_to=valid_to,
            source=source.strip(),
            note=note.strip(),
            says=checked.model_dump_json(exclude_unset=True),
            author=author,
            recorded_at_us=now_us,
        )
        session.add(row)
        session.flush()
        return row


def _exact(value: Any) -> Any:
    """Numbers of JSON as decimals: 4.2 is not 4.2000000000000002."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: _exact(each) for key, each in value.items()}
    return [_exact(each) for each in value] if isinstance(value, list | tuple) else value


def withdraw_rule(db: Database, rule_id: int, author: str, reason: str, now_us: int) -> None:
    """Take a rule back: from now on it counts for nothing. Raises RegistryError ``not_found``, ``invalid``, ``conflict``."""
    if not reason.strip():
        raise RegistryError("invalid", "reason", "Say why the rule is withdrawn.")
    with db.transaction() as connection:
        row = connection.execute("SELECT withdrawn_at_us FROM own_rule WHERE id = ?", (rule_id,)).fetchone()
        if row is None:
            raise RegistryError("not_found", "id", f"There is no rule {rule_id}.")
        if row[0] is not None:
            raise RegistryError("conflict", "id", f"Rule {rule_id} is withdrawn already.")
        connection.execute(
            "UPDATE own_rule SET withdrawn_at_us = ?, withdrawn_by = ?, withdrawn_reason = ? WHERE id = ?",
            (now_us, author, reason.strip(), rule_id),
        )


def entered_rules(db: Database) -> Sequence[OwnRule]:
    """Everything that was ever entered, newest first, withdrawn ones too."""
    with db.reading() as session:
        return session.exec(select(OwnRule).order_by(OwnRule.id.desc()).limit(MAX_RULES)).all()  # type: ignore[union-attr]

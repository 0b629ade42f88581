"""Create, read, change, delete and list, the same way for every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, select

from appserver.db import Database, broken_rule, contains, plain_connection
from appserver.errors import RegistryError
from appserver.metering.readings import read_cursor, write_cursor
from appserver.metering.store import rebuild
from appserver.models import Installation, Point, Premises, Reading
from appserver.models.lifecycle import SUBJECTS
from appserver.registry.hooks import AFTER, CHECKS, after_delete
from appserver.registry.journal import SYSTEM, Note, record, record_changes, row_of
from appserver.registry.kinds import KINDS, Kind

MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; ``next_cursor`` is None on the last one."""

    items: list[Any]
    next_cursor: str | None


def kind_of(name: str) -> Kind:
    """The row of the table; a name that is not there is a mistake of ours (KeyError)."""
    return KINDS[name]


def checked(kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored. Raises RegistryError ``invalid`` that names the first field at fault."""
    stored = {}
    for field, value in values.items():
        check = kind.columns.get(field)
        if check is None:
            known = ", ".join(kind.columns)
            raise RegistryError("invalid", field, f"{field}: a {kind.noun} has no such field; it has {known}.")
        try:
            stored[field] = check(value)
        except ValueError as error:
            raise RegistryError("invalid", field, f"{field}: {error}.") from error
    return stored


def fetch(session: Session, name: str, id_: int) -> Any:
    """One object within a session. Raises RegistryError ``not_found``."""
    kind = kind_of(name)
    found = session.get(kind.model, id_)
    if found is None:
        raise RegistryError("not_found", "id", f"There is no {kind.noun} {id_}.")
    return found


def create(db: Database, name: str, values: Mapping[str, Any], note: Note = SYSTEM) -> Any:
    """A new object. Raises RegistryError ``invalid`` or ``conflict``."""
    with db.writing() as session:
        return create_in(session, name, values, note)


def create_in(session: Session, name: str, values: Mapping[str, Any], note: Note = SYSTEM) -> Any:
    """:func:`create` within a session."""
    kind = kind_of(name)
    for field in kind.required:
        if values.get(field) is None:
            raise RegistryError("invalid", field, f"{field}: a {kind.noun} needs one.")
    stored = checked(kind, values)
    _check_references(session, kind, stored)
    _check_place(session, name, stored)
    created: Any = kind.model(**stored)
    before = dict.fromkeys(stored)
    if name in CHECKS:
        CHECKS[name](session, created, before, note)
    session.add(created)
    _flush(session, kind, stored)
    if name in SUBJECTS:
        record(session, name, created.id, "created", note, after=row_of(created))
    if name in AFTER:
        AFTER[name](session, created, before, note)
        session.flush()
    return created


def get(db: Database, name: str, id_: int) -> Any:
    """One object by its id. Raises RegistryError ``not_found``."""
    with db.reading() as session:
        return fetch(session, name, id_)


def update(db: Database, name: str, id_: int, changes: Mapping[str, Any], note: Note = SYSTEM) -> Any:
    """Change the given columns. Raises RegistryError ``not_found``, ``invalid`` or ``conflict``."""
    with db.writing() as session:
        return update_in(session, name, id_, changes, note)


def update_in(session: Session, name: str, id_: int, changes: Mapping[str, Any], note: Note = SYSTEM) -> Any:
    """:func:`update` within a session."""
    kind = kind_of(name)
    found = fetch(session, name, id_)
    stored = checked(kind, changes)
    for field in kind.required:
        if field in stored and stored[field] is None:
            raise RegistryError("invalid", field, f"{field}: a {kind.noun} needs one.")
    _check_references(session, kind, stored)
    _check_place(session, name, {**found.model_dump(), **stored})
    _check_frozen(session, name, found, stored)
    differing = {field: value for field, value in stored.items() if getattr(found, field) != value}
    before = {field: getattr(found, field) for field in differing}
    with session.no_autoflush:
        for field, value in differing.items():
            setattr(found, field, value)
        if name in CHECKS:
            CHECKS[name](session, found, before, note)
    session.add(found)
    _flush(session, kind, stored)
    if name in SUBJECTS:
        record_changes(session, name, id_, {field: (before[field], getattr(found, field)) for field in before}, note)
    if name in AFTER and before:
        AFTER[name](session, found, before, note)
        session.flush()
    _recompute(session, name, found, differing)
    return found


def delete(db: Database, name: str, id_: int, note: Note = SYSTEM) -> None:
    """Delete something that has no history. Raises RegistryError ``not_found`` or ``conflict``."""
    kind = kind_of(name)
    with db.writing() as session:
        found = fetch(session, name, id_)
        for model, column, called in kind.referrers:
            if session.exec(select(model).where(getattr(model, column) == id_).limit(1)).first() is not None:
                raise RegistryError("conflict", "", f"The {kind.noun} has {called}. {kind.advice}")
        if _has_readings(session, name, found):
            raise RegistryError("conflict", "", f"The {kind.noun} has readings. {kind.advice}")
        point_id = found.point_id if name == "installation" else None
        if point_id is not None:
            session.execute(text("DELETE FROM boundary WHERE installation_id = :id"), {"id": id_})
        _delete_own(session, kind, id_)
        if name in SUBJECTS:
            record(session, name, id_, "deleted", note, before=row_of(found))
        session.delete(found)
        session.flush()
        after_delete(session, name, found, note)
        if point_id is not None:
            rebuild(raw(session), point_id)


def page(
    db: Database,
    name: str,
    *,
    q: str = "",
    cursor: str = "",
    limit: int = 100,
    only: str = "",
    hidden: Sequence[str] = (),
    **filters: Any,
) -> Page:
    """Objects in the order of their ids; ``filters`` are columns of the kind's table, None leaves one out.

    ``only`` is a condition of ours (:func:`appserver.auth.places.listed`), never text from outside;
    ``hidden`` are columns that the caller may neither search nor filter by.
    """
    kind = kind_of(name)
    model: Any = kind.model
    query: Any = select(model).order_by(model.id)
    for column, value in filters.items():
        if column in hidden and value is not None:
            raise RegistryError("invalid", column, f"{column}: you may not see it.")
        if column not in kind.filters:
            known = ", ".join(kind.filters)
            raise RegistryError("invalid", column, f"{column}: this list is narrowed by {known or 'nothing'} only.")
        if value is not None:
            query = query.where(getattr(model, column) == value)
    if q.strip():
        pattern = contains(q)
        query = query.where(
            or_(
                *(
                    func.fold(getattr(model, column)).like(pattern, escape="\\")
                    for column in kind.search
                    if column not in hidden
                )
            )
        )
    if only:
        query = query.where(text(only))
    if cursor:
        query = query.where(model.id > read_cursor(cursor, 1)[0])
    limit = max(1, min(limit, MAX_LIMIT))
    with db.reading() as session:
        found = list(session.exec(query.limit(limit + 1)).all())
    return Page(found[:limit], write_cursor([found[limit - 1].id]) if len(found) > limit else None)


raw = plain_connection


def _delete_own(session: Session, kind: Kind, id_: int) -> None:
    """What is nothing without its owner goes with it; the journal keeps its lines."""
    for model, column in kind.owns:
        for part in session.exec(select(model).where(getattr(model, column) == id_)).all():
            session.delete(part)
    session.flush()


# ------------------------------------------------------------------------------------------------------------- checks


def _check_references(session: Session, kind: Kind, stored: Mapping[str, Any]) -> None:
    for column, other in kind.references:
        value = stored.get(column)
        if value is not None and session.get(kind_of(other).model, value) is None:
            raise RegistryError("invalid", column, f"{column}: there is no {kind_of(other).noun} {value}.")


def _check_place(session: Session, name: str, values: Mapping[str, Any]) -> None:
    """A point in premises belongs to the building of the premises."""
    if name == "point" and values.get("premises_id") is not None:
        premises = session.get(Premises, values["premises_id"])
        if premises is not None and premises.building_id != values["building_id"]:
            raise RegistryError("invalid", "premises_id", "premises_id: these premises are in another building.")


def _check_frozen(session: Session, name: str, found: SQLModel, stored: Mapping[str, Any]) -> None:
    """What readings hang on may not change under them."""
    frozen = {"meter": ("resource",), "point": ("resource", "building_id", "role"), "premises": ("building_id",)}
    for field in frozen.get(name, ()):
        if field in stored and stored[field] != getattr(found, field) and _is_used(session, name, found):
            raise RegistryError("conflict", field, f"{field}: it cannot change any more; {kind_of(name).advice}")


def _is_used(session: Session, name: str, found: Any) -> bool:
    kind = kind_of(name)
    return any(
        session.exec(select(model).where(getattr(model, column) == found.id).limit(1)).first() is not None
        for model, column, _ in kind.referrers
    )


def _has_readings(session: Session, name: str, found: Any) -> bool:
    if name == "meter":
        return session.exec(select(Reading).where(Reading.meter_id == found.id).limit(1)).first() is not None
    if name == "installation":
        until = found.removed_at_us or 2**62
        readings = select(Reading).where(
            Reading.meter_id == found.meter_id,
            Reading.measured_at_us >= found.installed_at_us,
            Reading.measured_at_us <= until,
        )
        return session.exec(readings.limit(1)).first() is not None
    if name == "channel":
        query = text(
            "SELECT 1 FROM reading r JOIN uplink u ON u.id = r.uplink_id WHERE r.meter_id = :meter AND u.dev_eui = :eui"
            " AND u.received_at_us >= :from_us LIMIT 1"
        )
        row = session.execute(query, {"meter": found.meter_id, "eui": found.dev_eui, "from_us": found.valid_from_us})
        return row.first() is not None
    return False


def _recompute(session: Session, name: str, found: Any, differing: Mapping[str, Any]) -> None:
    """Boundary values depend on the building's zone and on what the meter's register can do."""
    if name == "building" and "timezone" in differing:
        points = session.exec(select(Point.id).where(Point.building_id == found.id)).all()
    elif name == "meter" and differing.keys() & {"digits", "qmax"}:
        points = session.exec(select(Installation.point_id).where(Installation.meter_id == found.id)).all()
    else:
        return
    connection = raw(session)
    for point_id in {int(point) for point in points if point is not None}:
        rebuild(connection, point_id)


_UNIQUE = {
    "organisation.name": ("name", "There is an organisation of this name already."),
    "building.address": ("address", "There is a building with this address already."),
    "entrance.building_id, entrance.number": ("number", "The building has an entrance of this number already."),
    "account.premises_id, account.number": ("number", "The premises have an account of this number already."),
    "meter_seal.meter_id, meter_seal.number, meter_seal.set_on": (
        "number",
        "The meter got a seal of this number on that day already.",
    ),
    "meter_verification.meter_id, meter_verification.verified_on": (
        "verified_on",
        "The meter was verified on that day already; change that verification.",
    ),
    "premises.building_id, premises.number": ("number", "The building has premises of this number already."),
    "meter.serial, meter.manufacturer, meter.model": (
        "serial",
        "There is a meter with this serial number, manufacturer and model already.",
    ),
}


def _flush(session: Session, kind: Kind, stored: Mapping[str, Any]) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        message = broken_rule(error)
        for columns, (field, detail) in _UNIQUE.items():
            if message.endswith(columns):
                raise RegistryError("conflict", field, f"{detail} ({field} = {stored.get(field)})") from error
        raise RegistryError("conflict", "", f"The {kind.noun} does not fit what is there: {message}.") from error

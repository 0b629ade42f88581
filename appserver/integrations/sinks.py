"""Sinks as people manage them, and what did not reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.integrations.addresses import AllowList, check_url
from appserver.integrations.chirpstack import EVENT_TYPES as DEVICE_TYPES
from appserver.integrations.metering import METERING_TYPES
from appserver.models import Sink
from appserver.models.sinks import SINK_KINDS
from appserver.mqtt import check_broker

EVENT_TYPES = (*DEVICE_TYPES, *METERING_TYPES)
FORBIDDEN_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a sink did not take."""

    id: int
    sink_id: int
    event_id: int
    dev_eui: str
    type: str
    time_us: int
    attempts: int
    error: str


FIELDS = {"kind", "name", "url", "headers", "events", "enabled"}
BROKER_FIELDS = {"username", "password", "ca", "commands"}


def _check(values: Mapping[str, Any], allow: AllowList, kind: str, ca: str = "") -> dict[str, Any]:
    known = (FIELDS - {"headers"}) | BROKER_FIELDS if kind == "mqtt" else FIELDS
    for field in values:
        if field not in known:
            raise RegistryError("invalid", field, f"{field}: an integration has no such field.")
    if "kind" in values and values["kind"] not in SINK_KINDS:
        raise RegistryError("invalid", "kind", f"kind: must be one of {', '.join(SINK_KINDS)}.")
    if "name" in values and not str(values["name"]).strip():
        raise RegistryError("invalid", "name", "name: must not be empty.")
    if "url" in values or "ca" in values:
        url = str(values.get("url", ""))
        problem = check_broker(url, str(values.get("ca", ca)), allow) if kind == "mqtt" else check_url(url, allow)
        if problem:
            raise RegistryError("invalid", "url", f"url: {problem}.")
    for name, value in dict(values.get("headers", {})).items():
        if name.casefold() in FORBIDDEN_HEADERS or not name.isascii() or any(c in f"{name}{value}" for c in "\r\n\0"):
            raise RegistryError("invalid", "headers", f"headers: {name!r} cannot be set.")
    if "events" in values:
        words = str(values["events"]).split()
        unknown = [word for word in words if word not in EVENT_TYPES]
        if unknown or not words:
            raise RegistryError("invalid", "events", f"events: must be words of {' '.join(EVENT_TYPES)}.")
    return dict(values)


def create_sink(db: Database, values: Mapping[str, Any], now_us: int, allow: AllowList | None = None) -> Sink:
    """A new sink; it gets events from now on. Raises RegistryError ``invalid`` or ``conflict``."""
    checked = _check(values, allow or AllowList(), str(values.get("kind", "webhook")))
    for field in ("name", "url"):
        if field not in checked:
            raise RegistryError("invalid", field, f"{field}: an integration needs one.")
    with db.writing() as session:
        if session.exec(select(Sink).where(Sink.name == checked["name"])).first() is not None:
            raise RegistryError("conflict", "name", "name: there is an integration of this name already.")
        last = session.connection().exec_driver_sql("SELECT coalesce(max(id), 0) FROM outbox").scalar_one()
        sink = Sink(**checked, created_at_us=now_us, cursor=last)
        session.add(sink)
        session.flush()
        return sink


def update_sink(db: Database, sink_id: int, changes: Mapping[str, Any], allow: AllowList | None = None) -> Sink:
    """Change a sink. Raises RegistryError ``not_found`` or ``invalid``."""
    with db.writing() as session:
        sink = session.get(Sink, sink_id)
        if sink is None:
            raise RegistryError("not_found", "id", f"There is no integration {sink_id}.")
        if changes.get("kind", sink.kind) != sink.kind:
            raise RegistryError("invalid", "kind", "kind: it cannot change; make another integration.")
        told = {"url": sink.url, **changes} if "ca" in changes else changes
        checked = _check(told, allow or AllowList(), sink.kind, sink.ca)
        for field, value in checked.items():
            setattr(sink, field, value)
        session.add(sink)
        return sink


def delete_sink(db: Database, sink_id: int) -> None:
    """Delete a sink and what waits for it."""
    with db.transaction() as connection:
        connection.execute("DELETE FROM delivery WHERE sink_id = ?", (sink_id,))
        if not connection.execute("DELETE FROM sink WHERE id = ?", (sink_id,)).rowcount:
            raise RegistryError("not_found", "id", f"There is no integration {sink_id}.")


def sinks(db: Database) -> list[Sink]:
    """All sinks."""
    with db.reading() as session:
        return list(session.exec(select(Sink).order_by(Sink.name)).all())


def pending_count(db: Database, sink_id: int) -> int:
    """How many events wait for a sink."""
    rows = db.rows(
        "SELECT (SELECT count(*) FROM delivery WHERE sink_id = ?1 AND state = 'pending')"
        " + (SELECT count(*) FROM outbox WHERE id > (SELECT cursor FROM sink WHERE id = ?1))",
        (sink_id,),
    )
    return int(rows[0][0] or 0)


def dead_letters(
    db: Database, sink_id: int | None = None, before: int | None = None, limit: int = 100
) -> list[DeadLetter]:
    """Events that were given up, newest first."""
    rows = db.rows(
        "SELECT d.id, d.sink_id, o.event_id, o.dev_eui, o.type, o.time_us, d.attempts, d.error FROM delivery d"
        " JOIN outbox o ON o.id = d.outbox_id WHERE d.state = 'dead' AND (?1 IS NULL OR d.sink_id = ?1)"
        " AND (?2 IS NULL OR d.id < ?2) ORDER BY d.id DESC LIMIT ?3",
        (sink_id, before, limit),
    )
    return [DeadLetter(*row) for row in rows]


def retry(db: Database, delivery_id: int) -> None:
    """Send a dead letter again. Raises RegistryError ``not_found``."""
    with db.transaction() as connection:
        changed = connection.execute(
            "UPDATE delivery SET state = 'pending', attempts = 0, next_attempt_at_us = 0 WHERE id = ? AND state = 'dead'",
            (delivery_id,),
        ).rowcount
        if not changed:
            raise RegistryError("not_found", "id", f"There is no dead letter {delivery_id}.")


def replay(db: Database, sink_id: int, since_us: int) -> int:
    """Send a sink everything again from a moment on, as far as the outbox still has it. Returns how many events."""
    with db.transaction() as connection:
        first = connection.execute("SELECT min(id) FROM outbox WHERE time_us >= ?", (since_us,)).fetchone()[0]
        if first is None:
            return 0
        if not connection.execute("UPDATE sink SET cursor = ? WHERE id = ?", (first - 1, sink_id)).rowcount:
            raise RegistryError("not_found", "id", f"There is no integration {sink_id}.")
        return int(connection.execute("SELECT count(*) FROM outbox WHERE id >= ?", (first,)).fetchone()[0])

"""The outbox: events as sinks get them, written with the readings they belong to."""

from __future__ import annotations

from typing import Any

import msgspec

from appserver.db import Connection
from internalapi.messages import Event


def wanted_types(connection: Connection) -> frozenset[str]:
    """Event types that any enabled sink takes."""
    rows = connection.execute("SELECT events FROM sink WHERE enabled")
    return frozenset(word for (events,) in rows for word in events.split())


def enqueue(connection: Connection, event: Event, body: dict[str, Any]) -> None:
    """Put an event behind the others. Needs an open transaction."""
    connection.execute(
        "INSERT INTO outbox (event_id, dev_eui, type, time_us, body) VALUES (?, ?, ?, ?, ?)",
        (event.id, event.dev_eui, event.type, event.time_us, msgspec.json.encode(body).decode()),
    )


def enqueue_own(connection: Connection, event_id: int, event_type: str, time_us: int, body: dict[str, Any]) -> None:
    """Put an event of metering itself behind the others; those of one ``event_id`` keep their order.

    Needs an open transaction.
    """
    connection.execute(
        "INSERT INTO outbox (event_id, dev_eui, type, time_us, body) VALUES (?, ?, ?, ?, ?)",
        (event_id, f"{event_type}:{event_id}", event_type, time_us, msgspec.json.encode(body).decode()),
    )


def prune(connection: Connection, older_than_us: int) -> int:
    """Forget events that every sink has taken. Needs an open transaction."""
    cursor = connection.execute(
        "DELETE FROM outbox WHERE time_us < ? AND id <= coalesce((SELECT min(cursor) FROM sink WHERE enabled), id)"
        " AND id NOT IN (SELECT outbox_id FROM delivery)",
        (older_than_us,),
    )
    return cursor.rowcount

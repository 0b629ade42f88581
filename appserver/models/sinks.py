"""Integrations: one outbox, many sinks."""

from typing import Any

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field, SQLModel

SINK_KINDS = ("webhook", "mqtt")
DELIVERY_STATES = ("pending", "dead")


class Sink(SQLModel, table=True):
    """Somewhere events go."""

    id: int | None = Field(default=None, primary_key=True)
    kind: str = "webhook"
    name: str = Field(unique=True)
    url: str
    headers: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Extra request headers; shown masked."""
    username: str = ""
    password: str = ""
    ca: str = ""
    """Certificate authority of an MQTT broker, PEM; empty: those of the system."""
    commands: bool = False
    """Whether downlinks are taken from ``…/command/down`` of the broker."""
    events: str = "up join ack txack status log"
    """Event types it takes, separated by spaces."""
    enabled: bool = True
    cursor: int = 0
    """Last row of the outbox that was given to this sink (delivered, queued behind its device, or dead)."""
    created_at_us: int
    delivered: int = 0
    delivered_at_us: int | None = None
    error: str = ""
    """What went wrong last, empty after a success."""


class OutboxEvent(SQLModel, table=True):
    """An event as sinks get it: rendered once, in the order of the network's ids."""

    __tablename__ = "outbox"

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(index=True)
    """Id of the network's event, stable over repetitions: receivers may deduplicate by it."""
    dev_eui: str
    type: str
    time_us: int
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Delivery(SQLModel, table=True):
    """An event that a sink has not taken yet: waiting for its next attempt, or given up (``dead``)."""

    __table_args__ = (Index("ux_delivery", "sink_id", "outbox_id", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    sink_id: int = Field(foreign_key="sink.id")
    outbox_id: int = Field(foreign_key="outbox.id")
    dev_eui: str
    state: str = "pending"
    attempts: int = 0
    next_attempt_at_us: int = 0
    error: str = ""

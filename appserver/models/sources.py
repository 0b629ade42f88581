"""Where readings come from beside the radio, what each delivery brought, and what was refused."""

from typing import Any

from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

SOURCE_KINDS = ("mqtt", "http")
REFUSED_STATES = ("open", "taken", "dropped")


class Source(SQLModel, table=True):
    """A broker that readings are taken from, or a program that pushes them in a form of its own."""

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    """``mqtt``: we subscribe; ``http``: it posts to ``/api/v1/sources/{id}/push``."""
    name: str = Field(unique=True)
    url: str = ""
    """``mqtt://host:1883`` or ``mqtts://host:8883``."""
    username: str = ""
    password: str = ""
    ca: str = ""
    """Certificate authority of the broker, PEM; empty: those of the system."""
    topics: str = ""
    """Topic filters, separated by spaces."""
    mapping: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Where in a message what stands (``sources.mapping.Mapping``)."""
    origin: str = "gprs"
    """What its readings count as: ``gprs``, ``import`` or ``gis``."""
    enabled: bool = True
    created_at_us: int
    connected: bool = False
    error: str = ""
    """What is wrong with the connection, empty when nothing is."""
    seen_at_us: int | None = None
    """Its last message."""
    taken: int = 0
    """Readings that were new."""
    refused: int = 0


class Intake(SQLModel, table=True):
    """A delivery of readings: a request, a file, a handful of messages. Written with the readings that it brought."""

    __table_args__ = (
        UniqueConstraint("author", "idempotency_key", name="uq_intake_key"),
        Index("ix_intake_received", "received_at_us"),
    )

    id: int | None = Field(default=None, primary_key=True)
    channel: str
    """``http``, ``mqtt`` or ``file``."""
    source_id: int | None = Field(default=None, index=True)
    name: str = ""
    """Name of the file or topic."""
    author: str
    """As it stands at the readings."""
    idempotency_key: str | None = None
    digest: str = ""
    """SHA-256 of what was delivered."""
    received_at_us: int
    """As it stands at the readings."""
    new: int
    known: int
    errors: list[Any] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Pairs of a row's number and what was wrong with it."""


class RefusedReading(SQLModel, table=True):
    """A reading that was not taken, as it was told, so that it can be tried again."""

    __tablename__ = "refused_reading"
    __table_args__ = (Index("ix_refused_state", "state", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    intake_id: int = Field(foreign_key="intake.id", index=True)
    number: int
    """Of the row or item in its delivery, as its sender counts."""
    origin: str
    told: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    fingerprint: str = Field(unique=True)
    """The same thing told again by the same author is one row."""
    reason: str
    state: str = "open"
    """``open``, ``taken`` or ``dropped``."""
    attempts: int = 1
    seen_at_us: int
    """When it was last told."""
    settled_at_us: int | None = None

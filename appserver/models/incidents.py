"""Incidents, who was told of them, and what the network said of its gateways."""

from typing import Any

from sqlalchemy import JSON, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel


class Incident(SQLModel, table=True):
    """Something that is wrong, from its start to its end. Of one kind and subject at most one is open.

    It names what it belongs to without a reference: an incident outlives the meter that is deleted.
    """

    __table_args__ = (
        UniqueConstraint("kind", "subject", "started_at_us", name="uq_incident"),
        Index(
            "ux_incident_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("ended_at_us IS NULL"),
            postgresql_where=text("ended_at_us IS NULL"),
        ),
        Index("ix_incident_building", "building_id", "started_at_us"),
        Index("ix_incident_meter", "meter_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str
    """``meter:12``, ``gateway:00…``: what tells incidents of a kind apart."""
    building_id: int | None = Field(default=None)
    premises_id: int | None = Field(default=None)
    point_id: int | None = Field(default=None)
    meter_id: int | None = Field(default=None)
    dev_eui: str = ""
    gateway_eui: str = ""
    severity: str
    started_at_us: int
    ended_at_us: int | None = None
    seen_at_us: int
    """The last round that found it."""
    evidence: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    rule: str = ""
    """Version of the limits that made it."""
    acknowledged_at_us: int | None = None
    acknowledged_by: str = ""


class IncidentComment(SQLModel, table=True):
    """What somebody said of an incident."""

    __tablename__ = "incident_comment"

    id: int | None = Field(default=None, primary_key=True)
    incident_id: int = Field(foreign_key="incident.id", index=True)
    at_us: int
    author: str
    text: str


class Subscription(SQLModel, table=True):
    """Who is told of which incidents, by which way."""

    id: int | None = Field(default=None, primary_key=True)
    channel: str
    """``email``, ``telegram`` (a webhook that takes ``sendMessage``) or ``page``."""
    role: str = "viewer"
    """For ``page``: the least role whose pages point it out; for ``email`` without an address: whose people get it."""
    building_id: int | None = Field(default=None)
    """None: all buildings, gateways too."""
    kinds: str = ""
    """Kinds separated by spaces; empty: all."""
    severity: str = "info"
    """The least that is told."""
    target: str = ""
    """Mail address, or URL of the webhook; empty: the addresses of all people with the role."""
    chat: str = ""
    """``chat_id`` of the webhook."""
    language: str = "ru"
    digest_minutes: int = 10
    """After a message the next one waits so long and carries all that came up meanwhile."""
    told_at_us: int = 0
    """When the last message went out."""
    enabled: bool = True
    created_at_us: int


class Notice(SQLModel, table=True):
    """An incident on its way to a subscription; written with the incident, removed never, so that one may ask."""

    __table_args__ = (
        UniqueConstraint("incident_id", "subscription_id", "change", "at_us", name="uq_notice"),
        Index(
            "ix_notice_waiting",
            "next_attempt_at_us",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    incident_id: int = Field(foreign_key="incident.id", index=True)
    subscription_id: int = Field(foreign_key="subscription.id", index=True)
    change: str
    """``opened`` or ``closed``."""
    at_us: int
    state: str = "pending"
    """``pending``, ``sent`` or ``dead``."""
    attempts: int = 0
    next_attempt_at_us: int = 0
    sent_at_us: int | None = None
    error: str = ""


class GatewayLog(SQLModel, table=True):
    """What the network said of a gateway: ``GATEWAY_OFFLINE``, ``GATEWAY_ONLINE`` …"""

    __tablename__ = "gateway_log"
    __table_args__ = (UniqueConstraint("gateway_eui", "at_us", "code", name="uq_gateway_log"),)

    id: int | None = Field(default=None, primary_key=True)
    gateway_eui: str
    at_us: int
    level: str
    code: str
    text: str

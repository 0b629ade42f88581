"""What people outside are granted, how residents sign in, what they write, photos, and what was told to ГИС ЖКХ."""

import datetime as dt

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from appserver.models.registry import one_of

TICKET_KINDS = ("question", "fault", "charge", "verification", "other")
TICKET_STATES = ("new", "in_work", "done", "rejected")
GIS_STATES = ("sent", "accepted", "refused")


class RoleGrant(SQLModel, table=True):
    """What a member may do, where, for which resource and days; see :mod:`appserver.auth.grants`."""

    __tablename__ = "role_grant"

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True)
    party: str
    organisation_id: int | None = Field(default=None, foreign_key="organisation.id")
    building_id: int | None = Field(default=None, foreign_key="building.id")
    premises_id: int | None = Field(default=None, foreign_key="premises.id", index=True)
    address: str = ""
    """An address and all below it: ``г. Сатка, ул. Бакальская``."""
    resource: str = ""
    since: dt.date | None = None
    """First day whose data may be seen."""
    until: dt.date | None = None
    """First day whose data may not be seen any more."""
    operations: str = ""
    """Words; empty: all that the party may."""
    created_at_us: int = Field(sa_type=BigInteger)
    created_by: str = ""


class ResidentCode(SQLModel, table=True):
    """A code with which a resident signs in once, beside the number of the account."""

    __tablename__ = "resident_code"

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True)
    account_number: str = Field(index=True)
    code_hash: str
    """argon2id in PHC form."""
    created_at_us: int = Field(sa_type=BigInteger)
    expires_at_us: int = Field(sa_type=BigInteger)
    used_at_us: int | None = Field(default=None, sa_type=BigInteger)
    created_by: str = ""
    """Login of who gave it out; empty: sent by mail on the resident's wish."""


class Photo(SQLModel, table=True):
    """A photo of a meter, of its act, or of a reading: a JPEG of our own making, so it says nothing of its camera."""

    __table_args__ = (Index("ix_photo_meter", "meter_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    meter_id: int = Field(foreign_key="meter.id")
    taken_on: dt.date
    """The day it is of, in the building's calendar."""
    reading_at_us: int | None = Field(default=None, sa_type=BigInteger)
    """Moment of the reading that it shows; None: it belongs to the passport."""
    width: int
    height: int
    sha256: str
    data: bytes = Field(sa_type=LargeBinary)
    author: str
    uploaded_at_us: int = Field(sa_type=BigInteger)
    remark: str = ""


class Ticket(SQLModel, table=True):
    """What a resident asks of those who look after the house. Only its author and they see it."""

    __table_args__ = (
        one_of("kind", TICKET_KINDS),
        one_of("state", TICKET_STATES),
        Index("ix_ticket_premises", "premises_id", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    premises_id: int = Field(foreign_key="premises.id")
    user_id: int | None = Field(default=None, foreign_key="user.id", index=True)
    kind: str = "question"
    state: str = "new"
    subject: str
    created_at_us: int = Field(sa_type=BigInteger)
    changed_at_us: int = Field(sa_type=BigInteger)


class TicketMessage(SQLModel, table=True):
    """A line of the talk about a ticket."""

    __tablename__ = "ticket_message"

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    at_us: int = Field(sa_type=BigInteger)
    author: str
    by_staff: bool = False
    state: str = ""
    """The state that the ticket got with it, if it did."""
    text: str = Field(default="", sa_type=Text)


class Announcement(SQLModel, table=True):
    """Something said to all residents of a building, or of an organisation's buildings."""

    id: int | None = Field(default=None, primary_key=True)
    organisation_id: int | None = Field(default=None, foreign_key="organisation.id")
    building_id: int | None = Field(default=None, foreign_key="building.id", index=True)
    title: str
    text: str = Field(sa_type=Text)
    first_day: dt.date
    last_day: dt.date | None = None
    created_at_us: int = Field(sa_type=BigInteger)
    created_by: str


class GisReading(SQLModel, table=True):
    """A reading that went to ГИС ЖКХ, and what ГИС said of it in column J."""

    __tablename__ = "gis_reading"
    __table_args__ = (
        one_of("state", GIS_STATES),
        UniqueConstraint("building_id", "number", "resource", "month"),
    )

    id: int | None = Field(default=None, primary_key=True)
    building_id: int = Field(foreign_key="building.id")
    meter_id: int = Field(foreign_key="meter.id")
    number: str
    """The meter's number in ГИС."""
    resource: str
    month: dt.date
    values_told: str
    """As they stand in the file, joined by spaces."""
    taken_on: dt.date
    sent_at_us: int = Field(sa_type=BigInteger)
    sent_by: str
    state: str = "sent"
    said: str = ""
    """Column J as it came back."""
    said_at_us: int | None = Field(default=None, sa_type=BigInteger)

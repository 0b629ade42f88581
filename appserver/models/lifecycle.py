"""What happens to buildings, flats and meters over the years: entrances, accounts, seals, verifications, the journal."""

import datetime as dt
from decimal import Decimal

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal
from appserver.models.registry import one_of

SUBJECTS = ("organisation", "building", "entrance", "premises", "account", "point", "meter")
"""What the journal is about. A seal, a verification, an installation is an event of its meter."""

METER_STATES: dict[str, tuple[str, ...]] = {
    "ordered": ("in_stock", "written_off"),
    "in_stock": ("ordered", "repair", "written_off"),
    "installed": ("commissioned", "failed"),
    "commissioned": ("failed",),
    "failed": ("commissioned",),
    "removed": ("in_stock", "repair", "written_off"),
    "repair": ("in_stock", "written_off"),
    "written_off": (),
}
"""State of a meter → states that a person may set. An installation makes ``installed``, a removal ``removed``."""

BUILDING_STATES: dict[str, tuple[str, ...]] = {
    "planned": ("under_construction", "commissioned"),
    "under_construction": ("commissioned", "planned"),
    "commissioned": ("closed", "demolished", "under_construction"),
    "closed": ("commissioned", "demolished"),
    "demolished": (),
}
"""State of a building → the states that may follow."""


class Entrance(SQLModel, table=True):
    """An entrance (подъезд) of a building."""

    __table_args__ = (UniqueConstraint("building_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    building_id: int = Field(foreign_key="building.id")
    number: str
    floors: int | None = None
    door_code: str = ""


class Account(SQLModel, table=True):
    """A personal account (лицевой счёт) of premises; communal flats have several."""

    __table_args__ = (UniqueConstraint("premises_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    premises_id: int = Field(foreign_key="premises.id")
    number: str = Field(index=True)
    unified_number: str = ""
    """ЕЛС of ГИС ЖКХ."""
    service_id: str = ""
    """ИЖКУ: identifier of housing services in ГИС ЖКХ."""
    holder: str = ""
    """Who pays. Personal data: 152-ФЗ."""
    share: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Part of the premises, from 0 to 1; None is all of it."""
    opened_on: dt.date | None = None
    closed_on: dt.date | None = None


class MeterSeal(SQLModel, table=True):
    """A seal on a meter, from the day it was set until it was taken off."""

    __tablename__ = "meter_seal"
    __table_args__ = (UniqueConstraint("meter_id", "number", "set_on"),)

    id: int | None = Field(default=None, primary_key=True)
    meter_id: int = Field(foreign_key="meter.id")
    number: str = Field(index=True)
    place: str = ""
    """Where on the meter it sits: union nut, body, radio module."""
    set_on: dt.date
    set_by: str = ""
    """Person or organisation."""
    set_act: str = ""
    """Number and date of the act."""
    removed_on: dt.date | None = None
    removed_by: str = ""
    removed_act: str = ""
    remark: str = ""


class MeterVerification(SQLModel, table=True):
    """One verification (поверка) of a meter. Earlier ones stay; the newest gives the meter's own two dates."""

    __tablename__ = "meter_verification"
    __table_args__ = (
        one_of("result", ("fit", "unfit")),
        UniqueConstraint("meter_id", "verified_on"),
    )

    id: int | None = Field(default=None, primary_key=True)
    meter_id: int = Field(foreign_key="meter.id")
    verified_on: dt.date | None = None
    """None when only the end of the term is known."""
    valid_until: dt.date | None = None
    """Last day on which it holds; None for an unfit meter, and for a fit one whose interval is not known."""
    result: str = "fit"
    document: str = ""
    """Number of the certificate or of the notice of unfitness."""
    arshin_number: str = ""
    """Number of the record in ФГИС «Аршин»."""
    organisation: str = ""
    remark: str = ""


class RegistryEvent(SQLModel, table=True):
    """A line of the journal of the registry. Append-only: the database refuses UPDATE and DELETE."""

    __tablename__ = "registry_event"
    __table_args__ = (Index("ix_registry_event_subject", "subject", "subject_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    recorded_at_us: int
    """When it was written down."""
    effective_on: dt.date
    """Since when it is so, in the world."""
    actor: str
    subject: str
    subject_id: int
    event: str
    """``created``, ``changed``, ``deleted``, ``installed``, ``removed``, ``sealed``, ``unsealed``, ``verified``, ``note``."""
    field: str = ""
    """The column that ``changed``."""
    before: str | None = None
    after: str | None = None
    """New value of the column; of ``created`` and ``deleted`` the whole row as JSON."""
    document: str = ""
    remark: str = ""

"""What is decided about readings after they came in: corrections, closed periods, sealed days. All of it append-only."""

import datetime as dt
from decimal import Decimal

from sqlalchemy import BigInteger, Column, ForeignKey, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal
from appserver.models.registry import RESOURCES, one_of


class Correction(SQLModel, table=True):
    """A person's word on what a register showed at a moment; the last one for a moment holds.

    It does not touch the readings: what was believed on any day before can still be told.
    """

    __table_args__ = (Index("ix_correction_key", "meter_id", "register", "measured_at_us"),)

    id: int | None = Field(default=None, primary_key=True)
    meter_id: int = Field(foreign_key="meter.id")
    register_name: str = Field(sa_column_kwargs={"name": "register"})
    measured_at_us: int
    value: Decimal | None = Field(default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "value_micro"})
    """None: nothing that is known for this moment counts."""
    supersedes: Decimal | None = Field(
        default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "supersedes_micro"}
    )
    """What counted before; None when nothing did."""
    supersedes_id: int | None = Field(default=None, sa_column=Column(ForeignKey("correction.id"), nullable=True))
    """The correction before this one."""
    author: str
    reason: str
    document: str = ""
    """Act, letter or photograph it rests on."""
    recorded_at_us: int = Field(index=True)


class Unsealed(SQLModel, table=True):
    """Keys of readings whose day is not sealed yet; filled by a trigger, emptied by the seal."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    recorded_at_us: int = Field(primary_key=True)
    meter_id: int = Field(primary_key=True)
    register_name: str = Field(primary_key=True, sa_column_kwargs={"name": "register"})
    measured_at_us: int = Field(primary_key=True)
    value: Decimal = Field(primary_key=True, sa_type=MicroDecimal, sa_column_kwargs={"name": "value_micro"})


class DaySeal(SQLModel, table=True):
    """The seal of everything recorded on one UTC day: digests of its rows, chained to the seal before."""

    __tablename__ = "day_seal"

    sequence: int = Field(primary_key=True)
    """Place in the chain, from 1."""
    day: int = Field(index=True)
    """Days since 1970-01-01 of ``recorded_at_us``; a day has a second seal when our clock was set back over it."""
    readings: int
    corrections: int
    digests: bytes
    """Sixteen bytes a row: readings in the order of their key, then corrections."""
    previous: str
    """Root of the seal before, empty for the first."""
    root: str
    """SHA-256 in hex over the previous root, the day and the digests."""
    sealed_at_us: int


class PeriodClose(SQLModel, table=True):
    """A building's resource in a period, as it was charged. A further revision of it is a further row."""

    __tablename__ = "period_close"
    __table_args__ = (
        one_of("resource", RESOURCES),
        UniqueConstraint("building_id", "resource", "first_day", "revision"),
    )

    id: int | None = Field(default=None, primary_key=True)
    building_id: int = Field(foreign_key="building.id")
    resource: str
    first_day: dt.date
    last_day: dt.date
    """Excluded."""
    revision: int = 1
    author: str
    reason: str = ""
    closed_at_us: int


class PeriodValue(SQLModel, table=True):
    """What one point counted in a closed period."""

    __tablename__ = "period_value"
    __table_args__ = ({"sqlite_with_rowid": False},)

    close_id: int = Field(foreign_key="period_close.id", primary_key=True)
    point_id: int = Field(foreign_key="point.id", primary_key=True)
    start: Decimal | None = Field(default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "start_micro"})
    end: Decimal | None = Field(default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "end_micro"})
    volume: Decimal | None = Field(default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "volume_micro"})
    quality: str


class PeriodResult(SQLModel, table=True):
    """A part of what was frozen when a period was closed: a balance, the charges, a printed statement."""

    __tablename__ = "period_result"

    close_id: int = Field(foreign_key="period_close.id", primary_key=True)
    part: str = Field(primary_key=True)
    """``summary``, ``balance/day`` …, ``print/individual/ru`` …"""
    content: bytes
    """JSON, compressed by zlib."""
    sha256: str
    """Of the JSON, in hex."""


class PeriodReopen(SQLModel, table=True):
    """A closing that holds no more: who opened the period again, and why."""

    __tablename__ = "period_reopen"

    close_id: int = Field(foreign_key="period_close.id", primary_key=True)
    author: str
    reason: str
    reopened_at_us: int = Field(sa_type=BigInteger)


class PeriodRecalculation(SQLModel, table=True):
    """What a closed period charges for an earlier one that turned out wrong after its own closing."""

    __tablename__ = "period_recalculation"
    __table_args__ = ({"sqlite_with_rowid": False},)

    close_id: int = Field(foreign_key="period_close.id", primary_key=True)
    """The closing that charges it."""
    of_close_id: int = Field(foreign_key="period_close.id", primary_key=True)
    point_id: int = Field(foreign_key="point.id", primary_key=True)
    volume: Decimal = Field(sa_type=MicroDecimal, sa_column_kwargs={"name": "volume_micro"})

"""Archives of heat calculators, and the queries by which devices are asked for what is missing."""

from typing import Any

from sqlalchemy import JSON, Column, Index, text
from sqlmodel import Field, SQLModel


class CalculatorRecord(SQLModel, table=True):
    """What a calculator had stored for a moment; packets of one record are one row. Derived: frames make it again."""

    __tablename__ = "calculator_record"
    __table_args__ = ({"sqlite_with_rowid": False},)

    dev_eui: str = Field(primary_key=True)
    subsystem: int = Field(primary_key=True)
    circuit: str = Field(primary_key=True)
    """``heat1``, ``heat2``, ``water``, ``compact`` or ``electricity``."""
    archive: str = Field(primary_key=True)
    """``hour_interval``, ``day_interval``, ``day_integral`` …"""
    at_us: int = Field(primary_key=True)
    """The end of its hour or day."""
    fields: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """Field with its unit → decimal as text; what was not told is not there."""
    received_at_us: int
    uplink_id: int | None = Field(default=None, foreign_key="uplink.id")


class ArchiveQuery(SQLModel, table=True):
    """A boundary value that a device was asked for. Of one device at most one is under way."""

    __tablename__ = "archive_query"
    __table_args__ = (
        Index("ix_archive_query_meter", "meter_id", "planned_at_us"),
        Index("ix_archive_query_point", "point_id", "day"),
        Index(
            "ux_archive_query_open",
            "dev_eui",
            unique=True,
            sqlite_where=text("state IN ('planned', 'queued')"),
            postgresql_where=text("state IN ('planned', 'queued')"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    dev_eui: str
    meter_id: int
    point_id: int
    day: int
    """Day number of the boundary."""
    subsystem: int = 1
    """Of the device's subsystems the one that was asked."""
    archive: str
    device_time: str
    """The stamp asked for, on the device's clock."""
    f_port: int
    data: bytes
    state: str
    """``planned``, ``queued``, ``answered``, ``no_record``, ``failed`` or ``expired``."""
    reason: str = ""
    planned_at_us: int
    expires_at_us: int
    settled_at_us: int | None = None
    queue_item_id: str = ""

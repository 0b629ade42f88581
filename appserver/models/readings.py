"""What came from the radio and what was made of it."""

from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Index, Text, text
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal

QUALITIES = ("archive", "measured", "manual", "import", "server_time")
"""How well a reading knows its value and its moment, best first.

``archive``: the device stored it at that moment; ``measured``: the value while sending, on the device's clock;
``server_time``: the device's clock is not to be believed, the moment is that of reception.
"""

SOURCES = ("lorawan", "gprs", "manual", "import", "gis")
UPLINK_STATES = ("decoded", "unbound", "undecoded")


class EventCursor(SQLModel, table=True):
    """How far a consumer of the network's events has come."""

    __tablename__ = "event_cursor"

    name: str = Field(primary_key=True)
    event_id: int
    taken_at_us: int


class Uplink(SQLModel, table=True):
    """An uplink as it was handed over. It stays, so that it can be decoded again."""

    __table_args__ = (
        Index("ux_uplink", "dev_eui", "session_id", "f_cnt", "received_at_us", unique=True),
        Index("ix_uplink_received", "received_at_us"),
        Index(
            "ix_uplink_open",
            "state",
            "id",
            sqlite_where=text("state <> 'decoded'"),
            postgresql_where=text("state <> 'decoded'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    event_id: int
    frame_id: int
    """Row of the network's frame log, 0 when there is none."""
    dev_eui: str
    session_id: int
    f_cnt: int
    f_port: int | None
    data: bytes
    received_at_us: int
    codec: str
    """``name@version`` that made the readings; only the name while it is not decoded."""
    state: str
    """``decoded``, ``unbound`` (decoded, yet a channel belongs to no meter) or ``undecoded``."""
    reason: str = ""
    """Why it is not decoded, or which channels are unbound."""
    values: dict[str, Any] | None = Field(default=None, sa_column=Column("object", JSON, nullable=True))
    """What the codec found, for people and integrations; the column is called ``object``."""


class Reading(SQLModel, table=True):
    """A value of a meter's register at a moment. Append-only: the database refuses UPDATE and DELETE.

    The key is (meter, register, moment, value): the same reading twice is one row, a different value for the same
    moment is a further row, and the two are in conflict.
    """

    __table_args__ = (
        Index(
            "ix_reading_conflict",
            "meter_id",
            "register",
            "measured_at_us",
            sqlite_where=text('"conflict" = 1'),
            postgresql_where=text("conflict"),
        ),
        {"sqlite_with_rowid": False},
    )

    meter_id: int = Field(foreign_key="meter.id", primary_key=True)
    register_name: str = Field(primary_key=True, sa_column_kwargs={"name": "register"})
    measured_at_us: int = Field(primary_key=True)
    """The moment it counts for."""
    value: Decimal = Field(primary_key=True, sa_type=MicroDecimal, sa_column_kwargs={"name": "value_micro"})
    quality: str
    source: str
    received_at_us: int
    recorded_at_us: int
    """When it was written here."""
    device_time_us: int | None = None
    """The device's own clock for this value, whether believed or not."""
    uplink_id: int | None = Field(default=None, foreign_key="uplink.id")
    codec: str = ""
    """``name@version``."""
    author: str = ""
    """Who entered it, for manual and imported readings."""
    conflict: bool = False
    """Another value for this key was there before."""
    clock_error_us: int | None = None
    """Device clock minus server clock as far as it was known when the reading came; None: nothing compared them.

    Of a reading on server time: 0 when it was read while sending, None when it may be of any age.
    """


class LastReading(SQLModel, table=True):
    """The newest reading of each register, kept by the ingest for lists."""

    __tablename__ = "last_reading"
    __table_args__ = ({"sqlite_with_rowid": False},)

    meter_id: int = Field(foreign_key="meter.id", primary_key=True)
    register_name: str = Field(primary_key=True, sa_column_kwargs={"name": "register"})
    measured_at_us: int
    value: Decimal = Field(sa_type=MicroDecimal, sa_column_kwargs={"name": "value_micro"})
    quality: str
    received_at_us: int


class Boundary(SQLModel, table=True):
    """The principal register of a point at the midnight that begins ``day``. Derived: it can be computed again.

    ``total_micro`` is the point's consumption since its first installation, across replacements and rollovers: the
    difference of two of them is the consumption between the two midnights. ``breaks`` counts the jumps that nothing
    explains; where it differs, the difference misses something.
    """

    __table_args__ = (
        Index(
            "ix_boundary_day",
            "day",
            "point_id",
            postgresql_include=["value_micro", "total_micro", "breaks", "quality", "event"],
        ),
        Index(
            "ix_boundary_event",
            "point_id",
            "day",
            sqlite_where=text("event <> ''"),
            postgresql_where=text("event <> ''"),
        ),
        {"sqlite_with_rowid": False},
    )

    point_id: int = Field(foreign_key="point.id", primary_key=True)
    day: int = Field(primary_key=True)
    """Days since 1970-01-01 of the calendar date."""
    installation_id: int = Field(foreign_key="installation.id")
    value: Decimal = Field(sa_type=MicroDecimal, sa_column_kwargs={"name": "value_micro"})
    total: Decimal = Field(sa_type=MicroDecimal, sa_column_kwargs={"name": "total_micro"})
    breaks: int = 0
    quality: str
    """``measured``, ``interpolated``, ``server_time`` or ``disputed``."""
    event: str = ""
    """What happened since the previous boundary: ``rollover``, ``reset``, ``small_decrease``, ``reverse_flow`` …"""
    clock_us: int | None = None
    """Error of the clock that stamped the value (device minus server), None when nothing compared it."""
    spread: Decimal | None = Field(default=None, sa_type=MicroDecimal, sa_column_kwargs={"name": "spread_micro"})
    """How far the value may be off by interpolation and by the register's own step; None: computed before this was kept."""


class DeviceState(SQLModel, table=True):
    """What the application knows of a device beside its readings."""

    __tablename__ = "device_state"

    dev_eui: str = Field(primary_key=True)
    clock_zone: str = ""
    """Zone of the device's clock: IANA name, ``UTC``, or empty for the zone of the building it serves."""
    commissioned_at_us: int = 0
    """A device clock before this moment is not believed."""
    last_uplink_at_us: int | None = Field(default=None, index=True)
    last_reading_at_us: int | None = None
    battery_pct: int | None = None
    temperature_c: int | None = None
    clock_offset_us: int | None = None
    """Device clock minus receive time, from the last frame that tells the time of sending."""
    clock_seen_at_us: int | None = None
    """When that frame came; None when it told the time without minutes: no measure to correct a clock by."""
    flags: str = ""
    """Flags of the last frame, separated by spaces."""
    battery_at_us: int | None = None
    """When the frame came that told the battery; so with the others: what an earlier frame says changes nothing."""
    temperature_at_us: int | None = None
    clock_at_us: int | None = None
    flags_at_us: int | None = None


class DeviceFlag(SQLModel, table=True):
    """A flag that a device raised, from the first frame with it to the first without."""

    __tablename__ = "device_flag"
    __table_args__ = (Index("ix_device_flag", "dev_eui", "flag", "raised_at_us"),)

    id: int | None = Field(default=None, primary_key=True)
    dev_eui: str
    flag: str
    raised_at_us: int
    cleared_at_us: int | None = None
    uplink_id: int | None = Field(default=None, sa_column=Column(ForeignKey("uplink.id"), nullable=True))
    note: str = Field(default="", sa_type=Text)


class PointHours(SQLModel, table=True):
    """A month of a point by the hour, packed; see :mod:`appserver.metering.hours.packed`. Derived."""

    __tablename__ = "point_hours"

    point_id: int = Field(foreign_key="point.id", primary_key=True)
    month: int = Field(primary_key=True)
    """Of its building's calendar, counted from January of the year 0."""
    volumes: bytes
    """Eight bytes an hour: millionths of the unit, biased by 2⁶³, little-endian."""
    ranks: bytes
    """A byte an hour: the place of its quality in ``QUALITY_ORDER``."""


class HoursDue(SQLModel, table=True):
    """Hours that are to be computed again, noted by whatever moved them."""

    __tablename__ = "hours_due"
    __table_args__ = ({"sqlite_with_rowid": False},)

    point_id: int = Field(primary_key=True)
    first_day: int = Field(primary_key=True)
    """Days since 1970-01-01 UTC that something new was said of."""
    last_day: int = Field(primary_key=True)
    """Included."""

"""The registry: who, where, which metering point, which meter, since when, over which radio channel."""

import datetime as dt
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal, TextDecimal

ORGANISATION_KINDS = ("management_company", "resource_supplier", "homeowners", "developer", "service", "other")
BUILDING_KINDS = ("house", "school", "boiler_house", "heat_point", "office", "other")
PREMISES_KINDS = ("flat", "nonresidential", "common")
RESOURCES = ("cold_water", "hot_water", "electricity", "heat", "gas")
ROLES = ("individual", "house", "node")
DIRECTIONS = ("in", "out")

UNITS = {"cold_water": "m³", "hot_water": "m³", "gas": "m³", "electricity": "kWh", "heat": "Gcal"}
"""Unit of a resource's register."""

REGISTERS = {"cold_water": "volume", "hot_water": "volume", "gas": "volume", "electricity": "energy", "heat": "heat"}
"""Principal register of a resource: the one that balances and statements count."""


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """A constraint that keeps a word column to its list."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=f"ck_{column}")


class Organisation(SQLModel, table=True):
    """A management company (УК), a resource supplier (РСО), a homeowners' association (ТСЖ) …"""

    __table_args__ = (one_of("kind", ORGANISATION_KINDS),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str = "management_company"
    name: str = Field(index=True, unique=True)
    inn: str = ""
    """Taxpayer number."""


class Building(SQLModel, table=True):
    """A house, a school, a boiler house: everything that has an address and a zone of its own."""

    __table_args__ = (one_of("kind", BUILDING_KINDS),)

    id: int | None = Field(default=None, primary_key=True)
    organisation_id: int = Field(foreign_key="organisation.id", index=True)
    address: str = Field(index=True, unique=True)
    fias_guid: str = ""
    """GUID of the house in ФИАС (OBJECTGUID in ГАР)."""
    timezone: str = "Europe/Moscow"
    """IANA name: its midnights bound the days of the building."""
    kind: str = "house"
    state: str = Field(default="commissioned", sa_column_kwargs={"server_default": "commissioned"})
    """Where it is in its life: a key of :data:`appserver.models.lifecycle.BUILDING_STATES`."""
    built_year: int | None = None
    floors: int | None = None


class Premises(SQLModel, table=True):
    """A flat, an office, a common room. ``number`` is what stands on the door."""

    __table_args__ = (one_of("kind", PREMISES_KINDS), UniqueConstraint("building_id", "number"))

    id: int | None = Field(default=None, primary_key=True)
    building_id: int = Field(foreign_key="building.id")
    number: str
    kind: str = "flat"
    account_number: str = Field(default="", index=True)
    """Лицевой счёт."""
    area_m2: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    residents: int | None = None
    entrance_id: int | None = Field(default=None, foreign_key="entrance.id")
    floor: int | None = None


class Point(SQLModel, table=True):
    """A metering point. It is permanent: meters come and go."""

    __table_args__ = (
        one_of("resource", RESOURCES),
        one_of("role", ROLES),
        one_of("direction", DIRECTIONS),
        Index("ix_point_building_resource", "building_id", "resource"),
    )

    id: int | None = Field(default=None, primary_key=True)
    building_id: int = Field(foreign_key="building.id")
    premises_id: int | None = Field(default=None, foreign_key="premises.id", index=True)
    resource: str
    role: str = "individual"
    """``individual`` (ИПУ), ``house`` (ОДПУ) or ``node`` of a network."""
    direction: str = "in"
    name: str = ""
    """Tells several points of one resource in one premises apart, e.g. ``kitchen``."""


class Meter(SQLModel, table=True):
    """A meter, whether it hangs somewhere or lies on a shelf."""

    __table_args__ = (
        one_of("resource", RESOURCES),
        UniqueConstraint("serial", "manufacturer", "model"),
        CheckConstraint("digits BETWEEN 1 AND 12", name="ck_digits"),
    )

    id: int | None = Field(default=None, primary_key=True)
    serial: str = Field(index=True)
    manufacturer: str = ""
    model: str = ""
    resource: str
    digits: int = 5
    """Digits before the decimal mark: the register wraps at 10 ** digits."""
    qmax: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Most that can flow in an hour, in units of the resource; None takes the resource's default."""
    qstart: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Flow below which the meter stands still, units an hour; None takes the resource's default."""
    verified_on: dt.date | None = None
    """Of the newest of its verifications, like the next one."""
    verification_until: dt.date | None = Field(default=None, index=True)
    state: str = Field(default="in_stock", sa_column_kwargs={"server_default": "in_stock"})
    """Where it is in its life: a key of :data:`appserver.models.lifecycle.METER_STATES`."""
    type_number: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Number of the approved type in the federal information fund (ФИФ, Госреестр), such as ``61424-15``."""
    made_year: int | None = None
    q3: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Permanent flow (Q3, earlier Qn), units an hour."""
    dn_mm: int | None = None
    """Nominal diameter."""
    accuracy: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """Class of accuracy: ``B``, ``R160``, ``1.0``."""
    verification_months: int | None = None
    """Interval between verifications (МПИ)."""
    pulse_weight: Decimal | None = Field(default=None, sa_type=TextDecimal)
    """Units of the resource a pulse of its output."""
    firmware: str = Field(default="", sa_column_kwargs={"server_default": ""})


class Installation(SQLModel, table=True):
    """A meter at a point, from ``installed_at_us`` (included) to ``removed_at_us`` (excluded, None: still there)."""

    __table_args__ = (
        CheckConstraint("removed_at_us IS NULL OR removed_at_us > installed_at_us", name="ck_removed_after"),
        Index("ix_installation_point", "point_id", "installed_at_us"),
        Index("ix_installation_meter", "meter_id", "installed_at_us"),
        Index(
            "ix_installation_now",
            "installed_at_us",
            sqlite_where=text("removed_at_us IS NULL"),
            postgresql_where=text("removed_at_us IS NULL"),
        ),
        Index(
            "ix_installation_removed",
            "removed_at_us",
            sqlite_where=text("removed_at_us IS NOT NULL"),
            postgresql_where=text("removed_at_us IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    point_id: int = Field(foreign_key="point.id")
    meter_id: int = Field(foreign_key="meter.id")
    installed_on: dt.date
    """Date on the act."""
    installed_at_us: int
    """From when its values count: the start of that day in the building's zone unless the act says more."""
    removed_on: dt.date | None = None
    removed_at_us: int | None = None
    start_value: Decimal = Field(sa_type=MicroDecimal)
    """Principal register at the installation, from the act."""
    end_value: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Principal register at the removal, from the act."""
    ratio: Decimal = Field(default=Decimal(1), sa_type=TextDecimal, sa_column_kwargs={"server_default": "1"})
    """Units a unit of the register: transformer ratio Kтт·Kтн. Another ratio is another installation, by its act."""
    install_act: str = Field(default="", sa_column_kwargs={"server_default": ""})
    installed_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    commissioned_on: dt.date | None = None
    """Date of the act by which its readings are taken for charging (ввод в эксплуатацию)."""
    commission_act: str = Field(default="", sa_column_kwargs={"server_default": ""})
    removal_act: str = Field(default="", sa_column_kwargs={"server_default": ""})
    removed_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    removal_reason: str = Field(default="", sa_column_kwargs={"server_default": ""})


class ModuleChannel(SQLModel, table=True):
    """A channel of a radio module bound to a meter's register.

    ``value = start_value + (raw - start_pulses) * weight``. A module that sends the meter's own register has weight 1
    and both starts 0. The binding holds for frames received from ``valid_from_us`` until ``valid_until_us``.
    """

    __tablename__ = "module_channel"
    __table_args__ = (Index("ix_module_channel_device", "dev_eui", "channel", "valid_from_us"),)

    id: int | None = Field(default=None, primary_key=True)
    dev_eui: str
    """16 lower-case hex digits."""
    channel: int = 1
    meter_id: int = Field(foreign_key="meter.id", index=True)
    register_name: str = Field(default="volume", sa_column_kwargs={"name": "register"})
    """Register of the meter that this channel counts; the column is called ``register``."""
    weight: Decimal = Field(default=Decimal(1), sa_type=TextDecimal)
    """Units of the resource per raw unit (m³ or kWh per pulse)."""
    start_value: Decimal = Field(default=Decimal(0), sa_type=MicroDecimal)
    start_pulses: Decimal = Field(default=Decimal(0), sa_type=MicroDecimal)
    valid_from_us: int = 0
    valid_until_us: int | None = None
    counter_bits: int = Field(default=32, sa_column_kwargs={"server_default": "32"})
    """Width of the module's pulse counter: it wraps at 2 ** bits pulses."""

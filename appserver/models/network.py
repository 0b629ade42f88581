"""Norms with their term and source, and networks: nodes from the source to the house with meters on the edges."""

import datetime as dt
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal
from appserver.models.registry import RESOURCES, one_of

NORM_KINDS = ("person_month", "common_m2_month")
NODE_KINDS = ("source", "trunk", "section", "house")


class Norm(SQLModel, table=True):
    """A norm of consumption: units a person and month, or units a square metre of common rooms and month."""

    __table_args__ = (
        one_of("resource", RESOURCES),
        one_of("kind", NORM_KINDS),
        Index("ix_norm_resource", "resource", "kind", "valid_from"),
    )

    id: int | None = Field(default=None, primary_key=True)
    building_id: int | None = Field(default=None, foreign_key="building.id")
    """None: of all buildings that have none of their own."""
    resource: str
    kind: str
    value: Decimal = Field(sa_type=MicroDecimal)
    valid_from: dt.date
    valid_until: dt.date | None = None
    """Excluded."""
    source: str
    """The act that sets it."""


class NetworkNode(SQLModel, table=True):
    """A source, a trunk, a section or a house: where what flows in should flow out again."""

    __tablename__ = "network_node"
    __table_args__ = (
        one_of("resource", RESOURCES),
        one_of("kind", NODE_KINDS),
        UniqueConstraint("resource", "name"),
    )

    id: int | None = Field(default=None, primary_key=True)
    resource: str
    kind: str
    name: str
    building_id: int | None = Field(default=None, foreign_key="building.id")
    loss_norm_pct: Decimal | None = Field(default=None, sa_type=MicroDecimal)
    """Technical losses that are accepted, per cent of what flows in."""


class NetworkEdge(SQLModel, table=True):
    """A pipe or line between two nodes with the metering point on it."""

    __tablename__ = "network_edge"
    __table_args__ = (CheckConstraint("from_id <> to_id", name="ck_no_loop"), UniqueConstraint("point_id"))

    id: int | None = Field(default=None, primary_key=True)
    from_id: int = Field(foreign_key="network_node.id", index=True)
    to_id: int = Field(foreign_key="network_node.id", index=True)
    point_id: int = Field(foreign_key="point.id")
    owner: str = ""
    """Whose it is: the balance boundary lies where the owner changes."""

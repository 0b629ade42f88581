"""Networks: nodes from the source to the house, with meters on the edges between them."""

from decimal import Decimal

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from appserver.models.columns import MicroDecimal
from appserver.models.registry import RESOURCES, one_of

NODE_KINDS = ("source", "trunk", "section", "house")


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

"""What is kept so that it need not be counted: derived, it can be made again."""

from sqlmodel import Field, SQLModel


class DayTally(SQLModel, table=True):
    """How many points have a boundary value for a day; triggers of ``boundary`` keep it, within the same transaction."""

    __tablename__ = "day_tally"

    day: int = Field(primary_key=True)
    known: int


class HouseHours(SQLModel, table=True):
    """The hours of a building's day that is over, as the balance tells them; gone when something changes in them."""

    __tablename__ = "house_hours"
    __table_args__ = ({"sqlite_with_rowid": False},)

    building_id: int = Field(foreign_key="building.id", primary_key=True)
    resource: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    hours: bytes
    """See :mod:`appserver.metering.hours`."""

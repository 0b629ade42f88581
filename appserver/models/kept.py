"""What is kept so that it need not be counted: derived, it can be made again."""

from sqlmodel import Field, SQLModel


class DayTally(SQLModel, table=True):
    """How many points have a boundary value for a day; triggers of ``boundary`` keep it, within the same transaction."""

    __tablename__ = "day_tally"

    day: int = Field(primary_key=True)
    known: int

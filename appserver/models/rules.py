"""Rules that an organisation entered: norms of its town and whatever else differs from the package's."""

import datetime as dt

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Text
from sqlmodel import Field, SQLModel


class OwnRule(SQLModel, table=True):
    """A dated rule with its source. What it says is never changed: it is withdrawn, and another is entered."""

    __tablename__ = "own_rule"
    __table_args__ = (Index("ix_own_rule_kind", "kind", "valid_from"),)

    id: int | None = Field(default=None, primary_key=True)
    organisation_id: int | None = Field(
        default=None, sa_column=Column(ForeignKey("organisation.id"), nullable=True, index=True)
    )
    """Whose buildings it is for; None: everybody's."""
    kind: str
    name: str = ""
    address: str = ""
    """Only buildings whose address contains this."""
    valid_from: dt.date
    valid_to: dt.date | None = None
    """Excluded; None: until further notice, or until one of the same name begins later."""
    source: str
    note: str = ""
    says: str = Field(sa_type=Text)
    """Its values, as JSON."""
    author: str
    recorded_at_us: int = Field(sa_type=BigInteger)
    withdrawn_at_us: int | None = Field(default=None, sa_type=BigInteger)
    withdrawn_by: str = ""
    withdrawn_reason: str = ""

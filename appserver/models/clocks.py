"""Corrections of device clocks by downlink."""

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel


class ClockCorrection(SQLModel, table=True):
    """A step that a device's clock was told to make. Of one device at most one is under way."""

    __tablename__ = "clock_correction"
    __table_args__ = (
        Index("ix_clock_correction_device", "dev_eui", "planned_at_us"),
        Index(
            "ux_clock_correction_open",
            "dev_eui",
            unique=True,
            sqlite_where=text("state IN ('planned', 'queued')"),
            postgresql_where=text("state IN ('planned', 'queued')"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    dev_eui: str
    offset_us: int
    """What was measured: device clock minus server clock."""
    delta_s: int
    """The step that was sent, at most what the command and the rule allow."""
    f_port: int
    data: bytes
    state: str
    """``planned``, ``queued``, ``corrected``, ``unchanged``, ``failed`` or ``expired``."""
    reason: str = ""
    author: str = "system"
    rule: str = ""
    """Version of the rule that asked for it."""
    planned_at_us: int
    expires_at_us: int
    sent_at_us: int | None = None
    """When the network sent it."""
    settled_at_us: int | None = None
    offset_after_us: int | None = None
    """The offset that the next frame with a clock showed."""
    queue_item_id: str = ""

"""What explanations are made of, and what comes out: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.metering.balance import PointInfo
from appserver.models.columns import neat

CAUSES = ("skew", "missing", "unmetered", "start_flow", "reverse", "leak", "theft", "rest")
"""Causes of an imbalance, in the order in which they are shown."""
CONFIDENCES = ("high", "medium", "low")
STAGES = ("raw", "time_base", "gaps_filled", "lost")
"""``raw``: the last value received by each edge of the period counts for the edge. ``time_base``: each value counts for the
moment at which it was measured, as far as values came by themselves. ``gaps_filled``: with what devices were asked for.
``lost``: without what the explanation finds to be not counted."""
_STEP = Decimal("0.001")


def volume(value: float | Decimal) -> Decimal:
    """An estimated volume with the three decimals that a meter shows."""
    return neat(Decimal(value).quantize(_STEP, ROUND_HALF_EVEN))


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason behind a row: ``what`` is a code, the rest are its numbers as far as they apply."""

    what: str
    volume: Decimal | None = None
    """Share of the row that it stands for."""
    point_id: int | None = None
    meter_id: int | None = None
    premises: str = ""
    since: date | None = None
    until: date | None = None
    """Excluded."""
    number: Decimal | None = None
    """Minutes of a clock, days of a gap, units an hour of a flow, units a day of a step: as ``what`` says."""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """What one cause adds to the imbalance; negative where it takes away."""

    cause: str
    volume: Decimal
    bound: Decimal | None = None
    """How far the volume may be off, where that is known."""
    confidence: str = "high"
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """The imbalance as one way of counting sees it."""

    name: str
    imbalance: Decimal | None
    """None when a common meter is not known that way."""
    change: Decimal | None
    """Against the stage before."""
    points: int
    """How many points count otherwise than in the stage before."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An imbalance by its causes: the volumes of the rows add up to it exactly."""

    imbalance: Decimal
    rows: tuple[CauseRow, ...]
    """All causes in the order of ``CAUSES``, ``rest`` last."""
    course: tuple[Stage, ...] = ()
    """How the imbalance became what it is, and what of it is lost; see ``course.STAGES``."""

    def row(self, cause: str) -> CauseRow:
        """The row of a cause."""
        return next(row for row in self.rows if row.cause == cause)

    @property
    def explained_pct(self) -> Decimal | None:
        """Share of the imbalance that has a cause, per cent; None when there is no imbalance."""
        if not self.imbalance:
            return None
        share = 100 - abs(self.row("rest").volume) * 100 / abs(self.imbalance)
        return max(share, Decimal(0)).quantize(Decimal("0.1"), ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point stood at a moment of the period: ``at`` in days since its start."""

    at: float
    total: float
    breaks: int = 0
    origin: bool = False
    """The first installation: nothing was counted before."""


@dataclass(slots=True)
class PointSeries:
    """One point through the period."""

    info: PointInfo
    places: list[Place]
    """In order of time."""
    residents: int | None = None
    before: float | None = None
    """Mean volume a day in the two months before."""
    clock_us: tuple[int | None, int | None] = (0, 0)
    """Error of the clock behind the first and the last place; None: never compared."""
    surplus: list[Decimal | None] = field(default_factory=lambda: [None, None])
    """How much too much it shows at the two places because of its clock, where its own values tell."""
    day_part: list[float | None] = field(default_factory=lambda: [None, None])
    """The same as a part of what flows in a day, by the hours in which the house draws; None: those are not known."""
    turned: set[int] = field(default_factory=set)
    """Days on which its clock went wrong, or right again."""
    clock_bound: Decimal = Decimal(0)
    spread: Decimal = Decimal(0)
    reverse: Decimal = Decimal(0)
    """What its reverse register counted."""
    qstart: Decimal = Decimal(0)
    flags: tuple[str, ...] = ()
    """What its module reported in the period, e.g. ``magnet``."""
    nights: list[float | None] = field(default_factory=list)
    """Flow an hour in the night window of each day, where its register is known at both ends."""


@dataclass(frozen=True, slots=True)
class Unmetered:
    """A premises without a meter of the resource."""

    premises: str
    kind: str
    residents: int | None
    by_norm: float | None = None
    """What the norm says for its residents, a day; None where no norm holds or nobody lives there."""


@dataclass(slots=True)
class HouseSeries:
    """A building's resource through a period of whole days."""

    first_day: date
    days: int
    imbalance: Decimal
    house: list[float | None]
    """What came in each day through the common meters, where they are known at both midnights."""
    mains: list[PointSeries]
    flats: list[PointSeries]
    unmetered: list[Unmetered] = field(default_factory=list)
    house_nights: list[float | None] = field(default_factory=list)
    """Flow an hour through the common meters in the night window of each day."""

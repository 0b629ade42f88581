"""How an imbalance becomes smaller: by the values as they came in, on one time base, with gaps filled, without what was only
not counted. What is left at the end is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from appserver.metering.balance import PointInfo
from appserver.metering.consumption import ZERO
from appserver.metering.explain.model import STAGES, CauseRow, Stage
from appserver.models.columns import neat

UNCOUNTED = ("skew", "missing", "unmetered", "start_flow", "reverse")
"""Causes of an imbalance that lose nothing."""

Volumes = Mapping[int, Decimal | None]
"""Volume by point; None when it is not known."""


def course(
    points: Sequence[PointInfo], raw: Volumes, time_base: Volumes, filled: Volumes, rows: Sequence[CauseRow]
) -> tuple[Stage, ...]:
    """The stages of an imbalance; ``rows`` are the causes of the last of the three."""
    stages: list[Stage] = []
    before: Volumes = {}
    for name, volumes in zip(STAGES, (raw, time_base, filled), strict=False):
        moved = sum(volumes.get(p.point_id) != before.get(p.point_id) for p in points) if stages else 0
        stages.append(_stage(name, _imbalance(points, volumes), stages, moved))
        before = volumes
    filled_up = stages[-1].imbalance
    found = [row for row in rows if row.cause in UNCOUNTED]
    lost = None if filled_up is None else filled_up - sum((row.volume for row in found), ZERO)
    named = {e.point_id for row in found for e in row.evidence if e.point_id is not None}
    stages.append(_stage("lost", lost, stages, len(named)))
    return tuple(stages)


def _stage(name: str, imbalance: Decimal | None, before: Sequence[Stage], points: int) -> Stage:
    last = before[-1].imbalance if before else None
    change = None if imbalance is None or last is None else neat(imbalance - last)
    return Stage(name, None if imbalance is None else neat(imbalance), change, points)


def _imbalance(points: Sequence[PointInfo], volumes: Volumes) -> Decimal | None:
    total = ZERO
    for point in points:
        volume = volumes.get(point.point_id)
        if point.role == "house":
            if volume is None:
                return None
            total += volume if point.direction == "in" else -volume
        elif point.role == "individual" and volume is not None:
            total -= volume
    return total

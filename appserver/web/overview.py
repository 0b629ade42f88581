"""What the start page and the list of houses say of all houses at once, computed at most once a minute."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from appserver.db import Database
from appserver.metering.collection import Collection, collection
from appserver.metering.timebase import date_of
from appserver.models.columns import from_micro
from appserver.models.registry import UNITS

WINDOW_DAYS = 31
FRESH_US = 60_000_000

_VOLUMES = """
WITH ends AS (
  SELECT point_id, min(day) AS first, max(day) AS last FROM boundary
  WHERE day BETWEEN ?1 - ?2 AND ?1 GROUP BY point_id HAVING min(day) < max(day)
)
SELECT p.building_id, b.address, p.resource,
  sum(CASE WHEN p.role = 'house' THEN (z.total_micro - a.total_micro) * CASE p.direction WHEN 'out' THEN -1 ELSE 1 END END),
  sum(CASE WHEN p.role = 'individual' THEN z.total_micro - a.total_micro ELSE 0 END),
  min(e.first), max(e.last)
FROM ends e JOIN point p ON p.id = e.point_id JOIN building b ON b.id = p.building_id
JOIN boundary a ON a.point_id = e.point_id AND a.day = e.first
JOIN boundary z ON z.point_id = e.point_id AND z.day = e.last
WHERE p.role <> 'node' GROUP BY p.building_id, b.address, p.resource
"""


@dataclass(frozen=True, slots=True)
class HouseVolumes:
    """A house and a resource over the last month, roughly: the page of the house is exact."""

    building_id: int
    address: str
    resource: str
    house: Decimal | None
    individual: Decimal
    first: date
    last: date

    @property
    def unit(self) -> str:
        return UNITS[self.resource]

    @property
    def imbalance(self) -> Decimal | None:
        return None if self.house is None else self.house - self.individual

    @property
    def imbalance_pct(self) -> Decimal | None:
        return None if not self.house or self.imbalance is None else 100 * self.imbalance / self.house


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that is computed together."""

    at_us: int
    collection: Collection
    volumes: list[HouseVolumes]
    """Largest imbalance first."""
    overdue: int
    """Installed meters whose verification has ended."""
    due: int
    """Installed meters whose verification ends within 60 days."""

    def of_building(self, building_id: int) -> list[HouseVolumes]:
        """Resources of one house."""
        return sorted((v for v in self.volumes if v.building_id == building_id), key=lambda v: v.resource)


class Overviews:
    """Keeps the last overview for a minute."""

    def __init__(self, database: Database, timezone: str) -> None:
        self._database = database
        self._timezone = timezone
        self._last: Overview | None = None
        self._work = asyncio.Lock()

    async def get(self, now_us: int) -> Overview:
        """The overview of about now; many who ask at once wait for one computation."""
        async with self._work:
            if self._last is None or not 0 <= now_us - self._last.at_us < FRESH_US:
                self._last = await self._database.run(self._compute, now_us)
            return self._last

    def _compute(self, now_us: int) -> Overview:
        db = self._database
        last_day = db.rows("SELECT max(day) FROM boundary")[0][0]
        rows = [] if last_day is None else db.rows(_VOLUMES, (last_day, WINDOW_DAYS))
        volumes = [
            HouseVolumes(
                building_id,
                address,
                resource,
                None if house is None else from_micro(house),
                from_micro(individual),
                date_of(first),
                date_of(last),
            )
            for building_id, address, resource, house, individual, first, last in rows
        ]
        volumes.sort(key=lambda v: (-abs(v.imbalance or Decimal(0)), v.address, v.resource))
        today = date_of(now_us // 86_400_000_000)
        overdue, due = db.rows(
            "SELECT count(*) FILTER (WHERE m.verification_until < ?1),"
            " count(*) FILTER (WHERE m.verification_until >= ?1 AND m.verification_until < ?2)"
            " FROM installation i JOIN meter m ON m.id = i.meter_id WHERE i.removed_at_us IS NULL",
            (today.isoformat(), (today + timedelta(days=60)).isoformat()),
        )[0]
        return Overview(now_us, collection(db, now_us, self._timezone), volumes, overdue, due)

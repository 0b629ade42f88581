"""Which tariff zone a moment of the local clock belongs to."""

from __future__ import annotations

from datetime import datetime

from appserver.rules.kinds import TariffZones


def zone_at(local: datetime, rule: TariffZones) -> str:
    """The name of the zone at a local time."""
    minute = local.hour * 60 + local.minute
    return next(zone.name for zone in rule.zones if any(start <= minute < end for start, end in zone.spans))

"""What a gateway did, by hour of the wall clock.

Nothing is counted twice or on the hot path: the gateway's running totals are looked at once a minute, and what was added since
is added to the row of the hour. So the figures survive a restart up to the last minute, and a clock that is set back only adds
to hours that are there already.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import Gateway
    from lns.store.batch import Batch

HOUR_US = 3_600_000_000
EVERY_US = 60_000_000
KEPT_HOURS = 30 * 24
PART_LENGTH = 24


class Statistics:
    """What of one gateway's totals is in the store already."""

    __slots__ = ("_airtime_us", "_bad_crc", "_looked_us", "_outcomes", "_uplinks")

    def __init__(self, now: Now) -> None:
        self._looked_us = now.mono_us
        self._uplinks = self._bad_crc = 0
        self._outcomes: Counter[str] = Counter()
        self._airtime_us: dict[int, int] = {}

    def is_due(self, now: Now) -> bool:
        return now.mono_us - self._looked_us >= EVERY_US

    def take(self, gateway: Gateway, batch: Batch, now: Now) -> None:
        """Add what has come since the last time to the rows of this hour."""
        eui, hour = gateway.eui.to_bytes(8, "big"), now.wall_us // HOUR_US
        # Looked at often enough, a gateway that is online now was online since the last look.
        online_s = round((now.mono_us - self._looked_us) / 1e6) if gateway.is_online(now) else 0
        self._looked_us = now.mono_us
        uplinks, self._uplinks = gateway.uplinks - self._uplinks, gateway.uplinks
        bad_crc, self._bad_crc = gateway.bad_crc - self._bad_crc, gateway.bad_crc
        rtts, rtt_sum_us, rtt_least_us, rtt_most_us = gateway.roundtrip.restart_summary()
        ackr, gateway.ackr_percent = gateway.ackr_percent, []
        row: tuple[Any, ...] = (uplinks, bad_crc, online_s, rtts, rtt_sum_us, len(ackr), round(sum(ackr) * 10))
        if any(row):
            least = (rtt_least_us, rtt_most_us) if rtts else (None, None)
            batch.operations.append(("gateway_hour_add", (eui, hour, *row, *least)))
        parts = gateway.tx_outcomes - self._outcomes
        self._outcomes = Counter(gateway.tx_outcomes)
        batch.operations += (
            ("gateway_part_add", (eui, hour, outcome[:PART_LENGTH], count)) for outcome, count in parts.items()
        )
        totals_us, before_us = dict(gateway.ledger.totals_us), self._airtime_us
        self._airtime_us = totals_us
        batch.operations += (
            ("gateway_part_add", (eui, hour, str(edge_hz), total_us - before_us.get(edge_hz, 0)))
            for edge_hz, total_us in totals_us.items()
            if total_us != before_us.get(edge_hz, 0)
        )

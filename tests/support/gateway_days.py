"""A gateway with two days behind it, for pages."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from internalapi import messages as m
from tests.support.console import Console

GATEWAY = "0016c001f153a14c"
HOUR_US = 3_600_000_000


def hour(hour_us: int, number: int = 0, **fields: Any) -> m.GatewayHour:
    """An hour of a busy day; ``fields`` replace some."""
    busy = 1 + math.sin(number / 24 * 2 * math.pi)
    values: dict[str, Any] = {
        "hour_us": hour_us,
        "uplinks": 100 + round(400 * busy),
        "bad_crc": 3,
        "online_s": 3600,
        "rtt_least_ms": 31.0,
        "rtt_mean_ms": 40.0 + 20 * busy,
        "rtt_most_ms": 90.0 + 60 * busy,
        "ackr_percent": 99.5,
        "outcomes": {"NONE": 20 + round(60 * busy), "COLLISION_PACKET": number % 3, "SILENT": int(number % 7 == 0)},
        "airtime_ms": {"868700000": 4000 + 9000 * busy, "864000000": 900.0},
    }
    return m.GatewayHour(**(values | fields))


async def fill_gateway(console: Console, eui: str = GATEWAY, **fields: Any) -> None:
    """Register it, and give it a state and its hours."""
    await console.network.gateway_put(gateway_eui=eui, name="Башня, котельная № 3")
    now_us = console.clock.us
    state: dict[str, Any] = {
        "online": True, "last_seen_us": now_us - 4_000_000, "address": "10.0.0.7:40000", "rtt_ms": 44.2, "lead_ms": 138.5,
        "uplinks": 123_456, "downlinks": 3210, "tx_outcomes": {"NONE": 3210, "COLLISION_PACKET": 4, "SILENT": 2},
        "sub_bands": [
            m.SubBandUse(864_000_000, 865_000_000, 0.001, 3350.0, 3600.0),
            m.SubBandUse(866_000_000, 868_000_000, 0.01, 9000.0, 36_000.0),
            m.SubBandUse(868_700_000, 869_200_000, 0.1, 262_000.0, 360_000.0),
        ],
        "stat": {"ackr": 99.5, "temp": 31.4, "rxnb": 12}, "airtime_ms": 274_350.0, "forwarder_seen": "hal", "bad_crc": 311,
        "claim": m.GatewayClaim("203.0.113.66", now_us - 7_200_000_000, now_us - 60_000_000, 412), "disputed": 412,
        "clock_restarts": 2, "latitude": 55.05123, "longitude": 59.03321, "location_source": "gps", "protocol": "udp",
    }  # fmt: skip
    console.network.gateway_table[eui] = msgspec.structs.replace(console.network.gateway_table[eui], **(state | fields))
    last_us = now_us - now_us % HOUR_US
    console.network.gateway_hours[eui] = [hour(last_us - (47 - n) * HOUR_US, n) for n in range(48)]

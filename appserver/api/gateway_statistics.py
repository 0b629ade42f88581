"""What gateways did, hour by hour."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from appserver.api.fields import Input, Output, Page, Time, microseconds_of, time_of
from appserver.api.gateways import GatewayPath, find_gateway
from appserver.api.problems import invalid
from appserver.api.router import Api, Call
from internalapi import messages as m

api = Api("Gateways")

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MOST_US = 31 * DAY_US


class StatisticsQuery(Input):
    """Hours that overlap [``from``, ``to``); by default the last day. They are kept for 30 days."""

    since: Annotated[Time | None, Field(alias="from")] = None
    to: Time | None = None


class Hour(Output):
    """What a gateway did in one hour."""

    time: Time
    """When the hour began."""
    uplinks: int
    bad_crc: int
    online_s: int
    rtt_least_ms: float | None
    rtt_mean_ms: float | None
    rtt_most_ms: float | None
    ackr_percent: float | None
    """The share of its datagrams that were answered, as it told."""
    outcomes: dict[str, int]
    """TX_ACK outcome → count; ``NONE`` is success, ``SILENT`` means that no TX_ACK came."""
    airtime_ms: dict[str, float]
    """Lower edge of the sub-band in Hz (``0``: none) → airtime."""


def hour_view(hour: m.GatewayHour) -> Hour:
    """The API's form of an hour."""
    same = {name: getattr(hour, name) for name in Hour.model_fields if name != "time"}
    return Hour.model_construct(time=time_of(hour.hour_us), **same)


@api.add(
    "GET",
    "/gateways/{gateway_eui}/statistics",
    answers=Page[Hour],
    summary="What a gateway did, hour by hour",
)
async def get_statistics(call: Call, path: GatewayPath, query: StatisticsQuery) -> Page[Hour]:
    await find_gateway(call, path.gateway_eui)
    to_us = microseconds_of(query.to) if query.to is not None else call.services.clock()
    from_us = microseconds_of(query.since) if query.since is not None else to_us - DAY_US
    if not 0 <= from_us <= to_us:
        raise invalid("to", "must not be before `from`")
    if to_us - from_us > MOST_US:
        raise invalid("to", "at most 31 days at once")
    found = await call.services.network.gateway_statistics(key=path.gateway_eui, from_us=from_us, to_us=to_us)
    return Page(items=[hour_view(hour) for hour in found.items])

"""Radio parameters of device profiles: what devices are asked to use by MAC commands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from appserver.api.fields import Input, Output
from internalapi import mac
from internalapi import messages as m

Exponent = Annotated[int, Field(ge=0, le=15)]
DataRate = Annotated[int, Field(ge=0, le=15)]
PerHour = Annotated[int, Field(ge=0, le=126)]
"""Frames in an hour; null is no limit."""
Frequency = Annotated[int, Field(ge=100_000_000, le=1_670_000_000, multiple_of=100)]


class ExtraChannel(Input):
    """An uplink channel beyond the region's own; ``downlink_frequency_hz`` is RX1 after an uplink on it."""

    frequency_hz: Frequency
    min_dr: DataRate | None = None
    max_dr: DataRate | None = None
    downlink_frequency_hz: Frequency | None = None


class Channel(Output):
    """An extra uplink channel of a profile."""

    frequency_hz: int
    min_dr: int | None
    max_dr: int | None
    downlink_frequency_hz: int | None


class RelayFilter(Input):
    """A rule of a relay for join-requests of devices that it does not know."""

    action: Literal["forward", "filter"]
    eui: str = Field("", pattern=r"^([0-9a-fA-F]{2}){0,16}$")
    """Beginning of JoinEUI and DevEUI as they travel; empty: all others."""


class SecondChannel(Input):
    second_channel_hz: int = Field(0, ge=0, le=1_670_000_000, multiple_of=100)
    """0: none."""
    second_channel_dr: DataRate = 0
    second_channel_ack_offset: int = Field(0, ge=0, le=5)
    """0 to 5 = 0, 200, 400, 800, 1600, 3200 kHz."""


class RelaySettings(SecondChannel):
    """What a relay is told (TS011); the devices that it trusts are those of this server that it reports."""

    cad_periodicity: int = Field(0, ge=0, le=5)
    """How often it listens: 0 to 5 = 1000, 500, 250, 100, 50, 20 ms."""
    default_channel: int = Field(0, ge=0, le=1)
    filters: list[RelayFilter] = Field(default_factory=list, max_length=16)
    joins_per_hour: PerHour | None = None
    notices_per_hour: PerHour | None = None
    uplinks_per_hour: PerHour | None = None
    total_per_hour: PerHour | None = None
    uplinks_per_hour_of_a_device: int | None = Field(None, ge=0, le=62)


class RelayUse(SecondChannel):
    """How devices use relays (TS011)."""

    mode: Literal["off", "on", "dynamic", "device"] = "dynamic"
    smart_enable_level: int = Field(0, ge=0, le=3)
    """Dynamic: after 8, 16, 32 or 64 uplinks without an answer."""
    back_off: int = Field(0, ge=0, le=63)


class RadioBody(Input):
    """Radio parameters that devices are asked to use by MAC commands; null leaves them to the network and the region."""

    rx1_dr_offset: int | None = Field(None, ge=0, le=7)
    rx2_dr: DataRate | None = None
    rx2_frequency_hz: Frequency | None = None
    channels: list[ExtraChannel] | None = Field(None, max_length=94)
    max_duty_cycle: Exponent | None = None
    """Aggregated duty cycle at most 1/2**n."""
    uplink_dwell_time: bool | None = None
    """True: at most 400 ms on air, in regions that know TxParamSetupReq."""
    downlink_dwell_time: bool | None = None
    max_eirp_dbm: int | None = Field(None, ge=8, le=36)
    adr_ack_limit_exp: Exponent | None = None
    adr_ack_delay_exp: Exponent | None = None
    rejoin_time_n: Exponent | None = None
    """1.1: rejoin at least every 2**(n + 10) seconds."""
    rejoin_count_n: Exponent | None = None
    """1.1: rejoin at least every 2**(n + 4) uplinks."""
    ping_slot_frequency_hz: Frequency | None = None
    ping_slot_dr: DataRate | None = None
    beacon_frequency_hz: Frequency | None = None
    relay: bool = False
    """The device is a relay: what it sends on FPort 226 are other devices' frames."""
    relay_settings: RelaySettings | None = None
    relay_use: RelayUse | None = None


NESTED = ("channels", "relay_settings", "relay_use")
PLAIN = tuple(name for name in RadioBody.model_fields if name not in NESTED)


def to_network(body: RadioBody) -> dict[str, Any]:
    """The fields as the internal API takes them."""
    values = body.model_dump(include=set(RadioBody.model_fields))
    return {
        **{name: values[name] for name in PLAIN},
        "channels": None if body.channels is None else [m.ChannelWrite(**one) for one in values["channels"]],
        "relay_settings": None
        if body.relay_settings is None
        else msgspec.convert(values["relay_settings"], mac.RelaySettings),
        "relay_use": None if body.relay_use is None else mac.RelayUse(**values["relay_use"]),
    }


def view(record: m.ProfileRecord) -> dict[str, Any]:
    """The fields as the API answers them."""
    values = {name: getattr(record, name) for name in PLAIN}
    values["channels"] = None if record.channels is None else [_channel_view(one) for one in record.channels]
    for name, kind in (("relay_settings", RelaySettings), ("relay_use", RelayUse)):
        given = getattr(record, name)
        values[name] = None if given is None else kind.model_validate(msgspec.to_builtins(given))
    return values


def _channel_view(channel: m.ChannelWrite) -> Channel:
    return Channel.model_construct(**{name: getattr(channel, name) for name in Channel.model_fields})

"""Radio parameters of a device: what it uses on the air, as far as it has acknowledged it, in one shared value.

The MAC commands change them (``lns.mac``). Everything that must reach the device or check its frames reads them: receive
windows, the channel in a 1.1 MIC, payload limits under a dwell time, ping slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from regional import Plan


class ExtraChannel(NamedTuple):
    """An uplink channel beyond the region's own (TS001-1.0.4 §5.6)."""

    frequency_hz: int
    """0: an empty place."""
    min_dr: int
    max_dr: int


NO_CHANNEL = ExtraChannel(0, 0, 0)


class RadioParameters(NamedTuple):
    """What the device uses on the air, as far as it has acknowledged it. Shared by all sessions with the same values."""

    rx1_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency_hz: int
    channels: tuple[ExtraChannel, ...] = ()
    """Extra uplink channels beyond the region's default ones, in index order."""
    dl_channels: tuple[tuple[int, int], ...] = ()
    """(channel index, RX1 frequency in Hz) where RX1 is not on its usual frequency, by index (DlChannelReq)."""
    disabled: int = 0
    """Bit i is set when channel i is defined and switched off (LinkADRReq)."""
    max_duty_cycle: int = 0
    """Aggregated duty cycle at most 1 / 2**max_duty_cycle; 0: no limit of the network's."""
    uplink_dwell: bool = False
    """The dwell time of uplinks is limited to 400 ms."""
    downlink_dwell: bool = False
    max_eirp_dbm: int | None = None
    """None: the region's."""
    adr_ack_limit_exp: int = 6
    """ADR_ACK_LIMIT is 2**adr_ack_limit_exp uplinks."""
    adr_ack_delay_exp: int = 5
    rejoin_time_n: int | None = None
    """Rejoin at least every 2**(rejoin_time_n + 10) s; None: never told (LoRaWAN 1.1 §5.14)."""
    rejoin_count_n: int | None = None
    """Rejoin at least every 2**(rejoin_count_n + 4) uplinks; None: never told."""
    ping_slot_frequency_hz: int = 0
    """0: the region's, hopping where it hops."""
    ping_slot_dr: int | None = None
    """None: the region's."""
    beacon_frequency_hz: int = 0
    """0: the region's."""
    ping_periodicity: int | None = None
    """A ping slot every 2**ping_periodicity s; None: the device has not told it, no class B downlink is possible."""
    beacon_locked: bool = False
    """The newest uplink had FCtrl.ClassB: the device has the beacon and listens in its ping slots."""
    device_class: str = ""
    """``A`` or ``C`` as DeviceModeInd told; empty: it told nothing (1.0.x never does), the profile's word counts."""
    relay: tuple[bytes, ...] = ()
    """Relay commands that the device has acknowledged, as they travel, without keys."""
    asked: bytes = b""
    """Requests sent and not answered, as they travel: the device may have obeyed them. Kept so that an answer is understood
    after a restart too, for most answers name no value."""

    @property
    def channels_hz(self) -> tuple[int, ...]:
        """Frequencies of the extra channels in index order; 0 is an empty place."""
        return tuple(channel.frequency_hz for channel in self.channels)


# ----------------------------------------------------------------------------------------------------------- channels


def at_boot(plan: Plan) -> RadioParameters:
    """The parameters of a device that nobody has told anything."""
    return RadioParameters(
        plan.receive_delay1_s,
        0,
        plan.rx2_dr,
        plan.rx2_frequency_hz,
        uplink_dwell=plan.uplink_dwell_at_boot,
        adr_ack_limit_exp=plan.adr_ack_limit.bit_length() - 1,
        adr_ack_delay_exp=plan.adr_ack_delay.bit_length() - 1,
    )


def extra_channels(plan: Plan, frequencies_hz: Iterable[int]) -> tuple[ExtraChannel, ...]:
    """Channels as a CFList of frequencies defines them: with the data rates of the region's first channel."""
    rates = plan.default_channels[0]
    return tuple(ExtraChannel(hz, rates.min_dr, rates.max_dr) if hz else NO_CHANNEL for hz in frequencies_hz)


def defined_channels(plan: Plan, radio: RadioParameters) -> frozenset[int]:
    """Indices of all channels that the device has, switched on or off."""
    first = len(plan.default_channels)
    extra = (first + n for n, channel in enumerate(radio.channels) if channel.frequency_hz)
    return frozenset((*range(first), *extra))


def enabled_channels(plan: Plan, radio: RadioParameters) -> frozenset[int]:
    """Indices of the channels that the device sends on."""
    return frozenset(index for index in defined_channels(plan, radio) if not radio.disabled >> index & 1)


def mask_of(indices: Iterable[int]) -> int:
    """Channel indices as bits."""
    return sum(1 << index for index in indices)


def channel_index(plan: Plan, radio: RadioParameters, frequency_hz: int) -> int | None:
    """The number that the device gives to the uplink channel on a frequency; None: it has none there."""
    index = plan.channel_index(frequency_hz)
    if index is None and frequency_hz:
        first = len(plan.default_channels)
        index = next((first + n for n, one in enumerate(radio.channels) if one.frequency_hz == frequency_hz), None)
    return index


def rx1_frequency_hz(plan: Plan, radio: RadioParameters, uplink_hz: int) -> int:
    """Where the device opens RX1. Raises PlanError for a frequency that is no uplink channel of a fixed plan."""
    if radio.dl_channels:
        index = channel_index(plan, radio, uplink_hz)
        for channel, frequency_hz in radio.dl_channels:
            if channel == index:
                return frequency_hz
    return plan.rx1_frequency_hz(uplink_hz)


# --------------------------------------------------------------------------------------------------- text in the journal

_FIRST_BY_NAME = RadioParameters._fields.index("dl_channels")
_DEFAULTS: dict[str, Any] = RadioParameters._field_defaults


@lru_cache(maxsize=10_000)
def to_text(radio: RadioParameters) -> str:
    """Radio parameters as one short text: delay, offset, RX2, channels, then by name what is not as usual."""
    channels = ",".join(f"{hz}:{low}:{high}" for hz, low, high in radio.channels)
    parts = [f"{radio.rx1_delay_s} {radio.rx1_dr_offset} {radio.rx2_dr} {radio.rx2_frequency_hz} {channels}"]
    for name in radio._fields[_FIRST_BY_NAME:]:
        value = getattr(radio, name)
        if value != _DEFAULTS[name]:
            parts.append(f"{name}={_WRITERS.get(name, _plain)(value)}")
    return " ".join(parts)


@lru_cache(maxsize=10_000)
def from_text(text: str, plan: Plan) -> RadioParameters:
    """Read what :func:`to_text` wrote; also the form of version 0.1.0, whose channels are frequencies only.

    Raises ValueError for anything else.
    """
    delay, offset, dr, frequency, channels, *named = text.split(" ")
    radio = RadioParameters(int(delay), int(offset), int(dr), int(frequency))
    if channels:
        radio = _with_channels(radio, channels, plan)
    values = {}
    for part in named:
        name, _, value = part.partition("=")
        if name not in _DEFAULTS:
            raise ValueError(f"radio parameters {text!r}: {name} is not known")
        values[name] = _READERS.get(name, _number)(value)
    return radio._replace(**values)


def _with_channels(radio: RadioParameters, text: str, plan: Plan) -> RadioParameters:
    if ":" in text:
        return radio._replace(
            channels=tuple(ExtraChannel(*(int(part) for part in one.split(":"))) for one in text.split(","))
        )
    frequencies_hz = [int(hz) for hz in text.split(",")]
    if not plan.is_fixed:
        return radio._replace(channels=extra_channels(plan, frequencies_hz))
    on = {plan.channel_index(hz) for hz in frequencies_hz}
    return radio._replace(disabled=mask_of(set(range(len(plan.default_channels))) - on))


def _plain(value: Any) -> str:
    return str(int(value) if isinstance(value, bool) else value)


def _number(text: str) -> int:
    return int(text)


_WRITERS: dict[str, Any] = {
    "dl_channels": lambda pairs: ",".join(f"{index}:{hz}" for index, hz in pairs),
    "disabled": lambda mask: f"{mask:x}",
    "relay": lambda commands: ",".join(command.hex() for command in commands),
    "asked": bytes.hex,
}
_READERS: dict[str, Any] = {
    "dl_channels": lambda text: tuple((int(i), int(hz)) for i, hz in (one.split(":") for one in text.split(","))),
    "disabled": lambda text: int(text, 16),
    "uplink_dwell": lambda text: text == "1",
    "beacon_locked": lambda text: text == "1",
    "downlink_dwell": lambda text: text == "1",
    "device_class": str,
    "relay": lambda text: tuple(bytes.fromhex(one) for one in text.split(",")),
    "asked": bytes.fromhex,
}

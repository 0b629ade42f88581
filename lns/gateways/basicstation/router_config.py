"""``router_config``: what a station shall listen to and how it may send, made from a region plan.

The region's *name* decides which rules of its own a station adds. Station 2.0.6 knows EU868, US915, AU915, KR920, AS923-1 and
IL915; told any other name it says nothing and drops every downlink. ``REGION_NAMES`` therefore gives a region that it does
not know the name AU915, which adds no rule but a power limit, and ``max_eirp`` brings that down to the plan's. Duty cycle is
kept by this server's own ledger, sub-band by sub-band.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from lorawan.errors import StateError
from regional import Channel, Modulation, Plan
from regional.types import DataRate

REGION_NAMES = {"EU868": "EU868", "US915": "US915", "AU915": "AU915", "KR920": "KR920"}
"""Regions whose own rules in the station are the law's. AS923-1 is not among them: there it means Japan, with LBT."""
ANY_REGION = "AU915"

HALF_WIDTH_HZ = {"sx1301": 400_000, "sx1302": 700_000}
"""How far a 125 kHz channel may lie from its radio's centre (SX1301 HAL: ±400 kHz; sx1302_hal: ±737.5 kHz)."""
DEMODULATORS = 8
RADIOS = 2
WIDE_HALF_WIDTH_HZ = 400_000
FSK_BPS = 50_000
_NARROW_HZ = 125_000


class UnfitPlan(StateError):
    """A plan that no concentrator of this kind can listen to. Says what to choose instead."""


@dataclass(slots=True, frozen=True)
class Options:
    """What an operator may set for one station or all."""

    region: str = ""
    """The name told to the station; empty: as ``REGION_NAMES`` says."""
    max_eirp_dbm: float | None = None
    """None: the lowest limit of the sub-bands in which this plan sends."""
    concentrator: str = "sx1301"
    beacons: bool = False
    """The station, which needs a GPS receiver, sends class B beacons."""


@dataclass(slots=True, frozen=True)
class RadioSetup:
    """A station's configuration and the data-rate numbers that go with it."""

    message: dict[str, Any]
    """``router_config`` but for MuxTime."""
    uplink_datr: tuple[str | int | None, ...]
    """What a gateway calls each data rate of uplinks, by number."""
    downlink_dr: dict[str | int, int]
    """The number of each data rate of downlinks."""

    def encode(self, mux_time_s: float) -> bytes:
        return msgspec.json.encode(self.message | {"MuxTime": mux_time_s})


def radio_setup(plan: Plan, channels_hz: Sequence[int], options: Options, features: Collection[str] = ()) -> RadioSetup:
    """The configuration for a station of a region.

    ``channels_hz``: extra channels of a dynamic plan, or of a fixed plan the channels that are on (none: all, of which the
    radios take the first that fit). Raises UnfitPlan.
    """
    message: dict[str, Any] = {
        "msgtype": "router_config",
        "NetID": None,
        "JoinEui": None,
        "region": options.region or REGION_NAMES.get(plan.name, ANY_REGION),
        "hwspec": "sx1301/1",
        "freq_range": _frequency_range(plan),
        "max_eirp": max_eirp_dbm(plan, channels_hz) if options.max_eirp_dbm is None else options.max_eirp_dbm,
    }
    separate = "updn-dr" in features
    up, down = _tables(plan, separate)
    if separate:
        message["DRs_up"] = [_rate(rate) for rate in up]
        message["DRs_dn"] = [_rate(rate) for rate in down]
    else:
        message["DRs"] = [_rate(u or d, only_down=not u) for u, d in zip(up, down, strict=True)]
    message["sx1301_conf"] = [_concentrator(plan, _channels(plan, channels_hz), options.concentrator)]
    if options.beacons and plan.class_b.beacon_frequencies_hz and plan.class_b.beacon_dr is not None:
        message["bcning"] = _beacons(plan)
    return RadioSetup(
        message,
        tuple(None if rate is None else rate.datr for rate in up),
        {rate.datr: dr for dr, rate in enumerate(down) if rate is not None},
    )


def max_eirp_dbm(plan: Plan, channels_hz: Sequence[int]) -> float:
    """The one power that keeps all limits: the message to send a frame cannot carry another."""
    if plan.is_fixed:
        sending: list[int] = list(plan.downlink_frequencies_hz)
    else:
        sending = [channel.frequency_hz for channel in _channels(plan, channels_hz)]
    bands = [plan.sub_band(frequency_hz) for frequency_hz in (*sending, plan.rx2_frequency_hz)]
    return min([plan.max_eirp_dbm, *(band.max_eirp_dbm for band in bands if band is not None)])


def _frequency_range(plan: Plan) -> list[int]:
    if plan.frequency_range_hz is not None:
        return list(plan.frequency_range_hz)
    known = [channel.frequency_hz for channel in plan.default_channels] + [plan.rx2_frequency_hz]
    return [min(known) - 1_000_000, max(known) + 1_000_000]


def _tables(plan: Plan, separate: bool) -> tuple[list[DataRate | None], list[DataRate | None]]:
    """Data rates of both directions. Without tables of their own a number that means two things is the downlink's."""
    up = [_possible(rate, separate) for rate in plan.data_rates]
    down = [_possible(rate, separate) for rate in plan.downlink_data_rates]
    if not separate:
        up = [None if d is not None and u != d else u for u, d in zip(up, down, strict=True)]
    return up, down


def _possible(rate: DataRate | None, sf5_sf6: bool) -> DataRate | None:
    """None for what a concentrator of this kind cannot do: LR-FHSS, and SF5 and SF6 before the SX1302."""
    if rate is None or rate.modulation is Modulation.LR_FHSS:
        return None
    return None if rate.modulation is Modulation.LORA and rate.sf < 7 and not sf5_sf6 else rate


def _rate(rate: DataRate | None, *, only_down: bool = False) -> list[int]:
    if rate is None:
        return [-1, 0, 0]
    if rate.modulation is Modulation.FSK:
        return [0, 0, 0]
    return [rate.sf, rate.bw_hz // 1000, int(only_down)]


def _channels(plan: Plan, channels_hz: Sequence[int]) -> list[Channel]:
    """Uplink channels, the most important first."""
    if plan.is_fixed:
        return [channel for channel in plan.default_channels if not channels_hz or channel.frequency_hz in channels_hz]
    first = plan.default_channels[0]
    extra = [Channel(frequency_hz, first.min_dr, first.max_dr) for frequency_hz in channels_hz]
    return [*plan.default_channels, *(channel for channel in extra if channel.frequency_hz)]


def _concentrator(plan: Plan, channels: Sequence[Channel], kind: str) -> dict[str, Any]:
    """``sx1301_conf``: two radios, eight narrow demodulators, one wide, one FSK."""
    narrow = [c.frequency_hz for c in channels if _has(plan, c, lambda rate: rate.bw_hz == _NARROW_HZ)]
    if any(not 1_000_000 < channel.frequency_hz < 1_000_000_000 for channel in channels):
        raise UnfitPlan(f"{plan.name}: a concentrator of the SX1301 family hears only below 1 GHz")
    if plan.is_fixed:
        narrow = narrow[:DEMODULATORS]
    centres = _centres(narrow, HALF_WIDTH_HZ[kind])
    if centres is None or len(narrow) > DEMODULATORS:
        shown = ", ".join(f"{frequency_hz / 1e6:g}" for frequency_hz in sorted(narrow))
        raise UnfitPlan(
            f"{plan.name}: {RADIOS} radios and {DEMODULATORS} demodulators of an {kind} cannot hear {shown} MHz together; "
            "choose another preset in [network] channels"
        )
    conf: dict[str, Any] = {}
    for n in range(RADIOS):  # both always run: on many boards the second one is the clock of the first
        conf[f"radio_{n}"] = {"enable": True, "freq": centres[n]}
    for n in range(DEMODULATORS):
        place = _place(narrow[n], centres, HALF_WIDTH_HZ[kind]) if n < len(narrow) else None
        conf[f"chan_multiSF_{n}"] = {"enable": False} if place is None else {"enable": True} | place
    conf["chan_Lora_std"] = _wide(plan, channels, centres) or {"enable": False}
    conf["chan_FSK"] = _fsk(plan, channels, centres) or {"enable": False}
    return conf


def _has(plan: Plan, channel: Channel, wanted: Any) -> bool:
    rates = plan.data_rates[channel.min_dr : channel.max_dr + 1]
    return any(rate is not None and rate.modulation is Modulation.LORA and wanted(rate) for rate in rates)


def _centres(frequencies_hz: Sequence[int], half_width_hz: int) -> list[int] | None:
    """Centres of two radios that between them hear all channels; None when none do.

    What does not fit one radio splits at a gap between neighbours: one takes what is below, the other what is above.
    """
    ordered = sorted(set(frequencies_hz))
    if ordered[-1] - ordered[0] <= 2 * half_width_hz:
        return [(ordered[0] + ordered[-1]) // 2] * RADIOS
    gaps = sorted((high - low, n + 1) for n, (low, high) in enumerate(pairwise(ordered)))
    for _, n in reversed(gaps):
        parts = ordered[:n], ordered[n:]
        if all(part[-1] - part[0] <= 2 * half_width_hz for part in parts):
            return [(part[0] + part[-1]) // 2 for part in parts]
    return None


def _place(frequency_hz: int, centres: Sequence[int], half_width_hz: int) -> dict[str, int] | None:
    """The radio that hears a frequency and its distance from the centre; the nearest if both do."""
    distance_hz, radio = min((abs(frequency_hz - centre), n) for n, centre in enumerate(centres))
    return None if distance_hz > half_width_hz else {"radio": radio, "if": frequency_hz - centres[radio]}


def _wide(plan: Plan, channels: Sequence[Channel], centres: Sequence[int]) -> dict[str, Any] | None:
    """The first channel with a LoRa data rate of 250 or 500 kHz that a radio hears: there is one such demodulator."""
    for channel in channels:
        for rate in plan.data_rates[channel.min_dr : channel.max_dr + 1]:
            if rate is None or rate.modulation is not Modulation.LORA or rate.bw_hz <= _NARROW_HZ:
                continue
            place = _place(channel.frequency_hz, centres, WIDE_HALF_WIDTH_HZ)
            if place is not None:
                return {"enable": True, **place, "bandwidth": rate.bw_hz, "spread_factor": rate.sf}
    return None


def _fsk(plan: Plan, channels: Sequence[Channel], centres: Sequence[int]) -> dict[str, Any] | None:
    for channel in channels:
        for rate in plan.data_rates[channel.min_dr : channel.max_dr + 1]:
            if rate is None or rate.modulation is not Modulation.FSK:
                continue
            place = _place(channel.frequency_hz, centres, WIDE_HALF_WIDTH_HZ)
            if place is not None:
                return {"enable": True, **place, "bandwidth": _NARROW_HZ, "datarate": FSK_BPS}
    return None


def _beacons(plan: Plan) -> dict[str, Any]:
    """``bcning``: data rate, where in the beacon time and the gateway's part begin, its length, and the frequencies."""
    offsets: dict[str, int] = {}
    length = 0
    for name, size in plan.class_b.beacon_layout:
        offsets.setdefault(name, length)
        length += size
    return {
        "DR": plan.class_b.beacon_dr,
        "layout": [offsets["Time"], offsets["GwSpecific"], length],
        "freqs": list(plan.class_b.beacon_frequencies_hz),
    }

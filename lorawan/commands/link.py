"""Link commands: LinkCheck, LinkADR, DutyCycle, DevStatus and ADRParamSetup (TS001-1.0.4 §5.1–§5.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorawan.commands.base import Command, StatusAnswer
from lorawan.layout import Layout, flag, rfu, sint, uint


@dataclass(frozen=True, slots=True)
class LinkCheckReq(Command):
    """The device asks how well it is heard (§5.1)."""

    cid = 0x02
    words = "asks how well it is heard"


@dataclass(frozen=True, slots=True)
class LinkCheckAns(Command):
    """How well the request was heard (§5.1)."""

    margin: int
    """dB above the demodulation floor at the best gateway, 0..254."""
    gw_cnt: int
    """Gateways that heard it, at least 1."""

    cid = 0x02
    layout = Layout(uint("margin", 8), uint("gw_cnt", 8))
    words = "heard {margin} dB above the floor by {gw_cnt} gateway(s)"


@dataclass(frozen=True, slots=True)
class LinkADRReq(Command):
    """Set data rate, power, repetitions and channels (§5.2). Neighbouring ones form one block."""

    dr: int
    """Data rate index; 15 keeps the present one (1.0.4, 1.1)."""
    tx_power: int
    """Power index; 15 keeps the present one (1.0.4, 1.1)."""
    ch_mask: int
    """16 bits; their meaning depends on ``ch_mask_cntl`` and the region."""
    ch_mask_cntl: int = 0
    nb_trans: int = 1
    """Transmissions of each frame, 1..15; 0: the default 1, in 1.0.4 the present value."""

    cid = 0x03
    layout = Layout(
        uint("tx_power", 4),
        uint("dr", 4),
        uint("ch_mask", 16),
        uint("nb_trans", 4),
        uint("ch_mask_cntl", 3),
        rfu(1),
    )
    words = (
        "set DR {dr}, power index {tx_power}, {nb_trans} transmission(s), channels {channels} (control {ch_mask_cntl})"
    )

    def values(self) -> dict[str, Any]:
        """With ``channels``: the set bits of the mask as ranges."""
        # slots=True makes a new class, which a bare super() would not find.
        return Command.values(self) | {"channels": bit_ranges(self.ch_mask)}


def bit_ranges(mask: int) -> str:
    """The set bits of a mask as text: ``0x0107`` is ``0-2, 8``; ``-`` when none is set."""
    ranges: list[list[int]] = []
    for bit in range(mask.bit_length()):
        if mask >> bit & 1:
            if ranges and ranges[-1][1] == bit - 1:
                ranges[-1][1] = bit
            else:
                ranges.append([bit, bit])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges) or "-"


@dataclass(frozen=True, slots=True)
class LinkADRAns(StatusAnswer):
    """What the device accepted of a LinkADRReq; nothing changed unless all of it (§5.2)."""

    channel_mask_ack: bool
    data_rate_ack: bool
    power_ack: bool

    cid = 0x03
    layout = Layout(flag("channel_mask_ack"), flag("data_rate_ack"), flag("power_ack"), rfu(5))


@dataclass(frozen=True, slots=True)
class DutyCycleReq(Command):
    """Limit the aggregated duty cycle to 1 / 2**max_duty_cycle (§5.3)."""

    max_duty_cycle: int
    """0..15; 0 is no limit."""

    cid = 0x04
    layout = Layout(uint("max_duty_cycle", 4), rfu(4))
    words = "limit the duty cycle to 1/{divisor}"

    def values(self) -> dict[str, Any]:
        """With ``divisor``: 2**max_duty_cycle."""
        return Command.values(self) | {"divisor": 1 << self.max_duty_cycle}


@dataclass(frozen=True, slots=True)
class DutyCycleAns(Command):
    """The limit is set (§5.3)."""

    cid = 0x04
    words = "duty cycle limit set"


@dataclass(frozen=True, slots=True)
class DevStatusReq(Command):
    """Ask for battery and margin (§5.5)."""

    cid = 0x06
    words = "asks for battery and margin"


@dataclass(frozen=True, slots=True)
class DevStatusAns(Command):
    """Battery and margin of the device (§5.5)."""

    battery: int
    """0 external power, 1..254 level, 255 not measurable."""
    margin: int
    """SNR of the DevStatusReq as the device heard it, -32..31 dB."""

    cid = 0x06
    layout = Layout(uint("battery", 8), sint("margin", 6), rfu(2))
    words = "battery {battery_percent}, margin {margin} dB"

    @property
    def battery_percent(self) -> float | None:
        """Level in percent, None for external power and where it cannot be measured."""
        return (self.battery - 1) / 253 * 100 if 1 <= self.battery <= 254 else None

    def values(self) -> dict[str, Any]:
        """With ``battery_percent`` as text: a percentage, ``external`` or ``unknown``."""
        percent = self.battery_percent
        text = f"{percent:.0f} %" if percent is not None else "unknown" if self.battery else "external"
        return Command.values(self) | {"battery_percent": text}


@dataclass(frozen=True, slots=True)
class ADRParamSetupReq(Command):
    """Set ADR_ACK_LIMIT = 2**limit_exp and ADR_ACK_DELAY = 2**delay_exp (LoRaWAN 1.1 §5.11)."""

    limit_exp: int
    delay_exp: int

    cid = 0x0C
    layout = Layout(uint("delay_exp", 4), uint("limit_exp", 4))
    words = "set ADR_ACK_LIMIT to {limit} and ADR_ACK_DELAY to {delay}"

    def values(self) -> dict[str, Any]:
        """With ``limit`` and ``delay`` in uplinks."""
        return Command.values(self) | {"limit": 1 << self.limit_exp, "delay": 1 << self.delay_exp}


@dataclass(frozen=True, slots=True)
class ADRParamSetupAns(Command):
    """The ADR limits are set (LoRaWAN 1.1 §5.11)."""

    cid = 0x0C
    words = "ADR limits set"

"""Which window of class A comes first, by link margin, airtime budget and what the device has missed before.

Options come as RX1 at every gateway, the best heard first, and then RX2 likewise: RX1 costs least airtime. Put behind are, in
this order, gateways that the device seems not to hear, windows in which the frame would probably not be heard, and those
that would take a large part of what is left of the sub-band's hour. In RU864 one long answer at 864 MHz takes most of 3.6 s,
while RX2 at 869.1 MHz has 360 s. Nothing is left out: a bad window is better than none.
"""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING, NamedTuple

from lns.downlink.options import Option, airtime_us, eirp_dbm
from lns.gateways.frames import AfterUplink
from regional import Modulation, Plan

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.ledger import Priority
    from lns.state import NetworkState

DEVICE_NOISE_DB = 3.0
"""A device's receiver is so much deafer than a gateway's."""
LARGE_PART = 0.2
"""Of the airtime left in a sub-band; a frame that takes more is put behind."""


class Demerits(NamedTuple):
    """Why an option stands back; all zero is a good one. Compared in this order."""

    missed: int
    faint: bool
    dear: bool
    why: str


def ranked(
    state: NetworkState,
    device_id: int,
    options: list[Option],
    length: int,
    tx_power: int,
    priority: Priority,
    now: Now,
) -> tuple[list[Option], str]:
    """``options`` of an answer of ``length`` bytes in the order in which to try them, and in words why the first is not.

    ``tx_power``: the device's TXPower index, which made its uplink weaker than the answer will be.
    """
    if len(options) == 1 or not isinstance(options[0].timing, AfterUplink):
        return options, ""
    marked = [(_demerits(state, device_id, option, length, tx_power, priority, now), option) for option in options]
    if not any(demerits.why for demerits, _ in marked):
        return options, ""
    best_first = sorted(marked, key=lambda entry: entry[0][:3])
    (first, was_first) = marked[0]
    why = "" if best_first[0][1] is was_first else f"{was_first.window} at {was_first.gateway.eui_text} {first.why}"
    return [option for _, option in best_first], why


def _demerits(
    state: NetworkState,
    device_id: int,
    option: Option,
    length: int,
    tx_power: int,
    priority: Priority,
    now: Now,
) -> Demerits:
    plan = state.plan
    missed = state.reach.demerits(device_id, option.gateway.eui)
    margin_db = _margin_db(plan, option, tx_power)
    airtime = airtime_us(plan, option.dr, length)
    left_us = option.gateway.ledger.left_us(plan.sub_band(option.frequency_hz), now.mono_us, priority)
    is_faint, is_dear = margin_db < 0, airtime > LARGE_PART * left_us
    why = []
    if missed:
        why.append("was missed several times")
    if is_faint:
        why.append(f"would be {-margin_db:.0f} dB too weak")
    if is_dear:
        why.append(f"would take {airtime // 1000} of the {max(0, left_us) // 1000} ms left in its sub-band")
    return Demerits(missed, is_faint, is_dear, ", ".join(why))


def _margin_db(plan: Plan, option: Option, tx_power: int) -> float:
    """By how much the device should hear the answer above its floor, judged by how its uplink was heard there."""
    rate = plan.data_rate(option.dr, downlink=True)
    assert isinstance(option.timing, AfterUplink)
    snr_db = option.timing.rx.snr_db
    if rate.modulation is not Modulation.LORA or snr_db is None:
        return 0.0
    floor_db = -7.5 - 2.5 * (rate.sf - 7) + 10 * log10(rate.bw_hz / 125_000)
    louder_db = eirp_dbm(plan, option.frequency_hz) - plan.tx_power_dbm(min(tx_power, plan.max_tx_power_index))
    return snr_db + louder_db - DEVICE_NOISE_DB - floor_db

"""BeaconTimingReq: when does the next beacon come? Asked by devices before LoRaWAN 1.0.3 (1.0.2 §14.4)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac.context import MacContext
from lns.mac.device_time import uplink_end_utc_us
from lorawan.airtime import lora_airtime_us
from lorawan.class_b import BEACON_PERIOD_US, beacon_timing_ans, next_beacon_us
from lorawan.commands import BeaconTimingReq
from lorawan.gps import utc_to_gps_us
from regional import Modulation, PlanError

FRAME_BYTES = 16
"""The answer alone in its frame: MHDR, FHDR, four bytes of FOpts, MIC."""


def on_uplink(commands: Sequence[BeaconTimingReq], context: MacContext) -> None:
    """Whole 30 ms from the end of the answer in RX1 to the beacon; the device opens early enough for its own error.

    In RX2 the answer would be a second late, and so it is given only where the plan has beacons and RX1 is LoRa.
    """
    plan, radio = context.state.plan, context.session.radio
    frequencies_hz = plan.class_b.beacon_frequencies_hz
    if not frequencies_hz:
        return
    try:
        rate = plan.data_rate(plan.rx1_dr(context.gathered.dr, radio.rx1_dr_offset), downlink=True)
    except PlanError:
        return
    if rate.modulation is not Modulation.LORA:
        return
    airtime_us = lora_airtime_us(FRAME_BYTES, rate.sf, rate.bw_hz, crc=False)
    end_us = utc_to_gps_us(uplink_end_utc_us(context)) + radio.rx1_delay_s * 1_000_000 + airtime_us
    channel = next_beacon_us(end_us) // BEACON_PERIOD_US % len(frequencies_hz)
    context.answers.append(beacon_timing_ans(end_us, channel))
    context.only_rx1 = True

"""LinkADRReq: data rate, power and repetitions, as ADR decides (TS001-1.0.4 §5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from internalapi import adr as reasons
from lns import adr, events
from lns.adr.availability import excused
from lns.adr.memory import MAX_REFUSALS, UNKNOWN
from lns.device import Profile
from lns.mac.context import MacContext
from lns.session import Session
from lns.state import NetworkState
from lorawan.airtime import lora_airtime_us
from lorawan.commands import LinkADRAns, LinkADRReq
from regional import Plan

ORDINARY_FRAME_BYTES = 28
"""PHYPayload that data rates are compared by: a meter's reading with its frame."""


def memory_of(session: Session) -> adr.Memory:
    """What ADR remembers of a session."""
    return adr.Memory.unpack(session.adr, session.tx_power, session.nb_trans)


def keep(session: Session, memory: adr.Memory) -> None:
    session.adr = memory.pack()
    session.tx_power, session.nb_trans = memory.tx_power, memory.nb_trans


def after_uplink(context: MacContext) -> None:
    """Note what ADR needs of this uplink."""
    if not context.adr:
        return
    session, gathered = context.session, context.gathered
    memory = memory_of(session)
    snr_db = max((rx.snr_db for rx in gathered.copies if rx.snr_db is not None), default=None)
    missing = gathered.f_cnt - memory.f_cnt - 1 if memory.started else 0
    if missing > 0:
        outages = (rx.gateway.outages for rx in gathered.copies)
        missing = excused(missing, memory.heard_s * 1_000_000, gathered.wall_us, outages)
    heard_s = gathered.wall_us // 1_000_000
    gave_up = memory.refusals
    memory.heard(gathered.f_cnt, heard_s, gathered.dr, snr_db, session.gateways, context.adr_ack_req, max(0, missing))
    if gave_up < MAX_REFUSALS == memory.refusals:
        _say(context, "WARNING", f"{memory.refusals} requests of ADR without effect: nothing is asked for a while")
    keep(session, memory)


def ask(context: MacContext) -> None:
    """Ask for the difference between what the device uses and what ADR wants."""
    if not context.adr:
        return
    session, state = context.session, context.state
    memory = memory_of(session)
    if not memory.may_ask(context.adr_ack_req):
        return
    decision = decide(state, session, memory)
    if decision is None or not (decision.changes or memory.uncertain):
        return
    reason = decision.reason
    memory.asked(decision.dr, decision.tx_power, decision.nb_trans)
    keep(session, memory)
    if decision.changes:
        session.adr_reason = reasons.pack(reason)
        _say(context, "INFO", reasons.in_english(reason), {"reason": session.adr_reason})
    channels = enabled_channels(context)
    context.requests.append(
        [
            LinkADRReq(step.dr, step.tx_power, step.ch_mask, step.ch_mask_cntl, step.nb_trans)
            for step in state.plan.link_adr_commands(
                channels,
                channels,
                dr=decision.dr,
                tx_power=decision.tx_power,
                nb_trans=decision.nb_trans,
                defined=channels,
                at_least_one=True,
            )
        ]
    )


def decide(state: NetworkState, session: Session, memory: adr.Memory) -> adr.Decision | None:
    """What the profile's algorithm says now; None at a data rate without a demodulation floor (FSK, LR-FHSS)."""
    profile, plan = session.device.profile, state.plan
    name = adr.chosen(profile.adr, state.settings.adr)
    required_snr_db = plan.required_snr_db(memory.dr)
    if name == "off" or not memory.started or required_snr_db is None:
        return None
    return adr.ALGORITHMS[name](
        memory.samples,
        adr.Current(memory.dr, memory.tx_power, memory.nb_trans, memory.since),
        limits_of(profile, plan, memory, required_snr_db),
    )


def limits_of(profile: Profile, plan: Plan, memory: adr.Memory, required_snr_db: float) -> adr.Limits:
    """Region, profile and what the device refused."""
    rates = _rates(plan)
    highest = min(memory.max_dr, rates[-1].dr, UNKNOWN if profile.adr_max_dr is None else profile.adr_max_dr)
    lowest = min(highest, max(rates[0].dr, profile.adr_min_dr))
    least_power = min(memory.max_tx_power, plan.max_tx_power_index)
    if profile.adr_max_tx_power is not None:
        least_power = min(least_power, profile.adr_max_tx_power)
    return adr.Limits(
        highest,
        least_power,
        required_snr_db,
        profile.adr_margin_db,
        lowest,
        min(least_power, max(memory.min_tx_power, profile.adr_min_tx_power)),
        profile.adr_max_nb_trans,
        tuple(rate for rate in rates if lowest <= rate.dr <= highest),
        _power_db(plan),
        (profile.adr_static_dr, profile.adr_static_tx_power, profile.adr_static_nb_trans),
    )


@lru_cache(maxsize=64)
def _rates(plan: Plan) -> tuple[adr.Rate, ...]:
    """LoRa data rates of 125 kHz that every channel of the region's default ones allows, slowest first."""
    lowest = min(channel.min_dr for channel in plan.default_channels)
    highest = max(channel.max_dr for channel in plan.default_channels)
    rates = []
    for dr in range(lowest, highest + 1):
        floor_db, rate = plan.required_snr_db(dr), plan.data_rates[dr]
        if floor_db is not None and rate is not None and plan.max_payload(dr):
            airtime_us = lora_airtime_us(ORDINARY_FRAME_BYTES, rate.sf, rate.bw_hz, crc=True)
            rates.append(adr.Rate(dr, floor_db, airtime_us / 1000))
    return tuple(rates)


@lru_cache(maxsize=64)
def _power_db(plan: Plan) -> tuple[float, ...]:
    return tuple(-offset for offset in plan.tx_power_offsets_db)


def enabled_channels(context: MacContext) -> frozenset[int]:
    """Indices of the channels that the device has: the region's own and the extra ones of its join-accept."""
    defaults = len(context.state.plan.default_channels)
    extra = (defaults + i for i, frequency_hz in enumerate(context.session.radio.channels_hz) if frequency_hz)
    return frozenset((*range(defaults), *extra))


def on_uplink(commands: Sequence[LinkADRAns], context: MacContext) -> None:
    """Apply what was accepted; a partial refusal is information about what the device can do.

    Up to 1.0.4 a device answers each LinkADRReq of a block, always the same: the first answer says all.
    """
    answer, session = commands[0], context.session
    memory = memory_of(session)
    dr, tx_power = memory.asked_dr, memory.asked_tx_power
    known = bool(memory.asked_nb_trans)
    accepted = memory.answered(answer.channel_mask_ack, answer.data_rate_ack, answer.power_ack)
    keep(session, memory)
    context.state.dirty(session)
    if accepted or not known:
        return
    _say(
        context,
        "WARNING",
        f"the device refused LinkADRReq (DR{dr}, power index {tx_power}): "
        f"channels {_word(answer.channel_mask_ack)}, data rate {_word(answer.data_rate_ack)}, "
        f"power {_word(answer.power_ack)}",
    )


def _say(context: MacContext, level: str, text: str, fields: dict[str, str] | None = None) -> None:
    code = "ADR" if level == "INFO" else "UNKNOWN"
    events.emit_log(context.state, context.device, context.gathered.wall_us, level, code, text, fields)


def _word(accepted: bool) -> str:
    return "accepted" if accepted else "refused"

"""LinkADRReq: data rate, power and repetitions, as ADR decides (TS001-1.0.4 §5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from internalapi import adr as reasons
from lns import adr, events
from lns.adr.availability import excused
from lns.adr.memory import MAX_REFUSALS, UNKNOWN
from lns.device import Profile
from lns.mac import negotiate
from lns.mac.context import Block, MacContext
from lns.mac.desired import desired
from lns.mac.versions import KEEPS_15, plan_of, version_of
from lns.radio import defined_channels, enabled_channels, mask_of
from lns.session import Session
from lns.state import NetworkState
from lorawan.airtime import lora_airtime_us
from lorawan.commands import LinkADRAns, LinkADRReq, NewChannelReq
from regional import Plan

DECISIONS_KEPT = 10
"""Of each device, for people."""
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
    snr_db = session.snr_db  # of the best copy
    if snr_db is not None and not context.adr_ack_req:
        noted = adr.heard_in_step(
            session.adr, gathered.f_cnt, gathered.wall_us // 1_000_000, gathered.dr, snr_db, session.gateways
        )
        if noted is not None:
            session.adr, context.adr_due = noted
            return
    memory = memory_of(session)
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
    context.adr_memory = memory


def ask(context: MacContext) -> Iterator[Block]:
    """One block for what ADR wants changed and for the channels that should be on."""
    session, plan = context.session, context.state.plan
    decision = _decision(context)
    target = _wanted_channels(context, decision is not None)
    if decision is None and target is None:
        return
    if negotiate.is_under_way(NewChannelReq, context):
        return  # a mask of the channels that are known would switch off one that is just being made
    has = enabled_channels(plan, session.radio)
    version = version_of(session)
    dr, tx_power, nb_trans = context.gathered.dr, session.tx_power, session.nb_trans
    asked = (decision.dr, decision.tx_power, decision.nb_trans) if decision is not None else _asked_by_adr(context)
    if asked is not None:
        dr, tx_power, nb_trans = context.adr_asked = asked
    elif version in KEEPS_15:
        dr = tx_power = 15
    if target is None:
        target = has
    steps = plan_of(plan, version).link_adr_commands(
        _furthest_from(target, has, _perhaps(context)),
        target,
        dr=dr,
        tx_power=tx_power,
        nb_trans=nb_trans,
        defined=defined_channels(plan, session.radio),
        at_least_one=True,
    )
    yield tuple(LinkADRReq(step.dr, step.tx_power, step.ch_mask, step.ch_mask_cntl, step.nb_trans) for step in steps)


def _decision(context: MacContext) -> adr.Decision | None:
    """What ADR wants changed now; None: nothing."""
    if not context.adr:
        return None
    session = context.session
    memory = context.adr_memory
    if memory is None:
        if not context.adr_due:
            return None
        memory = memory_of(session)
    else:
        first = adr.chosen(session.device.profile.adr, context.state.settings.adr) in adr.DECIDE_AT_ONCE
        if not (memory.may_ask(context.adr_ack_req) and memory.is_due(context.adr_ack_req, first)):
            return None
    decision = decide(context.state, session, memory)
    if decision is None or not (decision.changes or memory.uncertain):
        return None
    if decision.changes:
        context.adr_reason = decision.reason
    return decision


def _asked_by_adr(context: MacContext) -> tuple[int, int, int] | None:
    """What ADR has asked and the device has not answered: a further request must not say otherwise, its answer is for both."""
    memory = memory_of(context.session)
    if not context.adr or not memory.asked_nb_trans:
        return None
    return memory.asked_dr, memory.asked_tx_power, memory.asked_nb_trans


def _wanted_channels(context: MacContext, at_once: bool) -> frozenset[int] | None:
    """The channels that shall be on, of those that the device has; None when they are, or it is not to be asked now.

    ``at_once``: a request goes down anyhow, so nothing is to be waited for.
    """
    plan, radio, mac = context.state.plan, context.session.radio, context.device.mac
    wanted = desired(context.state, context.session)
    doubtful = negotiate.is_asked(LinkADRReq, context)
    if not doubtful and (radio.channels, radio.disabled) == (wanted.channels, wanted.disabled):
        return None
    target = enabled_channels(plan, wanted) & defined_channels(plan, radio)
    if not target or (target == enabled_channels(plan, radio) and not doubtful):
        return None
    if mac is not None:
        refusal = mac.refusal_of(_mask_request(target))
        if refusal is not None and refusal.holds(context.now.mono_us):
            return None
        if not at_once and not mac.is_due(LinkADRReq.cid, context.gathered.f_cnt, context.now.mono_us):
            return None
    return target


def _perhaps(context: MacContext) -> frozenset[int] | None:
    """The channels that are on if the device has obeyed a mask that it has not answered; None when none is under way."""
    asked = context.session.radio.asked
    masks = [one for one in negotiate.under_way(asked) if isinstance(one, LinkADRReq)] if asked else []
    return _after(masks, context) if masks else None


def _furthest_from(target: frozenset[int], has: frozenset[int], perhaps: frozenset[int] | None) -> frozenset[int]:
    """A set that is wrong wherever one of the two is: masks that mend it mend both."""
    return has if perhaps is None else target ^ ((has ^ target) | (perhaps ^ target))


def _mask_request(channels: frozenset[int]) -> LinkADRReq:
    """Stands for a set of channels in the list of refusals: data rate and power are not its matter."""
    return LinkADRReq(15, 15, mask_of(channels) & 0xFFFF, 0, 0)


def note_sent(block: Block, context: MacContext) -> None:
    """The block is in the frame that is being made."""
    session = context.session
    if context.adr_asked is not None:
        memory = memory_of(session)
        memory.asked(*context.adr_asked)
        keep(session, memory)
    if context.adr_reason is not None:
        session.adr_reason = reasons.pack(context.adr_reason)
        id, operations = context.device.id, context.state.batch.operations
        operations.append(("adr_decision_add", (id, context.gathered.wall_us, session.adr_reason)))
        operations.append(("adr_decision_trim", (id, id, DECISIONS_KEPT)))
        _say(context, "INFO", reasons.in_english(context.adr_reason), {"reason": session.adr_reason})
    moves = _after(block, context) != enabled_channels(context.state.plan, session.radio)
    if moves or negotiate.is_asked(LinkADRReq, context):
        negotiate.note_sent(block, context)


def _after(block: Block, context: MacContext) -> frozenset[int] | None:
    """The channels that are on once the device has obeyed; None when it must refuse."""
    session = context.session
    plan = plan_of(context.state.plan, version_of(session))
    defined = defined_channels(plan, session.radio)
    on: frozenset[int] | None = enabled_channels(plan, session.radio)
    for command in block:
        if on is not None and isinstance(command, LinkADRReq):
            on = plan.apply_ch_mask(on, command.ch_mask, command.ch_mask_cntl, defined)
    return on


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
        _rates_between(plan, lowest, highest),
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


@lru_cache(maxsize=256)
def _rates_between(plan: Plan, lowest: int, highest: int) -> tuple[adr.Rate, ...]:
    return tuple(rate for rate in _rates(plan) if lowest <= rate.dr <= highest)


@lru_cache(maxsize=64)
def _power_db(plan: Plan) -> tuple[float, ...]:
    return tuple(-offset for offset in plan.tx_power_offsets_db)


def on_uplink(answers: Sequence[LinkADRAns], context: MacContext) -> None:
    """Apply what was accepted; a partial refusal is information about what the device can do.

    1.0.x answers each LinkADRReq of a block, 1.1 the block: whatever is refused anywhere was not done.
    """
    context.answered.add(LinkADRAns.cid)
    channels = all(answer.channel_mask_ack for answer in answers)
    data_rate = all(answer.data_rate_ack for answer in answers)
    power = all(answer.power_ack for answer in answers)
    session = context.session
    memory = memory_of(session)
    dr, tx_power, known = memory.asked_dr, memory.asked_tx_power, bool(memory.asked_nb_trans)
    gave_up = memory.refusals
    masks = [command for command in negotiate.under_way(session.radio.asked) if isinstance(command, LinkADRReq)]
    if known or not masks:
        memory.answered(channels, data_rate, power)
        keep(session, memory)
        context.state.dirty(session)
    if masks:
        others = () if known else tuple(name for name, ok in (("data_rate", data_rate), ("power", power)) if not ok)
        _take_masks(masks, channels and data_rate and power, channels, others, context)
    if known and not (channels and data_rate and power):
        stops = memory.refusals > gave_up and memory.refusals >= MAX_REFUSALS
        end = f"; after {memory.refusals} such requests nothing is asked for {memory.pause} uplinks" if stops else ""
        _say(
            context,
            "WARNING",
            f"the device refused LinkADRReq (DR{dr}, power index {tx_power}): channels {_word(channels)}, "
            f"data rate {_word(data_rate)}, power {_word(power)}{end}",
        )


def _take_masks(
    masks: Sequence[LinkADRReq], done: bool, channels: bool, others: tuple[str, ...], context: MacContext
) -> None:
    """The channels are as asked, or the device lacks one of them and is told all of them again.

    ``others``: what it refuses beside good channels although ADR has asked nothing: 1.0.x does then nothing of the request.
    """
    plan, radio = context.state.plan, context.session.radio
    on = _after(masks, context)
    radio = radio._replace(asked=negotiate.without(radio.asked, {LinkADRReq.cid}))
    context.mac.answered(LinkADRReq.cid)
    if done and on is not None:
        radio = radio._replace(disabled=mask_of(defined_channels(plan, radio) - on))
        context.mac.accepted(_mask_request(on))
    elif not channels and on is not None:
        negotiate.note_refusal(_mask_request(on), ("channel_mask",), context)
        if not plan.is_fixed:
            radio = radio._replace(channels=(), dl_channels=())
    elif others and on is not None:
        negotiate.note_refusal(_mask_request(on), others, context)
    context.set_radio(radio)


def _say(context: MacContext, level: str, text: str, fields: dict[str, str] | None = None) -> None:
    code = "ADR" if level == "INFO" else "UNKNOWN"
    events.emit_log(context.state, context.device, context.gathered.wall_us, level, code, text, fields)


def _word(accepted: bool) -> str:
    return "accepted" if accepted else "refused"

"""LinkADRReq: data rate, power and repetitions, as ADR decides (TS001-1.0.4 §5.2)."""

from __future__ import annotations

from lns import adr, events
from lns.mac.context import MacContext
from lns.mac.state import LinkAdrRequest, Sample
from lorawan.commands import LinkADRAns, LinkADRReq

MAX_REFUSALS = 3
"""After so many refusals or lost answers in a row the server leaves the device as it is until it joins anew."""
ANSWER_WITHIN = 3
"""Uplinks in which the answer may come."""


def after_uplink(context: MacContext) -> None:
    """Note what ADR needs of this uplink, and a request that was not answered."""
    if not context.adr:
        return
    mac = context.mac
    snr = max((rx.snr_db for rx in context.gathered.copies if rx.snr_db is not None), default=None)
    if snr is not None:
        mac.samples.append(Sample(context.gathered.f_cnt, snr))
    if mac.link_adr is not None and context.gathered.f_cnt - mac.link_adr.sent_with_f_cnt_up > ANSWER_WITHIN:
        mac.link_adr = None
        mac.refusals += 1


def ask(context: MacContext) -> None:
    """Ask for the difference between what the device uses and what ADR wants."""
    session, device, plan = context.session, context.device, context.state.plan
    algorithm = adr.ALGORITHMS[adr.chosen(device.profile.adr, context.state.settings.adr)]
    mac = context.mac
    if not context.adr or mac.link_adr is not None or mac.refusals >= MAX_REFUSALS:
        return
    required_snr_db = plan.required_snr_db(context.gathered.dr)
    if required_snr_db is None:
        return  # FSK and LR-FHSS have no demodulation floor to reckon with
    max_dr = max(channel.max_dr for channel in plan.default_channels) if mac.max_dr is None else mac.max_dr
    decision = algorithm(
        mac.samples,
        adr.Current(context.gathered.dr, session.tx_power, session.nb_trans),
        adr.Limits(
            max_dr,
            plan.max_tx_power_index if mac.max_tx_power is None else mac.max_tx_power,
            required_snr_db,
            device.profile.adr_margin_db,
        ),
    )
    session.adr_reason = decision.reason
    if not decision.changes:
        return
    channels = enabled_channels(context)
    mac.link_adr = LinkAdrRequest(
        decision.dr, decision.tx_power, decision.nb_trans, context.gathered.f_cnt, decision.reason
    )
    context.requests.extend(
        LinkADRReq(step.dr, step.tx_power, step.ch_mask, step.ch_mask_cntl, step.nb_trans)
        for step in plan.link_adr_commands(
            channels,
            channels,
            dr=decision.dr,
            tx_power=decision.tx_power,
            nb_trans=decision.nb_trans,
            defined=channels,
            at_least_one=True,
        )
    )


def enabled_channels(context: MacContext) -> frozenset[int]:
    """Indices of the channels that the device has: the region's own and the extra ones of its join-accept."""
    defaults = len(context.state.plan.default_channels)
    extra = (defaults + i for i, frequency_hz in enumerate(context.session.radio.channels_hz) if frequency_hz)
    return frozenset((*range(defaults), *extra))


def on_uplink(command: LinkADRAns, context: MacContext) -> None:
    """Apply what was accepted; a partial refusal is information about what the device can do."""
    mac, session = context.mac, context.session
    request = mac.link_adr
    if request is None:
        return
    mac.link_adr = None
    if command.channel_mask_ack and command.data_rate_ack and command.power_ack:
        mac.refusals = 0
        mac.samples.clear()
        session.tx_power, session.nb_trans = request.tx_power, request.nb_trans
        session.adr_reason = request.reason
        context.state.dirty(session)
        return
    mac.refusals += 1
    if not command.data_rate_ack and request.dr > 0:
        mac.max_dr = request.dr - 1
    if not command.power_ack and request.tx_power > 0:
        mac.max_tx_power = request.tx_power - 1
    events.emit_log(
        context.state,
        context.device,
        context.gathered.wall_us,
        "WARNING",
        "UNKNOWN",
        f"the device refused LinkADRReq (DR{request.dr}, power index {request.tx_power}): "
        f"channels {_word(command.channel_mask_ack)}, data rate {_word(command.data_rate_ack)}, "
        f"power {_word(command.power_ack)}",
    )


def _word(accepted: bool) -> str:
    return "accepted" if accepted else "refused"

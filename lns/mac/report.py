"""The MAC layer in words, for the API and the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from internalapi.mac import MacChannel, MacParameters, MacRefusal, MacReport, MacRequest
from lns.mac.desired import desired
from lns.mac.negotiate import differences, under_way
from lns.mac.state import MacState
from lns.mac.versions import version_of
from lns.radio import RadioParameters, defined_channels, enabled_channels
from lorawan.commands import COMMANDS, Command, ForceRejoinReq, LinkADRReq, describe
from regional import Plan

if TYPE_CHECKING:
    from lns.session import Session
    from lns.state import NetworkState

ANSWERS = {row.downlink: row.uplink.__name__ for row in COMMANDS if row.downlink is not None and row.uplink is not None}
ANSWERS[ForceRejoinReq] = "rejoin-request"


def report(state: NetworkState, session: Session) -> MacReport:
    """Where this session's device and the server stand."""
    radio, wanted, plan = session.radio, desired(state, session), state.plan
    mac = session.device.mac or MacState()
    waiting = [_request(command, mac) for command in under_way(radio.asked)]
    missing = [one for _, requests in differences(radio, wanted, version_of(session), plan) for one in requests]
    relevant = {one.encode() for one in missing}
    refusals = [
        refusal
        for key, refusal in (mac.refusals or {}).items()
        if key in relevant or isinstance(refusal.request, LinkADRReq)
    ]
    refused = {refusal.request.encode() for refusal in refusals}
    names = {one.request for one in waiting}
    missing = [one for one in missing if type(one).__name__ not in names and one.encode() not in refused]
    to_ask = [describe(request) for request in missing]
    if enabled_channels(plan, radio) != enabled_channels(plan, wanted) & defined_channels(plan, radio) and not waiting:
        to_ask.append("LinkADRReq: channels on and off")
    step, text = _state(waiting, to_ask, [type(one.request).__name__ for one in refusals])
    return MacReport(
        step,
        text,
        parameters(plan, radio),
        parameters(plan, wanted),
        waiting,
        to_ask,
        [
            MacRefusal(
                type(one.request).__name__,
                [part.replace("_", " ") for part in one.parts],
                describe(one.request),
                one.count,
                one.until_us,
            )
            for one in refusals
        ],
        mac.unsupported,
    )


def _request(command: Command, mac: MacState) -> MacRequest:
    asking = mac.asking.get(command.cid) if mac.asking is not None else None
    name = type(command).__name__
    return MacRequest(
        name, ANSWERS.get(type(command), ""), describe(command), asking.tries if asking is not None else 0
    )


def _state(waiting: list[MacRequest], to_ask: list[str], refused: list[str]) -> tuple[str, str]:
    if waiting:
        answers = sorted(
            {f"{one.answer} (asked {one.tries} times)" if one.tries > 1 else one.answer for one in waiting}
        )
        return "waiting", f"waits for {', '.join(answers)}"
    if to_ask:
        return "to_ask", f"still to ask: {'; '.join(to_ask)}"
    if refused:
        return "refused", f"the device refused {', '.join(sorted(set(refused)))}"
    return "in_step", "in step"


def parameters(plan: Plan, radio: RadioParameters) -> MacParameters:
    """Radio parameters as people read them."""
    return MacParameters(
        radio.rx1_delay_s,
        radio.rx1_dr_offset,
        radio.rx2_dr,
        radio.rx2_frequency_hz,
        _channels(plan, radio),
        radio.max_duty_cycle,
        radio.uplink_dwell,
        radio.downlink_dwell,
        plan.max_eirp_dbm if radio.max_eirp_dbm is None else float(radio.max_eirp_dbm),
        1 << radio.adr_ack_limit_exp,
        1 << radio.adr_ack_delay_exp,
        None if radio.rejoin_time_n is None else 1 << radio.rejoin_time_n + 10,
        None if radio.rejoin_count_n is None else 1 << radio.rejoin_count_n + 4,
        radio.ping_slot_frequency_hz,
        radio.ping_slot_dr,
        None if radio.ping_periodicity is None else 1 << radio.ping_periodicity,
        radio.beacon_frequency_hz,
    )


def _channels(plan: Plan, radio: RadioParameters) -> list[MacChannel]:
    first, downlinks, on = len(plan.default_channels), dict(radio.dl_channels), enabled_channels(plan, radio)
    found = []
    for index in sorted(defined_channels(plan, radio)):
        channel = plan.default_channels[index] if index < first else radio.channels[index - first]
        rx1_hz = downlinks.get(index) or plan.rx1_frequency_hz(channel.frequency_hz)
        found.append(MacChannel(index, channel.frequency_hz, channel.min_dr, channel.max_dr, rx1_hz, index in on))
    return found

"""Join-requests: gathered like data, answered by a join server, durable before the accept is sent.

The server checks nothing that needs a root key: MIC and DevNonce are the join server's (TS002). One request makes one
session, whatever number of copies come: the join server answers a DevNonce once. The session before the join lives on until
the device uses the new one (TS001-1.0.4 §6.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lns import events
from lns.clock import Now
from lns.device import Device
from lns.downlink.compose import log_downlink
from lns.downlink.options import Option, join_options
from lns.downlink.ranking import ranked
from lns.downlink.transmit import Transmission
from lns.gateways.frames import RxFrame
from lns.gateways.ledger import Priority
from lns.lifecycle import open_session
from lns.mac.desired import after_join, cflist
from lns.session import RadioParameters
from lns.state import NetworkState
from lns.uplink import relay
from lns.uplink.gather import Gathered, Gatherer, Kind
from lns.uplink.reception import to_receptions
from lns.uplink.refused import log_refused
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.errors import FrameError
from lorawan.frames import JoinRequest, RejoinRequest0_2, RejoinRequest1, parse
from lorawan.identifiers import EUI64, DevAddr

DEV_ADDR_TRIES = 20
OPT_NEG = 0x80
"""DLSettings: the network speaks LoRaWAN 1.1."""
REKEY_ONLY = 2
REFUSALS = {
    "private_gateway": "the gateway is private to another organisation than the device's",
    "join_refused": "the device is disabled",
    "join_of_abp_device": "the device is entered as ABP, which does not join: enter it as OTAA, with its root key",
    "rejoin_of_other_network": "the rejoin is for a network with another NetID",
}
NO_ACCEPT = "accepted: but no join-accept was sent, for no gateway that heard the request can send"
Request: TypeAlias = JoinRequest | RejoinRequest0_2 | RejoinRequest1


@dataclass(slots=True)
class JoinAsked:
    """A question to the join server, with what is needed when its answer comes."""

    request: JoinReq
    device: Device
    gathered: Gathered
    radio: RadioParameters
    frame_id: int


def accept_join(state: NetworkState, gatherer: Gatherer, rx: RxFrame, now: Now) -> None:
    """Open a window for a join- or rejoin-request of a device that we know. Others are counted and forgotten."""
    try:
        request = _read(rx.phy)
    except FrameError:
        state.counters["bad_frames"] += 1
        return
    if rx.phy in state.answered_joins:
        state.counters["late_copies"] += 1
        return
    device = state.devices.get(request.dev_eui)
    dr = state.plan.dr_of(rx.datr, rx.codr)
    if device is None or dr is None:
        state.counters["join_unknown_device" if device is None else "unknown_data_rate"] += 1
        if device is None:
            log_refused(state, rx, "join_request", f"no device has the DevEUI {request.dev_eui:016x}")
        return
    refusal = _refusal(state, device, request, rx)
    if refusal:
        state.counters[refusal] += 1
        kind = "join_request" if isinstance(request, JoinRequest) else "rejoin_request"
        log_refused(state, rx, kind, REFUSALS[refusal], device=device)
        return
    gatherer.open(Kind.JOIN, rx, dr, now)


def _refusal(state: NetworkState, device: Device, request: Request, rx: RxFrame) -> str:
    """Why the join server is not asked, a key of :data:`REFUSALS`; empty when it is."""
    if not rx.gateway.serves(device.tags):
        return "private_gateway"
    if device.disabled:
        return "join_refused"
    if device.activation != "OTAA":
        return "join_of_abp_device"
    if isinstance(request, RejoinRequest0_2) and request.net_id != state.net_id:
        return "rejoin_of_other_network"
    return ""


def _read(phy: bytes) -> Request:
    frame = parse(phy)
    if not isinstance(frame, Request):
        raise FrameError(f"a {type(frame).__name__} is no join- or rejoin-request", 0)
    return frame


def device_of(state: NetworkState, phy: bytes) -> Device | None:
    """Whose join- or rejoin-request this is. Raises FrameError when it is none."""
    return state.devices.get(_read(phy).dev_eui)


def ask(state: NetworkState, gathered: Gathered) -> JoinAsked | None:
    """The window has closed: the question for the join server."""
    request = _read(gathered.phy)
    device = state.devices.get(request.dev_eui)
    if device is None:
        return None
    state.remember_join(gathered.phy)
    rejoin_type = None if isinstance(request, JoinRequest) else request.rejoin_type
    radio = _radio_after(state, device, gathered, rejoin_type)
    return JoinAsked(
        JoinReq(
            phy_payload=gathered.phy,
            mac_version=device.profile.mac_version,
            dev_eui=EUI64(request.dev_eui),
            net_id=state.net_id,
            dev_addr=new_dev_addr(state),
            dl_settings=(OPT_NEG if device.profile.lorawan_1_1 else 0) | radio.rx1_dr_offset << 4 | radio.rx2_dr,
            rx_delay=radio.rx1_delay_s,
            cflist=cflist(state, device),
            rejoin_type=rejoin_type,
            join_eui=EUI64(device.join_eui),
        ),
        device,
        gathered,
        radio,
        state.next_frame_id(),
    )


def _radio_after(state: NetworkState, device: Device, gathered: Gathered, rejoin_type: int | None) -> RadioParameters:
    """What the accept tells the device; type 2 changes keys only (LoRaWAN 1.1 §6.2.4.1)."""
    if rejoin_type == REKEY_ONLY and device.session is not None:
        return device.session.radio
    return after_join(state, device, gathered.copies[0].frequency_hz)


def new_dev_addr(state: NetworkState) -> DevAddr:
    """A random address of our NetID that no session has; after many tries any of ours (the MIC tells them apart)."""
    bits = state.net_id.nwk_addr_bits
    for _ in range(DEV_ADDR_TRIES):
        dev_addr = state.net_id.make_dev_addr(state.rng.getrandbits(bits))
        if not state.sessions.get(dev_addr):
            break
    return dev_addr


def answered(state: NetworkState, asked: JoinAsked, answer: JoinAns, now: Now) -> Transmission | None:
    """The join server's answer: a session, its row and the accept, or a line in the log that says why not."""
    device, gathered = asked.device, asked.gathered
    accepted = answer.result is ResultCode.SUCCESS and answer.session_keys is not None
    way = relay.via(gathered.copies)
    options: list[Option] = []
    if accepted:
        options = relay.options(state, way) if way else join_options(state, gathered.copies, gathered.dr)
    outcome = "accepted" if options else NO_ACCEPT
    _log_request(state, asked, outcome if accepted else f"refused: {answer.result.value}: {answer.detail}")
    if answer.result is not ResultCode.SUCCESS or answer.session_keys is None:
        state.counters[f"join_{answer.result.name.lower()}"] += 1
        events.emit_log(state, device, now.wall_us, "ERROR", _log_code(answer.result), answer.detail)
        return None
    if state.devices.get(device.dev_eui) is not device:
        return None
    if device.pending is not None:
        state.reach.missed(device.id)  # it asks again: the accept before this one was not heard
    session = open_session(state, device, asked.request.dev_addr, answer.session_keys, asked.radio, now.wall_us)
    state.counters["joins"] += 1
    if answer.detail:
        events.emit_log(state, device, now.wall_us, "WARNING", "OTAA", answer.detail)
    if not options:
        state.counters["no_downlink_option"] += 1
        return None
    options, why = ranked(state, device.id, options, len(answer.phy_payload), 0, Priority.ANSWER, now)
    transmission = Transmission(device, state.next_frame_id(), answer.phy_payload, options, None, now)
    if why:
        transmission.mark(f"put behind: {why}", now)
    log_downlink(state, "join_accept", session, transmission, None, None, asked.frame_id)
    return transmission


def _log_request(state: NetworkState, asked: JoinAsked, outcome: str) -> None:
    gathered = asked.gathered
    rx = events.best_copies(gathered.copies)[0]
    state.batch.frames.append(
        (
            asked.frame_id,
            "join_request" if asked.request.rejoin_type is None else "rejoin_request",
            gathered.wall_us,
            asked.device.id,
            0,
            None,
            None,
            None,
            False,
            rx.frequency_hz,
            rx.datr,
            gathered.phy,
            to_receptions(gathered.copies),
            rx.gateway.eui_text,
            0,
            outcome,
        )
    )


def _log_code(result: ResultCode) -> str:
    return "UPLINK_MIC" if result is ResultCode.MIC_FAILED else "OTAA"

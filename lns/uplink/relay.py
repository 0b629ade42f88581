"""Devices behind a relay (TS011-1.0.1): their frames come inside the relay's own, and so do their answers.

A relay sends what it heard on FPort 226, encrypted with its NwkSEncKey. The frame within goes the way of every other frame, by
itself; only its answer has no window of its own and is carried by the answer to the relay. So the relay's answer waits for it:
both windows together are some 0.4 s of the relay's RECEIVE_DELAY1.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from internalapi.messages import RelayReception
from lns import events
from lns.downlink.compose import FHDR_BYTES, encode, log_downlink
from lns.downlink.options import Option, data_options
from lorawan.errors import FrameError
from lorawan.relay import ForwardDownlinkReq, ForwardUplinkReq
from regional import PlanError

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.downlink.transmit import Transmission
    from lns.gateways.frames import RxFrame
    from lns.session import Session
    from lns.state import NetworkState
    from lns.uplink.gather import Gathered

RELAY_PORT = 226
AROUND = FHDR_BYTES + 1 + 5
"""What the relay's frame adds to the MACPayload within: its FHDR and FPort, and the MHDR and MIC of the frame within."""


@dataclass(slots=True)
class Via:
    """The way that a relayed frame came."""

    session: Session
    """The relay's."""
    gathered: Gathered
    """The relay's own frame, with the gateways that heard it."""
    request: ForwardUplinkReq
    ack_f_cnt: int | None
    own_answer: Callable[[Now], Transmission | None]
    """What the relay is told when there is nothing for the device behind it."""

    @property
    def reception(self) -> RelayReception:
        """How the relay heard the device, for the event."""
        request = self.request
        return RelayReception(
            self.session.device.dev_eui_text,
            request.dr,
            request.frequency_hz,
            request.snr_db,
            request.rssi_dbm,
            request.wor_channel,
        )


def unwrap(
    state: NetworkState,
    session: Session,
    gathered: Gathered,
    data: bytes,
    ack_f_cnt: int | None,
    own_answer: Callable[[Now], Transmission | None],
) -> bool:
    """Queue the frame inside a relay's frame. ``data`` is decrypted. False when there is none that can be read."""
    try:
        request = ForwardUplinkReq.parse(data)
        datr = state.plan.datr(request.dr)
    except (FrameError, PlanError):
        state.counters["bad_relayed_frames"] += 1
        return False
    rx = copy(events.best_copies(gathered.copies)[0])
    rx.phy, rx.frequency_hz, rx.datr = request.phy_payload, request.frequency_hz, datr
    rx.rssi_dbm, rx.snr_db = request.rssi_dbm, request.snr_db
    rx.tmst = rx.context = None
    rx.via = Via(session, gathered, request, ack_f_cnt, own_answer)
    state.relayed.append(rx)
    state.counters["relayed"] += 1
    return True


def via(copies: list[RxFrame]) -> Via | None:
    """The relay through which a frame is to be answered; None when a gateway heard the device itself."""
    if copies[0].via is None or any(rx.is_answerable for rx in copies):
        return None  # the first of all is nearly always a gateway's own
    return next((rx.via for rx in copies if rx.via is not None), None)


def options(state: NetworkState, way: Via) -> list[Option]:
    """The relay's own windows, with the room that is left inside its frame."""
    own = data_options(state, way.gathered.copies, way.gathered.dr, way.session.radio)
    return [replace(option, max_mac_payload=option.max_mac_payload - AROUND) for option in own]


def answer(state: NetworkState, way: Via, transmission: Transmission | None, now: Now) -> Transmission | None:
    """Answer the relay: with a device's downlink inside (ForwardDownlinkReq), or with what it is told by itself."""
    if transmission is None:
        return way.own_answer(now)
    relay = way.session
    inner = ForwardDownlinkReq(transmission.phy).encode()
    transmission.phy, f_cnt = encode(state, relay, None, b"", way.ack_f_cnt, False, carried=(RELAY_PORT, inner))
    log_downlink(state, "down", relay, transmission, f_cnt, RELAY_PORT, way.gathered.frame_id, carries=True)
    state.dirty(relay)
    state.speaks_until(
        relay.device, max(option.end_us(state.plan, len(transmission.phy)) for option in transmission.options)
    )
    return transmission

"""What a device makes of a downlink: which window takes it, whether it is for the device, and what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorasim import mac
from lorasim.certification import obey
from lorasim.class_b import ClassB
from lorasim.class_c import ClassC
from lorasim.mac import Condition, MacState
from lorasim.radio import Downlink
from lorasim.session import Refused, Session
from lorawan import commands, frames
from lorawan.errors import FrameError
from regional import PlanError

if TYPE_CHECKING:
    from lorasim.device import Device

EMPTY_UPLINK_US = (1_000_000, 3_000_000)
"""Random pause before an uplink without payload that only acknowledges or fetches more."""


def detect(device: Device, downlink: Downlink, now: int) -> str | None:
    """A preamble arrives: None when a window takes it, else why it goes unheard."""
    if now < device.transmitter.end_us:
        return "transmitting"
    why = device.receiver.detect(downlink, now)
    if why is not None and device.class_c is not None and device.session is not None and not device.receiver.locked:
        rxc = device.state.rx2_frequency_hz, str(device.plan.datr(device.state.rx2_dr, downlink=True))
        return device.class_c.detect(downlink, now, device.transmitter.end_us, rxc)
    if why is None or device.class_b is None or device.receiver.pending:
        return why
    return device.class_b.detect(downlink, now, device.session.dev_addr if device.session is not None else None)


def receive(device: Device, downlink: Downlink, now: int, snr_db: float) -> bool | None:
    """A frame is complete. True: it is what the windows waited for; False: it is not; None: no class A window took it."""
    for listener in (device.class_b, device.class_c):
        if listener is not None and listener.release(downlink):
            _unasked(device, listener, downlink, now, snr_db)
            return None
    if not device.receiver.release(downlink):
        return None
    phy = downlink.phy
    try:
        frame = frames.parse(phy)
    except FrameError as error:
        device.note("downlink_refused", why=str(error), phy=phy.hex())
        return False
    if isinstance(frame, frames.EncryptedJoinAccept):
        return device.waits_for_accept and _join_accept(device, phy)
    if isinstance(frame, frames.DataFrame) and not frame.uplink:
        return device.waits_for_data and _data(device, phy, frame, now, snr_db)
    return False


def _join_accept(device: Device, phy: bytes) -> bool:
    """A join-accept for somebody: for us when its MIC fits."""
    try:
        accepted = device.joiner.open(phy)
        if accepted is None:
            return False  # most likely another device's, in the same window
        device.state = _joined_state(device, accepted.accept, accepted.join_req_type)
    except (Refused, PlanError) as error:
        device.note("downlink_refused", why=str(error), phy=phy.hex(), window=device.receiver.window)
        return False
    accept, keys = accepted.accept, accepted.keys
    device.state.lorawan_1_1 = keys.lorawan_1_1
    device.activate(accept.dev_addr, accept.net_id, keys)
    device.outbox.forget_mac()
    device.adr.count = device.join_tries = 0
    device.note(
        "joined",
        dev_addr=str(accept.dev_addr),
        join_nonce=accept.join_nonce,
        dev_nonce=accepted.dev_nonce,
        join_req_type=accepted.join_req_type,
        window=device.receiver.window,
        lorawan_1_1=keys.lorawan_1_1,
        channels_hz=[channel.frequency_hz for channel in device.state.channels.values()],
    )
    return True


def _joined_state(device: Device, accept: frames.JoinAccept, join_req_type: int) -> MacState:
    """Radio parameters after a join-accept; rejoin type 2 renews keys only (1.1 §6.2.4.1)."""
    if join_req_type == 2:
        return device.state
    state = device.fresh_state()
    state.apply_cflist(accept.cflist)
    state.dr = device.state.dr if state.usable(device.state.dr) else device.config.dr
    state.rx1_delay_s = accept.rx_delay or 1
    state.rx1_dr_offset, state.rx2_dr = accept.rx1_dr_offset, accept.rx2_dr
    return state


def _data(device: Device, phy: bytes, frame: frames.DataFrame, now: int, snr_db: float) -> bool:
    session, sending = device.session, device.sending
    assert session is not None and sending is not None
    if not _take(device, session, phy, frame, device.receiver.window, now, snr_db):
        return False
    device.adr.count, sending.answered = 0, True
    sending.acked = sending.acked or (frame.ack and sending.confirmed)
    return True


def _unasked(device: Device, listener: ClassB | ClassC, downlink: Downlink, now: int, snr_db: float) -> None:
    """A beacon, a frame in a ping slot, or one in class C."""
    if downlink.implicit and isinstance(listener, ClassB):
        good = listener.take_beacon(downlink)
        device.note("beacon" if good else "beacon_refused", phy=downlink.phy.hex())
        if good and device.certification is not None:
            device.certification.beacon(device, downlink, False, snr_db, now)
        return
    session = listener.group or device.session
    try:
        frame = frames.parse(downlink.phy)
    except FrameError as error:
        device.note("downlink_refused", why=str(error), phy=downlink.phy.hex())
        return
    if session is not None and isinstance(frame, frames.DataFrame) and not frame.uplink:
        _take(device, session, downlink.phy, frame, listener.window, now, snr_db)
    device.answer_when_idle(now)


def _take(
    device: Device, session: Session, phy: bytes, frame: frames.DataFrame, window: str, now: int, snr_db: float
) -> bool:
    """A downlink for a session of this device, its own or a group's: counter, MIC, MAC commands."""
    if frame.dev_addr != session.dev_addr:
        return False
    try:
        opened = session.open(phy, frame, device.confirmed_up)
    except Refused as refused:
        device.note("downlink_refused", why=str(refused), phy=phy.hex(), window=window)
        return False
    if window.startswith("RX"):
        device.outbox.heard_downlink()
    session.confirmed_down = opened.f_cnt if frame.confirmed else None
    block = opened.payload if frame.f_port == 0 else opened.f_opts
    if session is not device.session:
        block = b""  # a group has no MAC layer
    asked = commands.parse_commands(block, uplink=False, lorawan_1_1=session.keys.lorawan_1_1) if block else []
    answers = mac.handle(device.state, asked, Condition(device.transmitter.battery_level(now), round(snr_db)))
    device.outbox.add(answers, device.state.manners)
    if answers.reset_confirmed or answers.mode_confirmed:
        done = commands.ResetInd if answers.reset_confirmed else commands.DeviceModeInd
        device.insisting = [one for one in device.insisting if not isinstance(one, done)]
    session.rekeyed = session.rekeyed or answers.rekeyed
    device.rejoin_wanted = answers.rejoin or device.rejoin_wanted
    if device.class_b is not None:
        _obey_class_b(device.class_b, asked, answers, device.transmitter.end_us)
    if device.certification is not None and session is device.session:
        obey(device, device.certification.receive(frame.f_port, opened.payload, frame.ack), now)
    # in a ping slot FPending only says that more comes in the next ones (1.0.4 §4.3.1.4)
    if frame.confirmed or (frame.f_pending and window.startswith("RX")):
        device.empty_at_us = now + device.rng.randrange(*EMPTY_UPLINK_US)
    device.note(
        "downlink",
        window=window,
        dev_addr=str(session.dev_addr),
        f_cnt=opened.f_cnt,
        counter=opened.counter,
        phy=phy.hex(),
        ack=frame.ack,
        confirmed=frame.confirmed,
        f_pending=frame.f_pending,
        f_port=frame.f_port,
        data=opened.payload.hex() if frame.f_port else "",
        mac=[commands.describe(command) for command in asked],
        ignored=answers.ignored,
        link_check=answers.link_check,
        device_time=answers.device_time,
    )
    return True


def _obey_class_b(class_b: ClassB, asked: list[commands.Command], answers: mac.Answers, uplink_end_us: int) -> None:
    """The commands of class B, and the time that a beacon is found with."""
    if answers.device_time is not None:
        class_b.told(*answers.device_time, uplink_end_us)
    class_b.informed = class_b.informed or any(isinstance(one, commands.PingSlotInfoAns) for one in asked)

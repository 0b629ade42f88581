"""A LoRaWAN end device of class A, B or C as a state machine without a radio: 1.0.2 to 1.0.4 and 1.1, OTAA and ABP.

Feed it downlinks with :meth:`Device.detect` (the preamble reaches the antenna: is a window open?) and
:meth:`Device.receive` (the whole frame is there), ask :meth:`Device.timer`, call :meth:`Device.handle_timer`, and take
:meth:`Device.next_effect`: frames for the air (:class:`Uplink`) and notes of what happened (:class:`Note`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from lorasim import mac
from lorasim.class_b import ClassB
from lorasim.class_c import ClassC
from lorasim.crypto import SessionKeys
from lorasim.device_config import DeviceConfig
from lorasim.joining import Joiner
from lorasim.mac import Condition, MacState
from lorasim.outbox import Message, Outbox, Sending
from lorasim.radio import Downlink, Note, Uplink, airtime_us
from lorasim.receiver import Receiver
from lorasim.session import Refused, Session
from lorawan import commands, frames
from lorawan.errors import FrameError
from lorawan.identifiers import DevAddr, NetID
from regional import Plan, PlanError

__all__ = ["Device", "DeviceConfig", "Phase"]

EMPTY_UPLINK_US = (1_000_000, 3_000_000)
"""Random pause before an uplink without payload that only acknowledges or fetches more."""


class Phase(Enum):
    OFF = auto()
    JOIN_WAIT = auto()
    """A join-request leaves at the deadline."""
    JOINING = auto()
    """Windows of a join-accept are open until the deadline."""
    IDLE = auto()
    WINDOWS = auto()
    """RX1 and RX2 of a data frame."""
    REPEAT_WAIT = auto()
    """The same frame leaves again at the deadline."""
    REJOINING = auto()


@dataclass(slots=True)
class Device:
    """See the module."""

    config: DeviceConfig
    plan: Plan
    rng: random.Random
    state: MacState = field(init=False)
    session: Session | None = None
    phase: Phase = Phase.OFF
    outbox: Outbox = field(default_factory=Outbox)
    _receiver: Receiver = field(default_factory=Receiver)
    _deadline_us: int | None = None
    _sending: Sending | None = None
    _empty_at_us: int | None = None
    _joiner: Joiner = field(init=False)
    _join_tries: int = 0
    _rejoin: tuple[int, int] | None = None
    """Type and data rate (15: the current one) of a rejoin that waits."""
    _insisting: list[commands.Command] = field(default_factory=list)
    """Requests that ride with every uplink until they are confirmed: ResetInd, DeviceModeInd."""
    _confirmed_up: int = 0
    _adr_ack_cnt: int = 0
    class_b: ClassB | None = None
    class_c: ClassC | None = None
    _uplink_end_us: int = 0
    _effects: deque[Uplink | Note] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.state = self._fresh_state()
        config = self.config
        if config.ping_periodicity is not None:
            self.class_b = ClassB(self.plan, config.ping_periodicity, config.ppm)
        self.class_c = ClassC() if config.class_c else None
        self._joiner = Joiner(
            config.dev_eui,
            config.join_eui,
            config.nwk_key if config.lorawan_1_1 else config.app_key,
            config.app_key,
            config.lorawan_1_1,
            config.counts_nonces,
            config.first_dev_nonce,
        )

    def _fresh_state(self) -> MacState:
        config = self.config
        return MacState(self.plan, config.dr, keeps_15=config.counts_nonces, manners=config.manners)

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """Power on: a device with a session sends, another joins."""
        if self.session is None:
            self._wait(Phase.JOIN_WAIT, now)
        else:
            self._rest(now)

    def activate(self, dev_addr: int, net_id: int, keys: SessionKeys) -> None:
        """Give an ABP session before the start."""
        self.session = self._new_session(dev_addr, net_id, keys)

    def restart(self, now: int, keep_session: bool) -> None:
        """Power off and on. Without its session the device joins again; DevNonce, when counted, is never lost."""
        if self.session is not None:
            self.session.f_cnt_up += self._sending is not None
            if not keep_session:
                self.session = None
        self._sending = self._rejoin = self._empty_at_us = None
        self._join_tries = 0
        self._receiver.close()
        self.outbox.forget_mac()
        if self.class_b is not None:
            self.class_b.forget()
        if self.session is None:
            self.state = self._fresh_state()
        self._note("restart", kept=keep_session)
        self.start(now)

    def stop(self) -> None:
        """Power off."""
        self._wait(Phase.OFF, None)
        self._receiver.close()

    def send(self, message: Message, now: int) -> bool:
        """Queue a payload; it leaves when the device is joined and idle. False when the memory is full."""
        if len(self.outbox.queue) >= self.config.queue_length:
            self._note("queue_full", tag=message.tag)
            return False
        self.outbox.queue.append(message)
        if self.phase is Phase.IDLE:
            self._rest(now)
        return True

    def rejoin(self, rejoin_type: int, now: int, dr: int = 15) -> None:
        """Send a rejoin-request of a type (1.1 §6.2.4) as soon as the radio is free."""
        self._rejoin = (rejoin_type, dr)
        if self.phase is Phase.IDLE:
            self._rest(now)

    def reset_radio(self) -> None:
        """An ABP device of 1.1 has lost its radio parameters: it says so until it is confirmed (1.1 §5.1)."""
        self.state = self._fresh_state()
        self.state.lorawan_1_1 = True
        self._insisting.append(commands.ResetInd(minor=1))

    def change_class(self, device_class: str) -> None:
        """Tell the network a new class until it is confirmed (1.1 §18.1); the device works in it from then on."""
        self._insisting.append(commands.DeviceModeInd({"A": 0, "C": 2}[device_class]))

    @property
    def joined(self) -> bool:
        return self.session is not None

    @property
    def listening(self) -> bool:
        """Whether receive windows are pending, or a beacon or ping slot may be."""
        return (
            self._receiver.pending
            or self.class_c is not None
            or (self.class_b is not None and self.class_b.timer() is not None)
        )

    # ------------------------------------------------------------------------------------------------- timers

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is due."""
        # while a frame comes in, its end is what happens next
        if self.phase is Phase.OFF or self._receiver.locked:
            return None
        beacon_us = self.class_b.timer() if self.class_b is not None else None
        return min((t for t in (self._deadline_us, beacon_us) if t is not None), default=None)

    def handle_timer(self, now: int) -> None:
        if self.class_b is not None and (kind := self.class_b.handle_timer(now)):
            self._note(kind, missed=self.class_b.missed)
        if self._deadline_us is not None and now >= self._deadline_us and not self._receiver.locked:
            self._deadline_us = None
            _ON_TIMER[self.phase](self, now)

    def _wait(self, phase: Phase, deadline_us: int | None) -> None:
        self.phase, self._deadline_us = phase, deadline_us

    def _seconds(self, limits: tuple[float, float], factor: float = 1.0) -> int:
        return round(self.rng.uniform(*limits) * factor * 1e6)

    def _rest(self, now: int) -> None:
        """Nothing in progress: send what waits, or sleep."""
        self._receiver.close()
        if self._rejoin is not None and self.config.lorawan_1_1:
            self._send_rejoin(now)
        elif self.outbox.queue:
            self._send_data(now)
        else:
            self._wait(Phase.IDLE, self._empty_at_us)

    def _on_idle(self, now: int) -> None:
        self._empty_at_us = None
        self._send_data(now)

    # ------------------------------------------------------------------------------------------------- sending

    def _transmit(self, phy: bytes, channel: mac.Channel, dr: int, now: int, delay_us: int, accept: bool) -> None:
        """Put a frame on the air and set the two windows behind it."""
        plan, state = self.plan, self.state
        datr = str(plan.datr(dr))
        uplink = Uplink(
            self.config.dev_eui,
            phy,
            channel.frequency_hz,
            datr,
            dr,
            now,
            airtime_us(len(phy), datr, crc=True),
            state.eirp_dbm(),
        )
        rx1_hz = plan.join_rx1_frequency_hz(channel.frequency_hz) if accept else channel.rx1_hz
        rx1_dr = plan.rx1_dr(dr, state.rx1_dr_offset, state.downlink_dwell)
        self._uplink_end_us = uplink.end_us
        if self.class_c is not None:
            self.class_c.close()
        self._deadline_us = self._receiver.open(
            uplink.end_us + delay_us,
            (rx1_hz, str(plan.datr(rx1_dr, downlink=True))),
            (state.rx2_frequency_hz, str(plan.datr(state.rx2_dr, downlink=True))),
        )
        self._note(
            "transmit",
            phy=phy.hex(),
            frequency_hz=channel.frequency_hz,
            datr=datr,
            airtime_us=uplink.airtime_us,
            power_dbm=uplink.power_dbm,
        )
        self._effects.append(uplink)

    def _send_join(self, now: int) -> None:
        state = self.state
        state.reset_radio()
        # every third try goes a data rate further down
        state.dr = max(0, self.config.dr - self._join_tries // 3)
        self._join_tries += 1
        phy = self._joiner.request(self.rng)
        self._note("join_request", phy=phy.hex(), dev_nonce=self._joiner.asked, attempt=self._join_tries)
        self._ask(phy, state.dr, now, Phase.JOINING)

    def _send_rejoin(self, now: int) -> None:
        state, session = self.state, self.session
        assert self._rejoin is not None and session is not None
        (kind, dr), self._rejoin = self._rejoin, None
        phy = self._joiner.rejoin_request(kind, session.net_id, session.keys)
        self._note("rejoin_request", phy=phy.hex(), rejoin_type=kind, rj_count=self._joiner.asked)
        self._ask(phy, dr if state.usable(dr) else state.dr, now, Phase.REJOINING)

    def _ask(self, phy: bytes, dr: int, now: int, phase: Phase) -> None:
        """Transmit a request for a join-accept."""
        channel = self.state.channels[self.rng.choice(self.state.usable(dr))]
        self._transmit(phy, channel, dr, now, self.plan.join_accept_delay1_s * 1_000_000, accept=True)
        self.phase = phase

    def _send_data(self, now: int) -> None:
        session, limit = self.session, self.plan.max_payload(self.state.dr, dwell=self.state.uplink_dwell)
        assert session is not None
        while (message := self.outbox.too_long(limit)) is not None:
            self._note("too_long", length=len(message.data), limit=limit, tag=message.tag)
        self._ask_for_class_b(now)
        sending = self.outbox.compose(
            limit, [*([] if session.rekeyed else [commands.RekeyInd(minor=1)]), *self._insisting]
        )
        sending.adr_ack_req = self.config.adr and self._adr_ack_cnt >= self.state.adr_ack_limit
        sending.conf_f_cnt, session.confirmed_down = session.confirmed_down, None
        self._sending = sending
        self._adr_ack_cnt += 1
        self._adr_back_off()
        self._empty_at_us = None
        self._send_again(now)

    def _ask_for_class_b(self, now: int) -> None:
        """The time, without which no beacon is found, and that the network knows the ping slots."""
        class_b, wishes = self.class_b, self.outbox.wishes
        if class_b is not None and class_b.wants_time(now):
            wishes.append(commands.DeviceTimeReq())
        if class_b is not None and not class_b.informed:
            wishes.append(commands.PingSlotInfoReq(class_b.periodicity))

    def _send_again(self, now: int) -> None:
        """One transmission of the uplink in progress."""
        session, sending, state = self.session, self._sending, self.state
        assert session is not None and sending is not None
        sending.transmissions += 1
        index = self.rng.choice(state.usable(state.dr))
        frame = frames.DataFrame(
            uplink=True,
            confirmed=sending.confirmed,
            dev_addr=session.dev_addr,
            adr=self.config.adr,
            adr_ack_req=sending.adr_ack_req,
            class_b=self.class_b is not None and self.class_b.locked,
            ack=sending.conf_f_cnt is not None,
            f_port=sending.f_port,
        )
        phy = session.seal(frame, sending.f_opts, sending.payload, sending.conf_f_cnt or 0, state.dr, index)
        if sending.confirmed:
            self._confirmed_up = session.f_cnt_up
        self._note(
            "uplink",
            phy=phy.hex(),
            dev_addr=str(session.dev_addr),
            f_cnt=session.f_cnt_up,
            f_port=sending.f_port,
            data=sending.payload.hex(),
            confirmed=sending.confirmed,
            transmission=sending.transmissions,
            tag=sending.tag,
        )
        self._transmit(phy, state.channels[index], state.dr, now, state.rx1_delay_s * 1_000_000, accept=False)
        self.phase = Phase.WINDOWS

    def _adr_back_off(self) -> None:
        """Nobody has answered for long: more power, then slower, then all channels (1.0.4 §4.3.1.1)."""
        state, over = self.state, self._adr_ack_cnt - self.state.adr_ack_limit
        if not self.config.adr or over <= 0 or over % state.adr_ack_delay:
            return
        if state.tx_power:
            state.tx_power = 0
        elif (lower := self.plan.next_lower_dr(state.dr)) is not None and state.usable(lower):
            state.dr = lower
        else:
            state.nb_trans = 1
            state.enabled = set(state.channels)

    # ------------------------------------------------------------------------------------------------- listening

    def detect(self, downlink: Downlink, now: int) -> str | None:
        """The preamble of a frame arrives: None when a window takes it, else why it goes unheard."""
        why = self._receiver.detect(downlink, now)
        if why is not None and self.class_c is not None and self.session is not None and not self._receiver.locked:
            rxc = self.state.rx2_frequency_hz, str(self.plan.datr(self.state.rx2_dr, downlink=True))
            return self.class_c.detect(downlink, now, self._uplink_end_us, rxc)
        if why is None or self.class_b is None or self._receiver.pending:
            return why
        return self.class_b.detect(downlink, now, self.session.dev_addr if self.session is not None else None)

    def receive(self, downlink: Downlink, now: int, snr_db: float = 0.0) -> None:
        """The frame that :meth:`detect` took is complete."""
        if self.class_b is not None and self.class_b.release(downlink):
            self._receive_unasked(self.class_b, downlink, now, snr_db)
            return
        if self.class_c is not None and self.class_c.release(downlink):
            self._receive_unasked(self.class_c, downlink, now, snr_db)
            return
        if not self._receiver.release(downlink):
            return
        phy = downlink.phy
        try:
            frame = frames.parse(phy)
        except FrameError as error:
            self._note("downlink_refused", why=str(error), phy=phy.hex())
            frame = None
        accepted = False
        if isinstance(frame, frames.EncryptedJoinAccept) and self.phase in (Phase.JOINING, Phase.REJOINING):
            accepted = self._join_accept(phy)
        elif isinstance(frame, frames.DataFrame) and not frame.uplink and self.phase is Phase.WINDOWS:
            accepted = self._data(phy, frame, now, snr_db)
        if accepted:
            self._deadline_us = None
            _ON_TIMER[self.phase](self, now)
        elif self._receiver.over(now):
            self._deadline_us = now

    def _join_accept(self, phy: bytes) -> bool:
        """A join-accept for somebody: for us when its MIC fits."""
        try:
            accepted = self._joiner.open(phy)
            if accepted is None:
                return False  # most likely another device's, in the same window
            self.state = self._joined_state(accepted.accept, accepted.join_req_type)
        except (Refused, PlanError) as error:
            self._note("downlink_refused", why=str(error), phy=phy.hex(), window=self._receiver.window)
            return False
        accept, keys = accepted.accept, accepted.keys
        self.state.lorawan_1_1 = keys.lorawan_1_1
        self.session = self._new_session(accept.dev_addr, accept.net_id, keys)
        self.outbox.forget_mac()
        self._adr_ack_cnt = self._join_tries = 0
        self._note(
            "joined",
            dev_addr=str(accept.dev_addr),
            join_nonce=accept.join_nonce,
            dev_nonce=accepted.dev_nonce,
            join_req_type=accepted.join_req_type,
            window=self._receiver.window,
            lorawan_1_1=keys.lorawan_1_1,
            channels_hz=[channel.frequency_hz for channel in self.state.channels.values()],
        )
        return True

    def _joined_state(self, accept: frames.JoinAccept, join_req_type: int) -> MacState:
        """Radio parameters after a join-accept; rejoin type 2 renews keys only (1.1 §6.2.4.1)."""
        if join_req_type == 2:
            return self.state
        state = self._fresh_state()
        state.apply_cflist(accept.cflist)
        state.dr = self.state.dr if state.usable(self.state.dr) else self.config.dr
        state.rx1_delay_s = accept.rx_delay or 1
        state.rx1_dr_offset, state.rx2_dr = accept.rx1_dr_offset, accept.rx2_dr
        return state

    def _new_session(self, dev_addr: int, net_id: int, keys: SessionKeys) -> Session:
        strict = not self.config.counts_nonces
        return Session(DevAddr(dev_addr), NetID(net_id), keys, strict_gap=strict, rekeyed=not keys.lorawan_1_1)

    def _data(self, phy: bytes, frame: frames.DataFrame, now: int, snr_db: float) -> bool:
        session, sending = self.session, self._sending
        assert session is not None and sending is not None
        if not self._take(session, phy, frame, self._receiver.window, now, snr_db):
            return False
        self._adr_ack_cnt, sending.answered = 0, True
        sending.acked = sending.acked or (frame.ack and sending.confirmed)
        return True

    def _receive_unasked(self, listener: ClassB | ClassC, downlink: Downlink, now: int, snr_db: float) -> None:
        """A beacon, a frame in a ping slot, or one in class C."""
        if downlink.implicit and isinstance(listener, ClassB):
            good = listener.take_beacon(downlink)
            self._note("beacon" if good else "beacon_refused", phy=downlink.phy.hex())
            return
        session = listener.group or self.session
        try:
            frame = frames.parse(downlink.phy)
        except FrameError as error:
            self._note("downlink_refused", why=str(error), phy=downlink.phy.hex())
            return
        if session is not None and isinstance(frame, frames.DataFrame) and not frame.uplink:
            self._take(session, downlink.phy, frame, listener.window, now, snr_db)
        if self.phase is Phase.IDLE and self._empty_at_us is not None:
            self._rest(now)

    def _take(
        self, session: Session, phy: bytes, frame: frames.DataFrame, window: str, now: int, snr_db: float
    ) -> bool:
        """A downlink for a session of this device, its own or a group's: counter, MIC, MAC commands."""
        if frame.dev_addr != session.dev_addr:
            return False
        try:
            opened = session.open(phy, frame, self._confirmed_up)
        except Refused as refused:
            self._note("downlink_refused", why=str(refused), phy=phy.hex(), window=window)
            return False
        if window.startswith("RX"):
            self.outbox.heard_downlink()
        session.confirmed_down = opened.f_cnt if frame.confirmed else None
        block = opened.payload if frame.f_port == 0 else opened.f_opts
        if session is not self.session:
            block = b""  # a group has no MAC layer
        asked = commands.parse_commands(block, uplink=False, lorawan_1_1=session.keys.lorawan_1_1)
        answers = mac.handle(self.state, asked, Condition(self.config.battery, round(snr_db)))
        self.outbox.add(answers, self.state.manners)
        if answers.reset_confirmed or answers.mode_confirmed:
            done = commands.ResetInd if answers.reset_confirmed else commands.DeviceModeInd
            self._insisting = [one for one in self._insisting if not isinstance(one, done)]
        session.rekeyed = session.rekeyed or answers.rekeyed
        self._rejoin = answers.rejoin or self._rejoin
        if self.class_b is not None:
            self._obey_class_b(self.class_b, asked, answers)
        # in a ping slot FPending only says that more comes in the next ones (1.0.4 §4.3.1.4)
        if frame.confirmed or (frame.f_pending and window.startswith("RX")):
            self._empty_at_us = now + self.rng.randrange(*EMPTY_UPLINK_US)
        self._note(
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

    def _obey_class_b(self, class_b: ClassB, asked: list[commands.Command], answers: mac.Answers) -> None:
        """The commands of class B, and the time that a beacon is found with."""
        if answers.device_time is not None:
            class_b.told(*answers.device_time, self._uplink_end_us)
        class_b.informed = class_b.informed or any(isinstance(one, commands.PingSlotInfoAns) for one in asked)

    # ------------------------------------------------------------------------------------------------- windows over

    def _on_join_windows(self, now: int) -> None:
        self._receiver.close()
        if self.session is not None:
            self._rest(now)
            return
        factor = 2.0 ** min(self._join_tries - 1, 20)
        longest = round(self.config.join_backoff_max_s * 1e6)
        pause_us = min(self._seconds(self.config.join_backoff_s, factor), longest)
        self._note("join_unanswered", attempt=self._join_tries, retry_in_s=round(pause_us / 1e6, 1))
        self._wait(Phase.JOIN_WAIT, now + pause_us)

    def _on_rejoin_windows(self, now: int) -> None:
        self._rest(now)

    def _on_windows(self, now: int) -> None:
        """Both windows are over, or a downlink came: repeat the frame or be done with it."""
        session, sending = self.session, self._sending
        assert session is not None and sending is not None
        self._receiver.close()
        tries = self.state.nb_trans
        if sending.confirmed and not self.config.counts_nonces:
            tries = max(tries, self.config.confirmed_tries)
        if not sending.done and sending.transmissions < tries:
            self._wait(Phase.REPEAT_WAIT, now + self._seconds(self.config.ack_timeout_s))
            return
        self._note(
            "uplink_done",
            f_cnt=session.f_cnt_up,
            confirmed=sending.confirmed,
            acked=sending.acked,
            transmissions=sending.transmissions,
            tag=sending.tag,
        )
        session.f_cnt_up += 1
        self._sending = None
        self._rest(now)

    def _note(self, kind: str, **fields: object) -> None:
        self._effects.append(Note(kind, fields))

    def next_effect(self) -> Uplink | Note | None:
        return self._effects.popleft() if self._effects else None


_ON_TIMER: dict[Phase, Callable[[Device, int], None]] = {
    Phase.OFF: lambda device, now: None,
    Phase.JOIN_WAIT: Device._send_join,
    Phase.JOINING: Device._on_join_windows,
    Phase.IDLE: Device._on_idle,
    Phase.WINDOWS: Device._on_windows,
    Phase.REPEAT_WAIT: Device._send_again,
    Phase.REJOINING: Device._on_rejoin_windows,
}

"""A LoRaWAN end device of class A, B or C as a state machine without a radio: 1.0.2 to 1.0.4 and 1.1, OTAA and ABP.

Feed it downlinks with :meth:`Device.detect` (the preamble reaches the antenna: is a window open?) and
:meth:`Device.receive` (the whole frame is there), ask :meth:`Device.timer`, call :meth:`Device.handle_timer`, and take
:meth:`Device.next_effect`: frames for the air (:class:`Uplink`) and notes of what happened (:class:`Note`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from lorasim import hearing, mac
from lorasim.adr_back_off import AdrBackOff
from lorasim.certification import Certification
from lorasim.class_b import ClassB
from lorasim.class_c import ClassC
from lorasim.crypto import SessionKeys
from lorasim.device_config import DeviceConfig
from lorasim.dice import Random
from lorasim.joining import Joiner
from lorasim.mac import MacState
from lorasim.outbox import Message, Outbox, Sending
from lorasim.radio import Downlink, Note, Uplink
from lorasim.receiver import Receiver
from lorasim.session import Session
from lorasim.transmitter import Transmitter
from lorawan import commands, frames
from lorawan.identifiers import DevAddr, NetID
from regional import Plan

__all__ = ["Device", "DeviceConfig", "Phase"]


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
    """The same frame leaves, again or at last, at the deadline."""
    REJOINING = auto()


@dataclass(slots=True)
class Device:
    """See the module."""

    config: DeviceConfig
    plan: Plan
    rng: Random
    state: MacState = field(init=False)
    session: Session | None = None
    phase: Phase = Phase.OFF
    outbox: Outbox = field(default_factory=Outbox)
    certification: Certification | None = None
    """It speaks the certification protocol on FPort 224."""
    receiver: Receiver = field(default_factory=Receiver)
    sending: Sending | None = None
    """The uplink in progress."""
    empty_at_us: int | None = None
    """When an uplink without payload is to leave."""
    joiner: Joiner = field(init=False)
    join_tries: int = 0
    rejoin_wanted: tuple[int, int] | None = None
    """Type and data rate (15: the current one) of a rejoin that waits."""
    insisting: list[commands.Command] = field(default_factory=list)
    """Requests that ride with every uplink until they are confirmed: ResetInd, DeviceModeInd."""
    confirmed_up: int = 0
    adr: AdrBackOff = field(default_factory=AdrBackOff)
    class_b: ClassB | None = None
    class_c: ClassC | None = None
    transmitter: Transmitter = field(init=False)
    _deadline_us: int | None = None
    _effects: list[Uplink | Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.fresh_state()
        config = self.config
        if config.ping_periodicity is not None:
            self.class_b = ClassB(self.plan, config.ping_periodicity, config.ppm)
        self.class_c = ClassC() if config.class_c else None
        self.transmitter = Transmitter(config, self.plan)
        self.joiner = Joiner(
            config.dev_eui,
            config.join_eui,
            config.nwk_key if config.lorawan_1_1 else config.app_key,
            config.app_key,
            config.lorawan_1_1,
            config.counts_nonces,
            config.first_dev_nonce,
            config.firmware.repeats_dev_nonce,
        )

    def fresh_state(self) -> MacState:
        """Radio parameters before anything was negotiated."""
        config = self.config
        stuck = config.firmware.stuck_adr
        return MacState(self.plan, config.dr, keeps_15=config.counts_nonces, manners=config.manners, stuck_adr=stuck)

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """Power on: a device with a session sends, another joins."""
        self.transmitter.power_on(now)
        if self.session is None:
            self._wait(Phase.JOIN_WAIT, now)
        else:
            self._rest(now)

    def activate(self, dev_addr: int, net_id: int, keys: SessionKeys) -> None:
        """A session: from a join-accept, or given before the start (ABP)."""
        strict = not self.config.counts_nonces
        self.session = Session(DevAddr(dev_addr), NetID(net_id), keys, strict_gap=strict, rekeyed=not keys.lorawan_1_1)

    def restart(self, now: int, keep_session: bool, keep_counters: bool = True) -> None:
        """Power off and on. Without its session the device joins again; DevNonce, when counted, is never lost.

        ``keep_counters`` False: it comes back with its keys and both counters at 0, as devices do that only keep keys.
        """
        if self.session is not None:
            self.session.f_cnt_up += self.sending is not None
            if not keep_counters:
                self.session.forget_counters()
            if not keep_session:
                self.session = None
        self.sending = self.rejoin_wanted = self.empty_at_us = None
        self.join_tries = 0
        self.receiver.close()
        self.outbox.forget_mac()
        if self.class_b is not None:
            self.class_b.forget()
        if self.session is None:
            self.state = self.fresh_state()
        self.note("restart", kept=keep_session, counters=keep_counters)
        self.start(now)

    def stop(self) -> None:
        """Power off."""
        self._wait(Phase.OFF, None)
        self.receiver.close()

    def send(self, message: Message, now: int) -> bool:
        """Queue a payload; it leaves when the device is joined and idle. False when the memory is full."""
        if len(self.outbox.queue) >= self.config.queue_length:
            self.note("queue_full", tag=message.tag)
            return False
        if self.certification is not None and self.certification.takes(message):
            return True
        self.outbox.queue.append(message)
        if self.phase is Phase.IDLE:
            self._rest(now)
        return True

    def rejoin(self, rejoin_type: int, now: int, dr: int = 15) -> None:
        """Send a rejoin-request of a type (1.1 §6.2.4) as soon as the radio is free; a device of 1.0 knows none."""
        if not self.config.lorawan_1_1:
            return
        self.rejoin_wanted = (rejoin_type, dr)
        if self.phase is Phase.IDLE:
            self._rest(now)

    def join_again(self, now: int) -> None:
        """Leave the network and join anew, with what the device is set to; an OTAA device only."""
        self.session, self.state = None, self.fresh_state()
        self.rejoin_wanted = self.empty_at_us = None
        self.join_tries = 0
        self.outbox.forget_mac()
        if self.class_b is not None:
            self.class_b.forget()
        self._wait(Phase.JOIN_WAIT, now)

    def reset_radio(self) -> None:
        """An ABP device of 1.1 has lost its radio parameters: it says so until it is confirmed (1.1 §5.1)."""
        self.state = self.fresh_state()
        self.state.lorawan_1_1 = True
        self.insisting.append(commands.ResetInd(minor=1))

    def change_class(self, device_class: str) -> None:
        """Tell the network a new class until it is confirmed (1.1 §18.1); the device works in it from then on."""
        self.insisting.append(commands.DeviceModeInd({"A": 0, "C": 2}[device_class]))

    @property
    def joined(self) -> bool:
        return self.session is not None

    @property
    def listening(self) -> bool:
        """Whether receive windows are pending, or a beacon or ping slot may be."""
        return (
            self.receiver.pending
            or self.class_c is not None
            or (self.class_b is not None and self.class_b.timer() is not None)
        )

    @property
    def waits_for_accept(self) -> bool:
        return self.phase in (Phase.JOINING, Phase.REJOINING)

    @property
    def waits_for_data(self) -> bool:
        return self.phase is Phase.WINDOWS

    # ------------------------------------------------------------------------------------------------- timers

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is due."""
        # while a frame comes in, its end is what happens next
        if self.phase is Phase.OFF or self.receiver.locked:
            return None
        if self.class_b is None:
            return self._deadline_us
        return min((t for t in (self._deadline_us, self.class_b.timer()) if t is not None), default=None)

    def handle_timer(self, now: int) -> None:
        if self.class_b is not None and (kind := self.class_b.handle_timer(now)):
            self.note(kind, missed=self.class_b.missed)
            if self.certification is not None:
                self.certification.beacon(self, None, kind == "beacon_lost", 0.0, now)
        if self._deadline_us is not None and now >= self._deadline_us and not self.receiver.locked:
            self._deadline_us = None
            _ON_TIMER[self.phase](self, now)

    def _wait(self, phase: Phase, deadline_us: int | None) -> None:
        self.phase, self._deadline_us = phase, deadline_us

    def _seconds(self, limits: tuple[float, float], factor: float = 1.0) -> int:
        return round(self.rng.uniform(*limits) * factor * 1e6)

    def _rest(self, now: int) -> None:
        """Nothing in progress: send what waits, or sleep."""
        self.receiver.close()
        if self.certification is not None and self.certification.carry_out(self, now):
            return
        if self.transmitter.is_exhausted(now):
            self.note("battery_empty")
            self.stop()
        elif self.rejoin_wanted is not None and self.config.lorawan_1_1:
            self._send_rejoin(now)
        elif self.outbox.queue:
            self._send_data(now)
        else:
            periodic_us = self.certification.next_us if self.certification is not None else None
            due = [t for t in (self.empty_at_us, periodic_us) if t is not None]
            self._wait(Phase.IDLE, min(due, default=None))

    def answer_when_idle(self, now: int) -> None:
        """A frame came outside of RX1 and RX2: when it wants an answer and nothing is in progress, plan it."""
        if self.phase is Phase.IDLE and (self.empty_at_us is not None or self.certification is not None):
            self._rest(now)

    def _on_idle(self, now: int) -> None:
        if self.rejoin_wanted is not None:
            self._rest(now)
            return
        if self.certification is not None and (periodic := self.certification.periodic(now)) is not None:
            self.outbox.queue.append(periodic)
        self.empty_at_us = None
        self._send_data(now)

    # ------------------------------------------------------------------------------------------------- sending

    def _transmit(self, phy: bytes, channel: mac.Channel, dr: int, now: int, delay_us: int, accept: bool) -> None:
        """Put a frame on the air and set the two windows behind it."""
        if self.class_c is not None:
            self.class_c.close()
        uplink, self._deadline_us = self.transmitter.send(
            phy, channel, self.state, dr, now, delay_us, self.receiver, accept
        )
        self.note(
            "transmit",
            phy=phy.hex(),
            frequency_hz=uplink.frequency_hz,
            datr=uplink.datr,
            airtime_us=uplink.airtime_us,
            power_dbm=uplink.power_dbm,
        )
        self._effects.append(uplink)

    def _channel(self, dr: int, now: int) -> tuple[int, int]:
        return self.transmitter.channel(self.state, dr, now, self.rng)

    def _send_join(self, now: int) -> None:
        state = self.state
        state.reset_radio()
        # every third try goes a data rate further down
        state.dr = max(0, self.config.dr - self.join_tries // 3)
        channel, free_us = self._channel(state.dr, now)
        if free_us <= now:
            free_us = self.transmitter.join_free_us(state.dr, now)
        if free_us > now:
            self._wait(Phase.JOIN_WAIT, free_us)
            return
        self.join_tries += 1
        phy = self.joiner.request(self.rng)
        self.note("join_request", phy=phy.hex(), dev_nonce=self.joiner.asked, attempt=self.join_tries)
        self._ask(phy, channel, state.dr, now, Phase.JOINING)

    def _send_rejoin(self, now: int) -> None:
        state, session = self.state, self.session
        assert self.rejoin_wanted is not None and session is not None
        kind, dr = self.rejoin_wanted
        dr = dr if state.usable(dr) else state.dr
        channel, free_us = self._channel(dr, now)
        if free_us > now:
            self._wait(Phase.IDLE, free_us)
            return
        self.rejoin_wanted = None
        phy = self.joiner.rejoin_request(kind, session.net_id, session.keys)
        self.note("rejoin_request", phy=phy.hex(), rejoin_type=kind, rj_count=self.joiner.asked)
        self._ask(phy, channel, dr, now, Phase.REJOINING)

    def _ask(self, phy: bytes, channel: int, dr: int, now: int, phase: Phase) -> None:
        """Transmit a request for a join-accept."""
        delay_us = self.plan.join_accept_delay1_s * 1_000_000
        self._transmit(phy, self.state.channels[channel], dr, now, delay_us, accept=True)
        self.phase = phase

    def _send_data(self, now: int) -> None:
        session, limit = self.session, self.plan.max_payload(self.state.dr, dwell=self.state.uplink_dwell)
        assert session is not None
        while (message := self.outbox.too_long(limit)) is not None:
            self.note("too_long", length=len(message.data), limit=limit, tag=message.tag)
        self._ask_for_class_b(now)
        sending = self.outbox.compose(
            limit, [*([] if session.rekeyed else [commands.RekeyInd(minor=1)]), *self.insisting]
        )
        if self.certification is not None:
            self.certification.compose(sending)
        sending.adr_ack_req = self.config.adr and self.adr.asks(self.state)
        sending.conf_f_cnt, session.confirmed_down = session.confirmed_down, None
        self.sending = sending
        self.adr.counted(self.state, self.plan, self.config.adr)
        self.empty_at_us = None
        self._send_again(now)

    def _ask_for_class_b(self, now: int) -> None:
        """The time, without which no beacon is found, and that the network knows the ping slots."""
        class_b, wishes = self.class_b, self.outbox.wishes
        if class_b is not None and class_b.wants_time(now):
            wishes.append(commands.DeviceTimeReq())
        if class_b is not None and not class_b.informed:
            wishes.append(commands.PingSlotInfoReq(class_b.periodicity))

    def _send_again(self, now: int) -> None:
        """One transmission of the uplink in progress, as soon as a channel may be used."""
        session, sending, state = self.session, self.sending, self.state
        assert session is not None and sending is not None
        index, free_us = self._channel(state.dr, now)
        if free_us > now:
            self._wait(Phase.REPEAT_WAIT, free_us)
            return
        sending.transmissions += 1
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
            self.confirmed_up = session.f_cnt_up
        self.note(
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

    # ------------------------------------------------------------------------------------------------- listening

    def detect(self, downlink: Downlink, now: int) -> str | None:
        """The preamble of a frame arrives: None when a window takes it, else why it goes unheard."""
        return hearing.detect(self, downlink, now)

    def receive(self, downlink: Downlink, now: int, snr_db: float = 0.0) -> None:
        """The frame that :meth:`detect` took is complete."""
        accepted = hearing.receive(self, downlink, now, snr_db)
        if accepted:
            self._deadline_us = None
            _ON_TIMER[self.phase](self, now)
        elif accepted is not None and self.receiver.over(now):
            self._deadline_us = now

    # ------------------------------------------------------------------------------------------------- windows over

    def _on_join_windows(self, now: int) -> None:
        self.receiver.close()
        if self.session is not None:
            self._rest(now)
            return
        # The longest pause is random too: devices that lost their session together do not collide for ever.
        longest = self.config.join_backoff_max_s / self.config.join_backoff_s[1]
        pause_us = self._seconds(self.config.join_backoff_s, min(2.0 ** min(self.join_tries - 1, 20), longest))
        self.note("join_unanswered", attempt=self.join_tries, retry_in_s=round(pause_us / 1e6, 1))
        self._wait(Phase.JOIN_WAIT, now + pause_us)

    def _on_rejoin_windows(self, now: int) -> None:
        self._rest(now)

    def _on_windows(self, now: int) -> None:
        """Both windows are over, or a downlink came: repeat the frame or be done with it."""
        session, sending = self.session, self.sending
        assert session is not None and sending is not None
        self.receiver.close()
        tries = self.state.nb_trans
        if sending.confirmed and not self.config.counts_nonces:
            tries = max(tries, self.config.confirmed_tries)
        if not sending.done and sending.transmissions < tries:
            self._wait(Phase.REPEAT_WAIT, now + self._seconds(self.config.ack_timeout_s))
            return
        self.note(
            "uplink_done",
            f_cnt=session.f_cnt_up,
            confirmed=sending.confirmed,
            acked=sending.acked,
            transmissions=sending.transmissions,
            tag=sending.tag,
        )
        session.f_cnt_up += 1
        reset_after = self.config.firmware.f_cnt_reset_after
        if reset_after and session.f_cnt_up >= reset_after:
            session.f_cnt_up = 0
        self.sending = None
        self._rest(now)

    def note(self, kind: str, **fields: object) -> None:
        """Tell the recording."""
        self._effects.append(Note(kind, fields))

    def next_effect(self) -> Uplink | Note | None:
        return self._effects.pop(0) if self._effects else None


_ON_TIMER: dict[Phase, Callable[[Device, int], None]] = {
    Phase.OFF: lambda device, now: None,
    Phase.JOIN_WAIT: Device._send_join,
    Phase.JOINING: Device._on_join_windows,
    Phase.IDLE: Device._on_idle,
    Phase.WINDOWS: Device._on_windows,
    Phase.REPEAT_WAIT: Device._send_again,
    Phase.REJOINING: Device._on_rejoin_windows,
}

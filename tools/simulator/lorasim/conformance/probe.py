"""A device whose every frame the case decides. It judges each downlink by the rules that always hold.

Those are: a downlink begins exactly at RX1 or RX2, on that window's frequency and data rate, with inverted IQ and without a
payload checksum; its MIC fits; FCntDown is higher than the last one; it fits the data rate's payload limit; commands are not on
FPort 0 and in FOpts at once. MAC commands are obeyed and answered with the next uplink, as :mod:`lorasim.mac` does it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from lorasim import mac
from lorasim.conformance.bench import Bench, Lane
from lorasim.conformance.exchange import Down, Exchange, Window
from lorasim.conformance.ground import Ground
from lorasim.conformance.verdicts import expect
from lorasim.crypto import SessionKeys
from lorasim.joining import Accepted, Joiner
from lorasim.mac import Condition, MacState
from lorasim.manners import Manners
from lorasim.radio import Downlink, Reception
from lorasim.session import Opened, Refused, Session
from lorawan import commands, frames
from lorawan.commands import Command
from lorawan.errors import FrameError
from lorawan.identifiers import DevAddr, NetID
from regional import Plan, PlanError

SECOND_US = 1_000_000


@dataclass(slots=True)
class Identity:
    """What the server is told of a device."""

    dev_eui: int
    join_eui: int
    app_key: bytes
    nwk_key: bytes
    mac_version: str = "1.0.3"
    activation: str = "ABP"
    device_class: str = "A"
    dev_addr: int = 0
    keys: SessionKeys | None = None
    """Of an ABP session."""
    wishes: dict[str, object] = field(default_factory=dict)
    """What the server shall want of the device: ``rx1_delay_s``, ``channels`` …; see the adapters."""

    @property
    def lorawan_1_1(self) -> bool:
        return self.mac_version.startswith("1.1")

    @property
    def counts_nonces(self) -> bool:
        return self.lorawan_1_1 or self.mac_version == "1.0.4"


class Probe:
    """See the module."""

    def __init__(self, identity: Identity, plan: Plan, bench: Bench, lane: Lane, rng: random.Random) -> None:
        self.identity = identity
        self.plan = plan
        self.bench = bench
        self.lane = lane
        self.rng = rng
        self.faults: list[str] = []
        self.unasked: list[Down] = []
        """Downlinks of class B and C."""
        self.unasked_radios: list[Downlink] = []
        self.ground = Ground(plan, bench.channels_hz)
        self.state = self._fresh_state()
        self.session: Session | None = None
        self.answers: list[Command] = []
        """MAC commands that ride with the next uplink."""
        self.sticky: list[Command] = []
        self.snr_db = 8.0
        self.weaker_db = 4.0
        """How much weaker each further gateway of the lane hears it."""
        self.listens_to: Callable[[int], Window] | None = None
        """Classes B and C: the window that is open at a time, besides RX1 and RX2."""
        self.accepts: list[Accepted] = []
        self.exchange: Exchange | None = None
        self.last_request = b""
        """The last join-request."""
        self._confirmed_up = 0
        root = identity.nwk_key if identity.lorawan_1_1 else identity.app_key
        self.joiner = Joiner(
            identity.dev_eui, identity.join_eui, root, identity.app_key, identity.lorawan_1_1, identity.counts_nonces
        )
        if identity.keys is not None:
            self.session = self._session(identity.dev_addr, NetID(0), identity.keys, rekeyed=True)
            self.state.lorawan_1_1 = identity.keys.lorawan_1_1
        lane.on_downlink.append(self._heard)

    def close(self) -> None:
        """It listens no more."""
        self.lane.on_downlink.remove(self._heard)

    def _fresh_state(self) -> MacState:
        return MacState(self.plan, self.ground.fast, keeps_15=self.identity.counts_nonces, manners=Manners())

    def _session(self, dev_addr: int, net_id: NetID, keys: SessionKeys, rekeyed: bool) -> Session:
        strict = not self.identity.counts_nonces
        return Session(DevAddr(dev_addr), net_id, keys, strict_gap=strict, rekeyed=rekeyed)

    @property
    def name(self) -> str:
        return f"{self.identity.dev_eui:016x}"

    # ------------------------------------------------------------------------------------------------- sending

    def channels(self, dr: int | None = None) -> list[int]:
        """Channels that are on, that the gateways hear and that allow a data rate: those that cases send on."""
        hear = self.ground.channels_hz
        dr = self.state.dr if dr is None else dr
        return [n for n in self.state.usable(dr) if self.state.channels[n].frequency_hz in hear]

    def put_on_air(
        self,
        phy: bytes,
        dr: int | None = None,
        channel: int | None = None,
        accept: bool = False,
        gateways: Collection[int] | None = None,
    ) -> Exchange:
        """A frame has just ended at the gateways (``gateways``: places in the lane; None: all). Its windows begin to count."""
        now = self.bench.now_us()
        state, plan = self.state, self.plan
        dr = state.dr if dr is None else dr
        used = state.channels[self.channels(dr)[0] if channel is None else channel]
        datr = str(plan.datr(dr))
        delay_s = plan.join_accept_delay1_s if accept else state.rx1_delay_s
        rx1_hz = plan.join_rx1_frequency_hz(used.frequency_hz) if accept else used.rx1_hz
        rx1_dr = plan.rx1_dr(dr, 0 if accept else state.rx1_dr_offset, state.downlink_dwell)
        rx1_us = now + delay_s * SECOND_US
        rx2 = (plan.rx2_frequency_hz, plan.rx2_dr) if accept else (state.rx2_frequency_hz, state.rx2_dr)
        windows = [
            Window("RX1", rx1_us, rx1_hz, str(plan.datr(rx1_dr, downlink=True))),
            Window("RX2", rx1_us + SECOND_US, rx2[0], str(plan.datr(rx2[1], downlink=True))),
        ]
        self.exchange = Exchange(phy, now, dr, windows, self.bench.now_us, self.faults)
        for place, line in enumerate(self.lane.lines):
            if gateways is not None and place not in gateways:
                continue
            snr = self.snr_db - place * self.weaker_db
            line.hear(Reception(phy, used.frequency_hz, datr, -100 + snr, snr, now - 50_000, now))
        return self.exchange

    def seal(
        self,
        *,
        f_port: int | None = 10,
        data: bytes = b"conformance",
        confirmed: bool = False,
        adr: bool = False,
        adr_ack_req: bool = False,
        ack: bool | None = None,
        class_b: bool = False,
        says: Sequence[Command] = (),
        answers: bool = True,
        dr: int | None = None,
        channel: int | None = None,
        f_cnt: int | None = None,
    ) -> bytes:
        """The next uplink's bytes. ``says``: MAC commands of its own; ``answers``: those that it owes come first."""
        session = self.session
        assert session is not None
        dr = self.state.dr if dr is None else dr
        channel = self.channels(dr)[0] if channel is None else channel
        owed = [*self.sticky, *self.answers] if answers else []
        if answers:
            self.answers = []
        block = b"".join(one.encode() for one in (*owed, *says))
        if len(block) > frames.MAX_F_OPTS or f_port == 0:
            f_port, data, block = 0, block, b""
        elif f_port:
            data = data[: max(0, self.plan.max_payload(dr, dwell=self.state.uplink_dwell) - len(block))]
        if f_cnt is not None:
            session.f_cnt_up = f_cnt
        acked = session.confirmed_down if ack is None or ack else None
        if ack is not False:
            session.confirmed_down = None
        frame = frames.DataFrame(
            uplink=True,
            confirmed=confirmed,
            dev_addr=session.dev_addr,
            adr=adr,
            adr_ack_req=adr_ack_req,
            class_b=class_b,
            ack=acked is not None,
            f_port=f_port,
        )
        phy = session.seal(frame, block, data if f_port is not None else b"", acked or 0, dr, channel)
        if confirmed:
            self._confirmed_up = session.f_cnt_up
        session.f_cnt_up += 1
        return phy

    def send(
        self,
        *,
        dr: int | None = None,
        channel: int | None = None,
        gateways: Collection[int] | None = None,
        **more: object,
    ) -> Exchange:
        """Seal an uplink and put it on the air; see :meth:`seal`."""
        dr = self.state.dr if dr is None else dr
        return self.put_on_air(self.seal(dr=dr, channel=channel, **more), dr, channel, gateways=gateways)  # type: ignore[arg-type]

    async def accepted(self, what: str = "a good frame", **more: object) -> Down:
        """A confirmed uplink that must be acknowledged; its downlink."""
        down = await self.send(confirmed=True, **more).down(f"the ACK of {what}")  # type: ignore[arg-type]
        expect(down.frame.ack, f"the downlink after {what} has no ACK")
        return down

    # ------------------------------------------------------------------------------------------------- joining

    def request(self, dev_nonce: int | None = None) -> bytes:
        """A join-request; its session and radio parameters begin anew with the accept."""
        if dev_nonce is not None:
            self.joiner.dev_nonce = dev_nonce
        return self.joiner.request(self.rng)

    def ask_to_join(self, phy: bytes | None = None, **more: object) -> Exchange:
        """Send a join-request, a fresh one unless its bytes are given."""
        self.last_request = self.request() if phy is None else phy
        return self.put_on_air(self.last_request, self.ground.join_dr, accept=True, **more)  # type: ignore[arg-type]

    async def join(self, what: str = "a good join-request") -> Accepted:
        """Join, and follow the accept. Raises Failed without one."""
        exchange, before = self.ask_to_join(), len(self.accepts)
        await exchange.until(lambda: len(self.accepts) > before)
        windows = " nor in ".join(str(window) for window in exchange.windows)
        expect(len(self.accepts) > before, f"no join-accept after {what}: nothing came in {windows}")
        return self.follow(self.accepts[-1])

    def follow(self, accepted: Accepted) -> Accepted:
        """Take the session and the parameters of a join-accept."""
        accept, keys = accepted.accept, accepted.keys
        if accepted.join_req_type != 2:
            self.state = self._fresh_state()
            self.state.apply_cflist(accept.cflist)
            self.state.rx1_delay_s = accept.rx_delay or 1
            self.state.rx1_dr_offset, self.state.rx2_dr = accept.rx1_dr_offset, accept.rx2_dr
        self.state.lorawan_1_1 = keys.lorawan_1_1
        self.session = self._session(accept.dev_addr, accept.net_id, keys, rekeyed=not keys.lorawan_1_1)
        self.answers, self.sticky = [], []
        return accepted

    # ------------------------------------------------------------------------------------------------- listening

    def _heard(self, downlink: Downlink) -> None:
        """A gateway of the lane radiates."""
        if downlink.implicit:
            return
        kind = downlink.phy[0] >> 5
        if kind == 1:
            self._join_accept(downlink)
        elif kind in (3, 5) and self._is_ours(downlink) and self.session is not None:
            self._data(self.session, downlink)

    def _is_ours(self, downlink: Downlink) -> bool:
        return self.session is not None and int.from_bytes(downlink.phy[1:5], "little") == self.session.dev_addr

    def _window_of(self, downlink: Downlink) -> tuple[Window | None, bool]:
        """The window that hears a downlink, and whether no uplink opened it."""
        windows = list(self.exchange.windows) if self.exchange is not None else []
        for window in windows:
            if not window.differs(downlink):
                return window, False
        if self.listens_to is not None and not (rxc := self.listens_to(downlink.start_us)).differs(downlink):
            return rxc, True
        return None, False

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        if self.exchange is not None:
            self.exchange.changed.set()

    def _radio_is_right(self, downlink: Downlink, window: Window | None) -> bool:
        if window is None:
            assert self.exchange is not None
            reasons = "; ".join(one.differs(downlink) for one in self.exchange.windows)
            self._fault(f"a downlink that no window hears: {reasons}")
        elif not downlink.inverted:
            self._fault("the downlink's IQ is not inverted: no device hears it (RP002-1.0.4 §4)")
        elif downlink.power_dbm > (limit := self.plan.max_eirp_dbm):
            self._fault(f"a downlink with {downlink.power_dbm:g} dBm EIRP; the plan allows {limit:g}")
        else:
            return True
        return False

    def _join_accept(self, downlink: Downlink) -> None:
        exchange = self.exchange
        if exchange is None or exchange.phy[0] >> 5 not in (0, 6):
            return
        try:
            accepted = self.joiner.open(downlink.phy)
            if accepted is None:
                return
            if accepted.accept.cflist:
                self.plan.parse_cflist(accepted.accept.cflist)
        except (Refused, PlanError, FrameError) as error:
            self._fault(f"join-accept: {error}")
            return
        exchange.radios.append(downlink)
        if self._radio_is_right(downlink, self._window_of(downlink)[0]):
            self.accepts.append(accepted)
        exchange.changed.set()

    def _data(self, session: Session, downlink: Downlink) -> None:
        window, unasked = self._window_of(downlink)
        if self.exchange is None and not unasked:
            self._fault("a downlink before the first uplink")
            return
        if not unasked and self.exchange is not None:
            self.exchange.radios.append(downlink)
        else:
            self.unasked_radios.append(downlink)
        if not self._radio_is_right(downlink, window):
            return
        assert window is not None
        try:
            frame = frames.parse(downlink.phy)
            if not isinstance(frame, frames.DataFrame):
                raise FrameError("no data frame")
            opened = session.open(downlink.phy, frame, self._confirmed_up)
        except (FrameError, Refused) as error:
            self._fault(f"downlink in {window.name}: {error}")
            return
        down = self._understood(downlink, window, frame, session, opened)
        (self.unasked if unasked else self.exchange.downs if self.exchange else []).append(down)
        if self.exchange is not None:
            self.exchange.changed.set()

    def _understood(
        self, downlink: Downlink, window: Window, frame: frames.DataFrame, session: Session, opened: Opened
    ) -> Down:
        if window.name.startswith("RX"):
            self.sticky = []
        session.confirmed_down = opened.f_cnt if frame.confirmed else session.confirmed_down
        block = opened.payload if frame.f_port == 0 else opened.f_opts
        asked = commands.parse_commands(block, uplink=False, lorawan_1_1=session.keys.lorawan_1_1)
        answers = mac.handle(self.state, asked, Condition(200, round(self.snr_db)))
        manners = self.state.manners
        self.answers += [one for one in answers.commands if manners.answers(type(one).__name__)]
        self.sticky += [one for one in answers.sticky if manners.answers(type(one).__name__)]
        session.rekeyed = session.rekeyed or answers.rekeyed
        dr = next((n for n in range(16) if str(self._rate(n)) == downlink.datr), 0)
        limit = self.plan.max_payload(dr, downlink=True)
        if len(opened.payload) + len(frame.f_opts) > limit:
            self._fault(f"{len(opened.payload)} bytes at {downlink.datr}: at most {limit} fit (RP002-1.0.4)")
        return Down(downlink, window.name, frame, opened, tuple(asked))

    def _rate(self, dr: int) -> object:
        try:
            return self.plan.datr(dr, downlink=True)
        except (PlanError, IndexError, KeyError):
            return None

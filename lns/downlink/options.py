"""Window and gateway for a downlink, in the order they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lns import events
from lns.gateways.frames import AfterUplink, Immediately, RxFrame, Timing, TxFrame
from lns.gateways.gateway import Gateway
from lns.radio import RadioParameters, rx1_frequency_hz
from lns.state import NetworkState
from lorawan.airtime import fsk_airtime_us, lora_airtime_us
from regional import Modulation, Plan, PlanError

MAX_GATEWAYS = 4
WINDOWS = {"both": slice(0, 2), "rx1": slice(0, 1), "rx2": slice(1, 2)}
"""Receive windows that data downlinks may use, by the setting ``rx_window``."""
EQUAL_DB = 3.0
"""Gateways whose signals differ by no more are equally good: fading alone makes such differences."""
WINDOW_GAP_US = 1_000_000
"""RX2 opens one second after RX1 (TS001-1.0.4 §3.3.2)."""
JIT_MARGIN_US = 43_000
"""A forwarder refuses what comes later than 32.5 or 42.5 ms before its time (jitqueue.c of the two generations)."""
SLACK_US = 20_000
"""For what the round trip does not know: our own queues and a jump in the backhaul."""


@dataclass(slots=True, frozen=True)
class Option:
    """One way to send a frame."""

    window: str
    """``RX1``, ``RX2``, ``class C``, ``ping slot`` …, for people."""
    gateway: Gateway
    timing: Timing
    start_us: int
    """When the transmission starts, by the server's monotonic clock; at the latest, when it starts at once."""
    frequency_hz: int
    dr: int
    max_mac_payload: int

    @property
    def place(self) -> tuple[int, Timing, int, int]:
        """What tells two options apart: gateway, time, frequency and data rate."""
        return self.gateway.eui, self.timing, self.frequency_hz, self.dr

    @property
    def latest_us(self) -> int:
        """When the message must leave the server at the latest."""
        if isinstance(self.timing, Immediately):
            return self.start_us  # whenever it comes, it goes out soon after
        return self.start_us - self.gateway.lead_us

    def end_us(self, plan: Plan, length: int) -> int:
        """When a frame of ``length`` bytes is off the air."""
        return self.start_us + airtime_us(plan, self.dr, length)

    def as_of(self, mono_us: int) -> Option:
        """The same option when the frame is handed over at ``mono_us``: an immediate one moves with it."""
        if not isinstance(self.timing, Immediately):
            return self
        return replace(self, start_us=self.gateway.immediate_us(mono_us))

    def tx_frame(self, plan: Plan, phy: bytes) -> TxFrame:
        rx = self.timing.rx if isinstance(self.timing, AfterUplink) else None
        return TxFrame(
            phy,
            self.frequency_hz,
            plan.datr(self.dr, downlink=True),
            eirp_dbm(plan, self.frequency_hz),
            self.timing,
            0,
            rx.antenna if rx is not None else None,
            rx.board if rx is not None else None,
        )


def eirp_dbm(plan: Plan, frequency_hz: int) -> float:
    """The power for a frequency: what the plan and the regulator's sub-band both allow."""
    band = plan.sub_band(frequency_hz)
    return plan.max_eirp_dbm if band is None else min(plan.max_eirp_dbm, band.max_eirp_dbm)


def airtime_us(plan: Plan, dr: int, length: int) -> int:
    """Time on air of a downlink of ``length`` bytes (no payload CRC, TS001-1.0.4 §4)."""
    rate = plan.data_rate(dr, downlink=True)
    if rate.modulation is Modulation.FSK:
        return fsk_airtime_us(length, crc=True)
    return lora_airtime_us(length, rate.sf, rate.bw_hz, crc=False)


def data_options(
    state: NetworkState, copies: list[RxFrame], dr: int, radio: RadioParameters, or_else: RadioParameters | None = None
) -> list[Option]:
    """Options for an answer to a data uplink: RX1 at each gateway, the best heard first, and then RX2.

    ``or_else``: the device may use these parameters instead (it has not answered a request). Then windows that it opens either
    way come first, those of ``radio`` next.
    """
    options = _data_options(state, copies, dr, radio)
    if or_else is None or or_else == radio:
        return options
    others = _data_options(state, copies, dr, or_else)
    known, possible = {option.place for option in options}, {option.place for option in others}
    return [
        *(option for option in options if option.place in possible),
        *(option for option in options if option.place not in possible),
        *(option for option in others if option.place not in known),
    ]


def _data_options(state: NetworkState, copies: list[RxFrame], dr: int, radio: RadioParameters) -> list[Option]:
    plan = state.plan
    rx1_us = radio.rx1_delay_s * 1_000_000

    def windows(rx: RxFrame) -> list[tuple[str, int, int, int]]:
        rx1_hz = rx1_frequency_hz(plan, radio, rx.frequency_hz)
        both = [
            ("RX1", rx1_us, rx1_hz, plan.rx1_dr(dr, radio.rx1_dr_offset, radio.downlink_dwell)),
            ("RX2", rx1_us + WINDOW_GAP_US, radio.rx2_frequency_hz, radio.rx2_dr),
        ]
        return both[WINDOWS[state.settings.rx_window]]

    return _options(state, copies, windows, radio.downlink_dwell)


def join_options(state: NetworkState, copies: list[RxFrame], dr: int) -> list[Option]:
    """Options for a join-accept: 5 and 6 s after the request, always with the region's default RX2."""
    plan = state.plan

    def windows(rx: RxFrame) -> list[tuple[str, int, int, int]]:
        return [
            (
                "RX1",
                plan.join_accept_delay1_s * 1_000_000,
                plan.join_rx1_frequency_hz(rx.frequency_hz),
                plan.rx1_dr(dr, 0),
            ),
            (
                "RX2",
                plan.join_accept_delay2_s * 1_000_000,
                plan.rx2_frequency_after_join_hz(rx.frequency_hz),
                plan.rx2_dr,
            ),
        ]

    return _options(state, copies, windows)


def _in_order(copies: list[RxFrame]) -> list[RxFrame]:
    """Copies in the order in which their gateways are asked: the best heard first.

    Of gateways that heard it equally well the one with the least to send: while it transmits it hears nobody. Gateways that
    owe their last answers come after all others, however well they hear (a swallowed downlink is worse than a weak one).
    """
    if len(copies) == 1:
        return copies
    best_db = events.signal(copies[0])[0]
    now_us = copies[0].mono_us

    def order(rx: RxFrame) -> tuple[bool, float, int]:
        snr_db = events.signal(rx)[0]
        is_near = best_db - snr_db <= EQUAL_DB
        return (
            rx.gateway.is_mute,
            -best_db if is_near else -snr_db,
            rx.gateway.schedule.promised(now_us) if is_near else 0,
        )

    return sorted(copies, key=order)


def _options(
    state: NetworkState,
    copies: list[RxFrame],
    windows: Callable[[RxFrame], list[tuple[str, int, int, int]]],
    dwell: bool = False,
) -> list[Option]:
    plan = state.plan
    options = []
    gateways: set[int] = set()
    for rx in _in_order(events.best_copies(copies)):
        if not rx.is_answerable or rx.gateway.eui in gateways or len(gateways) == MAX_GATEWAYS:
            continue
        gateways.add(rx.gateway.eui)
        try:
            offered = windows(rx)
        except PlanError:
            continue  # heard on a frequency that is no channel of this plan: there is no RX1 for it
        for window, delay_us, frequency_hz, dr in offered:
            limit = plan.max_mac_payload(dr, dwell=dwell, downlink=True)
            timing = AfterUplink(rx, delay_us)
            options.append(Option(window, rx.gateway, timing, rx.heard_us + delay_us, frequency_hz, dr, limit))
    # RX1 first at every gateway: RX2 is mostly slower, and one second at SF12 blocks the RX1 of many others.
    options.sort(key=lambda option: option.window)
    return options

"""The ADR laboratory: many devices, a few gateways, the air between them, and a network server's ADR to be judged.

It knows no server: an algorithm is given as a function that makes a :class:`~lorasim.adr_rivals.Server` for each device. The
devices do what LoRaWAN asks of them: frames when they are due and the duty cycle allows, NbTrans, ADRACKReq and back-off,
LinkADRAns in the next uplink. Everything random comes from one seed, and the air (places, walls, shadows) is the same for
every algorithm that is tried with it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from lorasim.adr_rivals import Heard, Request, Server
from lorasim.energy import RX_MA, SUPPLY_MA, VOLT, WINDOW_SYMBOLS
from lorasim.link import MAX_SNR_DB, SENSITIVITY_DBM, Band, OnAir
from lorasim.propagation import KINDS, Path, Surroundings, noise_dbm, paths_of
from lorawan.airtime import lora_airtime_us
from regional import Plan, plan

NOISE_DBM = noise_dbm()
UNHEARD_IS_STRANDED = 48
"""Uplinks in a row, up to the end, of which none arrived, though half of them would have at full power and the slowest rate."""
WELL_ABOVE_DB = 5.0
DOWNLINK_LOSS = 0.03
"""Downlinks lost to something else than a weak signal."""


@dataclass(slots=True, frozen=True)
class Setup:
    """What is tried."""

    devices: int = 200
    """Shared evenly by ``kinds``."""
    kinds: tuple[Surroundings, ...] = KINDS
    gateways: int = 2
    radius_m: float = 3000.0
    period_s: float = 1200.0
    days: float = 4.0
    frame_bytes: int = 28
    region: str = "RU864"
    preset: str = "default"
    """Extra channels, by their name in the region's plan."""
    demodulators: int = 8
    first_dr: int = 0
    coverage_snr_db: float = -15.0
    """At full power and on average no device is worse off than this at its best gateway: the place was planned."""
    downlink_dbm: float = 16.0


@dataclass(slots=True)
class Score:
    """What became of one device's frames."""

    kind: str
    sent: int = 0
    delivered: int = 0
    transmissions: int = 0
    airtime_s: float = 0.0
    energy_mj: float = 0.0
    requests: int = 0
    """LinkADRReq sent to it."""
    silent: int = 0
    """Uplinks since the last that arrived."""
    back_offs: int = 0
    course: list[tuple[int, int, int]] = field(default_factory=list)
    """Data rate, power index and NbTrans of every uplink."""
    reachable: int = 0
    """Transmissions since then that would have been heard well at full power and the slowest data rate."""

    @property
    def delivery(self) -> float:
        return self.delivered / self.sent if self.sent else 1.0

    @property
    def stranded(self) -> bool:
        """Unheard for long although another setting would be heard: what no ADR may do to a device."""
        return min(self.silent, 2 * self.reachable) >= UNHEARD_IS_STRANDED

    @property
    def converged_after(self) -> int:
        """Uplinks until it was within a fifth of the airtime it uses in its second half."""
        used = [nb_trans * 2.0**-dr for dr, _, nb_trans in self.course]
        late = sorted(used[len(used) // 2 :])
        usual = late[len(late) // 2]
        return next((n for n, one in enumerate(used) if usual / 1.2 <= one <= usual * 1.2), len(used))


class _Device:
    """One device and its server's ADR."""

    __slots__ = (
        "_lab",
        "_paths",
        "_rng",
        "adr_ack_cnt",
        "answer",
        "answer_due",
        "dr",
        "f_cnt",
        "free_s",
        "heard_f_cnt",
        "nb_trans",
        "next_s",
        "score",
        "server",
        "transmissions",
        "tx_power",
    )

    def __init__(self, lab: Lab, kind: Surroundings, paths: list[Path], rng: random.Random, server: Server) -> None:
        self._lab, self._paths, self._rng, self.server = lab, paths, rng, server
        self.score = Score(kind.name)
        self.dr, self.tx_power, self.nb_trans = lab.setup.first_dr, 0, 1
        self.f_cnt = 0
        self.heard_f_cnt = -1
        self.adr_ack_cnt = 0
        self.answer_due: tuple[bool, bool, bool] | None = None
        self.answer: tuple[bool, bool, bool] | None = None
        self.transmissions = 0
        self.next_s = 0.0
        self.free_s: dict[int, float] = {}

    def begin(self, now: float) -> None:
        """A new uplink."""
        score, plan = self.score, self._lab.plan
        score.sent += 1
        score.silent += 1
        self.adr_ack_cnt += 1
        over = self.adr_ack_cnt - plan.adr_ack_limit
        if over > 0 and over % plan.adr_ack_delay == 0:
            score.back_offs += 1
            if self.tx_power:
                self.tx_power = 0
            elif self.dr:
                self.dr -= 1
            else:
                self.nb_trans = 1
        score.course.append((self.dr, self.tx_power, self.nb_trans))
        self.answer, self.answer_due = self.answer_due, None
        self.transmissions = 0
        self.next_s = now + self._lab.setup.period_s
        self.transmit(now)

    def transmit(self, now: float) -> None:
        """Once, on a channel that the duty cycle leaves free; later when there is none."""
        lab, sf = self._lab, 12 - self.dr
        open_ = [channel for channel in lab.channels if self.free_s.get(channel[1], 0.0) <= now]
        if not open_:
            lab.at(min(self.free_s.values()) + 0.001, self.transmit)
            return
        frequency_hz, band, duty = self._rng.choice(open_)
        airtime_s = lab.airtime_s[sf]
        self.free_s[band] = now + airtime_s / duty
        power_dbm = lab.power_dbm[self.tx_power]
        end_s = now + airtime_s
        frame = OnAir(frequency_hz, sf, now, end_s, [power_dbm + path.gain_db(now) for path in self._paths])
        lab.band.begin(frame)
        self.transmissions += 1
        score = self.score
        score.transmissions += 1
        at_most_dbm = max(frame.rssi_dbm) - power_dbm + lab.power_dbm[0]
        score.reachable += at_most_dbm - SENSITIVITY_DBM[12] > WELL_ABOVE_DB
        score.airtime_s += airtime_s
        windows_s = WINDOW_SYMBOLS * (2**sf + 2**12) / 125_000
        score.energy_mj += VOLT * (airtime_s * SUPPLY_MA[round(power_dbm)] + windows_s * RX_MA)
        lab.at(end_s, self._end, frame)

    def _end(self, now: float, frame: OnAir) -> None:
        lab = self._lab
        by = lab.band.decode(frame)
        down = lab.receive(self, frame, by, now) if by and self.heard_f_cnt != self.f_cnt else None
        if by:
            self.heard_f_cnt = self.f_cnt
        if down is not None:
            lab.at(down[0], self._downlink, down)
        else:
            self._after_windows(now)

    def _downlink(self, now: float, down: tuple[float, int, int, Request | None]) -> None:
        """A frame of the server reaches the antenna, or does not."""
        _, gateway, sf, request = down
        rssi_dbm = self._lab.setup.downlink_dbm + self._paths[gateway].gain_db(now)
        if rssi_dbm < SENSITIVITY_DBM[sf] or self._lab.rng.random() < DOWNLINK_LOSS:
            self._after_windows(now)
            return
        self.adr_ack_cnt = 0
        if request is not None:
            self.dr, self.tx_power, self.nb_trans = request
            self.answer_due = (True, True, True)
        self._next(now)

    def _after_windows(self, now: float) -> None:
        if self.transmissions < self.nb_trans:
            self._lab.at(now + 2 + self._rng.uniform(1, 3), self.transmit)
        else:
            self._next(now)

    def _next(self, now: float) -> None:
        self.f_cnt += 1
        self._lab.at(max(self.next_s + self._rng.uniform(-0.1, 0.1) * self._lab.setup.period_s, now + 5), self.begin)


class Lab:
    """One run of one algorithm."""

    def __init__(self, setup: Setup, servers: Callable[[], Server], seed: int) -> None:
        self.setup = setup
        self.plan: Plan = plan(setup.region)
        self.rng = random.Random(f"{seed}/server")
        self.band = Band(setup.gateways, setup.demodulators)
        self.airtime_s = {sf: lora_airtime_us(setup.frame_bytes, sf, 125_000) / 1e6 for sf in range(7, 13)}
        self.power_dbm = [self.plan.tx_power_dbm(n) for n in range(self.plan.max_tx_power_index + 1)]
        self.channels = [self._channel(hz) for hz in self._frequencies()]
        self._gateway_airtime: list[dict[int, list[tuple[float, float]]]] = [{} for _ in range(setup.gateways)]
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._sequence = 0
        self.devices = self._place(servers, seed)

    def _frequencies(self) -> list[int]:
        return [channel.frequency_hz for channel in self.plan.default_channels] + list(
            self.plan.presets[self.setup.preset]
        )

    def _channel(self, frequency_hz: int) -> tuple[int, int, float]:
        """Frequency, its sub-band and the share of time that it may be used."""
        band = self.plan.sub_band(frequency_hz)
        assert band is not None, frequency_hz
        return frequency_hz, band.min_hz, band.duty_cycle or 1.0

    def _place(self, servers: Callable[[], Server], seed: int) -> list[_Device]:
        setup = self.setup
        rng = random.Random(f"{seed}/place")
        angles = [2 * math.pi * n / setup.gateways for n in range(setup.gateways)]
        spread_m = setup.radius_m / 2 if setup.gateways > 1 else 0.0
        gateways = [(spread_m * math.cos(angle), spread_m * math.sin(angle)) for angle in angles]
        devices = []
        for n in range(setup.devices):
            kind = setup.kinds[n % len(setup.kinds)]
            own = random.Random(f"{seed}/device/{n}")
            while True:
                angle, far = rng.uniform(0, 2 * math.pi), setup.radius_m * math.sqrt(rng.random())
                x, y = far * math.cos(angle), far * math.sin(angle)
                distances_m = [math.hypot(x - a, y - b) for a, b in gateways]
                paths = paths_of(distances_m, kind, own)
                best = max(path.mean_gain_db for path in paths)
                if self.power_dbm[0] + best - NOISE_DBM >= setup.coverage_snr_db:
                    break
            device = _Device(self, kind, paths, random.Random(f"{seed}/life/{n}"), servers())
            devices.append(device)
            self.at(own.uniform(0, setup.period_s), device.begin)
        return devices

    def at(self, when_s: float, action: Callable[..., None], *arguments: object) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (when_s, self._sequence, action, arguments))

    def run(self) -> list[Score]:
        """Let the days go by. Returns the devices' scores."""
        end_s, events = self.setup.days * 86_400, self._events
        while events and events[0][0] <= end_s:
            now, _, action, arguments = heapq.heappop(events)
            action(now, *arguments)
        return [device.score for device in self.devices]

    def receive(
        self, device: _Device, frame: OnAir, by: list[int], now: float
    ) -> tuple[float, int, int, Request | None] | None:
        """The server has an uplink. Returns its downlink: when, from which gateway, at which spreading factor, what."""
        score = device.score
        score.delivered += 1
        score.silent = score.reachable = 0
        best = max(by, key=lambda gateway: frame.rssi_dbm[gateway])
        adr_ack_req = device.adr_ack_cnt > self.plan.adr_ack_limit
        snr_db = min(MAX_SNR_DB, round((frame.rssi_dbm[best] - NOISE_DBM + self.rng.gauss(0, 0.7)) * 4) / 4)
        heard = Heard(device.f_cnt, device.dr, snr_db, len(by), adr_ack_req, device.answer, now)
        request = device.server.uplink(heard)
        if request is None and not adr_ack_req:
            return None
        if request is not None:
            score.requests += 1
        for delay_s, frequency_hz, sf in ((1.0, frame.frequency_hz, frame.sf), (2.0, self.plan.rx2_frequency_hz, 12)):
            if self._gateway_may(best, frequency_hz, now + delay_s, self.airtime_s[sf]):
                start_s = now + delay_s
                self.band.transmit(best, start_s, start_s + self.airtime_s[sf])
                return start_s, best, sf, request
        return None

    def _gateway_may(self, gateway: int, frequency_hz: int, start_s: float, airtime_s: float) -> bool:
        """Its duty cycle in the last hour."""
        _, band, duty = self._channel(frequency_hz)
        sent = self._gateway_airtime[gateway].setdefault(band, [])
        while sent and sent[0][0] < start_s - 3600:
            sent.pop(0)
        if sum(airtime for _, airtime in sent) + airtime_s > duty * 3600:
            return False
        sent.append((start_s, airtime_s))
        return True

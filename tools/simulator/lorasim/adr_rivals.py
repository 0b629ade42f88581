"""How two well-known network servers adapt data rates, written anew from what is known of their behaviour.

Sources: ChirpStack ``chirpstack/src/adr/default.rs`` (d77207cd), The Things Stack ``pkg/networkserver/mac/adr.go`` (1d218216).
Where either is worse than needed and the sources leave a doubt, the doubt is decided in its favour.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

from lorasim.radio import REQUIRED_SNR_DB

HISTORY = 20
MAX_DR = 5
MAX_TX_POWER = 7
MAX_ERRORS = 1
NB_TRANS = ((0.05, (1, 1, 2)), (0.10, (1, 2, 3)), (0.30, (2, 3, 3)), (1.01, (3, 3, 3)))


class Heard(NamedTuple):
    """An uplink as a network server has it."""

    f_cnt: int
    dr: int
    snr_db: float
    """At the best gateway."""
    gateways: int
    adr_ack_req: bool
    answer: tuple[bool, bool, bool] | None
    """LinkADRAns: channel mask, data rate and power accepted."""
    at_s: float


class Request(NamedTuple):
    """LinkADRReq."""

    dr: int
    tx_power: int
    nb_trans: int


class Server(Protocol):
    """The ADR of a network server for one device."""

    def uplink(self, heard: Heard) -> Request | None:
        """What to ask in answer to an uplink."""


def floor_db(dr: int) -> float:
    return REQUIRED_SNR_DB[12 - dr]


def nb_trans_for(loss: float, present: int) -> int:
    return next(row[min(max(present, 1), 3) - 1] for below, row in NB_TRANS if loss < below)


class _Known:
    """What both remember."""

    def __init__(self) -> None:
        self.dr, self.tx_power, self.nb_trans = -1, 0, 1
        self.history: deque[tuple[int, float]] = deque(maxlen=HISTORY)
        self.pending: Request | None = None
        self.max_tx_power = MAX_TX_POWER
        self.errors = 0

    def take(self, heard: Heard) -> None:
        if heard.answer is not None and self.pending is not None:
            if all(heard.answer):
                self.dr, self.tx_power, self.nb_trans = self.pending
                self.history.clear()
                self.errors = 0
            else:
                self.errors += 1
            self.pending = None
        if heard.dr != self.dr:  # the device's own back-off
            self.tx_power = 0 if self.dr >= 0 else self.tx_power
            self.dr = heard.dr
            self.history.clear()
        self.history.append((heard.f_cnt, heard.snr_db))

    def ask(self, dr: int, tx_power: int, nb_trans: int) -> Request | None:
        self.pending = None
        if (dr, tx_power, nb_trans) != (self.dr, self.tx_power, self.nb_trans) and self.errors <= MAX_ERRORS:
            self.pending = Request(dr, tx_power, nb_trans)
        return self.pending


class ChirpStackLike(_Known):
    """The best SNR of the last 20 frames, 10 dB of margin, steps of 3 dB; less power only at the highest data rate."""

    margin_db = 10.0

    def uplink(self, heard: Heard) -> Request | None:
        self.take(heard)
        best = max(snr for _, snr in self.history)
        steps = int((best - floor_db(self.dr) - self.margin_db) / 3)
        full = len(self.history) == HISTORY
        dr, tx_power = self.dr, self.tx_power
        while steps > 0:
            if dr < MAX_DR:
                dr += 1
            elif tx_power < self.max_tx_power:
                tx_power += 1
            steps -= 1
        if full:
            tx_power = max(0, tx_power + min(steps, 0))
        loss = min(1.0, (self.history[-1][0] - self.history[0][0] + 1 - HISTORY) / HISTORY) if full else 0.0
        # With a short history it reckons with no loss; that it would take repetitions back at once is left out.
        nb_trans = nb_trans_for(loss, self.nb_trans) if full else self.nb_trans
        return self.ask(dr, tx_power, nb_trans)


class TheThingsStackLike(_Known):
    """The best SNR since the last change, 15 dB of margin (17.5 before 20 frames), 2.5 dB a data rate, 2 dB a power step."""

    margin_db = 15.0

    def uplink(self, heard: Heard) -> Request | None:
        self.take(heard)
        best = max(snr for _, snr in self.history)
        margin = best - floor_db(self.dr) - self.margin_db - (2.5 if len(self.history) < HISTORY else 0.0)
        dr, tx_power = self.dr, self.tx_power
        if margin >= 2.5 and dr < MAX_DR:
            margin += 2 * tx_power
            tx_power = 0
        while margin >= 2.5 and dr < MAX_DR:
            dr += 1
            margin -= 2.5
        while margin < 0 and tx_power > 0:
            tx_power -= 1
            margin += 2
        while margin >= 2 and tx_power < self.max_tx_power:
            tx_power += 1
            margin -= 2
        nb_trans = self.nb_trans
        if len(self.history) >= 10:
            sent = self.history[-1][0] - self.history[0][0] + 1
            nb_trans = nb_trans_for(1 - len(self.history) / sent, self.nb_trans)
        return self.ask(dr, tx_power, nb_trans)

"""What the server remembers of a device's MAC layer between frames. Lost at a restart without harm: it asks again."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Sample(NamedTuple):
    """What ADR knows of one uplink."""

    f_cnt: int
    snr_db: float
    """At the best gateway."""


class LinkAdrRequest(NamedTuple):
    dr: int
    tx_power: int
    nb_trans: int
    sent_with_f_cnt_up: int
    reason: str


ADR_HISTORY = 20
"""Uplinks that ADR looks at, as in Semtech's recommended algorithm."""


class MacState:
    """Requests under way and the history that decisions need."""

    __slots__ = ("link_adr", "max_dr", "max_tx_power", "refusals", "samples", "status_asked")

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=ADR_HISTORY)
        self.link_adr: LinkAdrRequest | None = None
        """Sent and not answered yet."""
        self.refusals = 0
        """LinkADRReq refused or left without an answer, in a row."""
        self.max_dr: int | None = None
        """Highest data rate that the device has not refused; None: it has refused none."""
        self.max_tx_power: int | None = None
        self.status_asked = False

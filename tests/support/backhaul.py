"""Gateways behind a slow line: datagrams take their time both ways, and the forwarder has a real just-in-time queue."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lorasim.jit import FORWARDERS, JitQueue
from lorasim.radio import Downlink

from lorawan.airtime import lora_airtime_us
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import Lab


class Line:
    """Things that happen later, in the laboratory's time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, us: int, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (self.lab.mono_us + us, self._number, what))

    def run(self, us: int) -> None:
        """Let time go by: the server's timers and what is on the line, each at its moment."""
        lab, until_us = self.lab, self.lab.mono_us + us
        while True:
            line_us = self._due[0][0] if self._due else until_us + 1
            timer_us = lab.engine.timer()
            if timer_us is not None and timer_us < line_us:
                line_us = max(timer_us, lab.mono_us)
            if line_us > until_us:
                break
            lab.advance(line_us - lab.mono_us)
            if self._due and self._due[0][0] <= lab.mono_us:
                heapq.heappop(self._due)[2]()
        lab.advance(until_us - lab.mono_us)


@dataclass
class SlowGateway(FakeGateway):
    """``up_us`` and ``down_us`` give the delay of the next datagram of each way."""

    line: Line = field(kw_only=True)
    up_us: Callable[[], int] = field(kw_only=True)
    down_us: Callable[[], int] = field(kw_only=True)
    forwarder: str = "1302"
    answers: bool = True
    verdicts: list[tuple[str, int]] = field(default_factory=list)
    """(what the queue said, round trip of the PULL_RESP if its answer was the first thing to go back)."""
    on_air: list[tuple[int, int]] = field(default_factory=list)
    """(start, end) of what its antenna sent."""

    def __post_init__(self) -> None:
        self._jit = JitQueue(FORWARDERS[self.forwarder])

    def hear_now(self, phy: bytes, **fields: Any) -> None:
        """A frame ends in the air now; its datagram arrives when the line likes."""
        body = {"rxpk": [self.rxpk(phy, **fields)]}
        self.line.after(self.up_us(), lambda: self._push_now(body))

    def _push_now(self, body: dict[str, Any]) -> None:
        self.push(body)

    def take(self, datagram: bytes) -> None:
        down_us = self.down_us()
        if datagram[3] == 3:
            self.line.after(down_us, lambda: self._pull_resp(datagram, down_us))
        else:
            super().take(datagram)

    def _pull_resp(self, datagram: bytes, down_us: int) -> None:
        lab = self.lab
        for _ in self._jit.take_due(lab.mono_us):
            pass
        txpk = json.loads(datagram[4:])["txpk"]
        spreading_factor = int(txpk["datr"][2:].partition("BW")[0])
        airtime_us = lora_airtime_us(txpk["size"], spreading_factor, 125_000, crc=False)
        here = self.tmst()
        tmst = self._jit.first_gap(here, airtime_us) if txpk["imme"] else txpk["tmst"]
        start_us = lab.mono_us + (tmst - here) % (1 << 32)
        downlink = Downlink(
            int(self.eui, 16), 0, b"", round(txpk["freq"] * 1e6), txpk["datr"], True, txpk["powe"], start_us, airtime_us
        )
        verdict = self._jit.enqueue(tmst, downlink, here)
        if verdict == "NONE":
            self.on_air.append((start_us, start_us + airtime_us))
        error = "" if verdict == "NONE" else verdict
        lab.air.append(Sent(self.eui, txpk, datagram[1:3], lab.mono_us, error))
        up_us = self.up_us()
        self.verdicts.append((verdict, down_us + up_us))
        if self.answers:
            body = json.dumps({"txpk_ack": {"error": error}}).encode() if error else b""
            token = datagram[1:3]
            self.line.after(up_us, lambda: self._answer_now(token, body))

    def _answer_now(self, token: bytes, body: bytes) -> None:
        self.answer(token, body)
        self.lab.pump()


def slow_gateway(
    line: Line, number: int, up_us: Callable[[], int], down_us: Callable[[], int], forwarder: str = "1302"
) -> SlowGateway:
    """A registered gateway behind the line; its PULL_DATA has arrived."""
    lab = line.lab
    eui = f"{0x70B3D50000000000 + number:016x}"
    lab.call("gateway_put", gateway_eui=eui)
    gateway = SlowGateway(
        lab,
        eui,
        20_000 + 2 * number,
        boot_us=lab.mono_us - number * 7_000_000,
        line=line,
        up_us=up_us,
        down_us=down_us,
        forwarder=forwarder,
    )
    lab.gateways[eui] = gateway
    gateway.pull()
    return gateway

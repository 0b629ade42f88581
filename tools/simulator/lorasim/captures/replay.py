"""A capture sent again, with new timing: what its gateways told the server then, told to a server now.

:func:`plan` is pure: when to send what. The counters of the concentrators (``tmst``) run with the new timing, and ``time`` and
``tmms`` move with it, so that a server finds clocks that go right.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lorasim.captures.semtech import Message
from lorasim.gwmp import PULL_RESP, PUSH_ACK, PUSH_DATA, pull_data, push_data, tx_ack
from lorasim.metrics import percentile

COUNTER = 1 << 32
KEEPALIVE_US = 10_000_000
COUNTER = COUNTER


@dataclass(slots=True, frozen=True)
class Timing:
    """When the datagrams leave: with their own gaps (``speed`` times as fast), so many a second, or at once."""

    speed: float = 1.0
    per_second: float | None = None
    at_once: bool = False


@dataclass(slots=True, frozen=True)
class Planned:
    """A datagram to send, ``at_us`` after the beginning."""

    at_us: int
    gateway: int
    pull: bool
    """From the socket of PULL_DATA."""
    token: int
    data: bytes


@dataclass(slots=True)
class _Clock:
    """A concentrator's counter, then and now."""

    tmst: int
    captured_us: int
    sent_us: int


def plan(
    messages: Iterable[Message], timing: Timing, start_us: int, gateways: Sequence[int] = ()
) -> tuple[list[Planned], int]:
    """What to send, and how many datagrams were left out because they are broken.

    ``start_us``: wall clock of the beginning, for ``time`` and ``tmms``; ``gateways``: only these, all when empty. PULL_DATA is
    made anew (at the beginning, then every 10 s); TX_ACKs of the capture belong to downlinks that nobody has asked for now.
    """
    planned: list[Planned] = []
    clocks: dict[int, _Clock] = {}
    left_out, first_us = 0, None
    for message in messages:
        if message.kind != PUSH_DATA or message.gateway is None or (gateways and message.gateway not in gateways):
            continue
        if message.fault or not message.body:
            left_out += 1
            continue
        captured_us = message.captured.t
        first_us = captured_us if first_us is None else first_us
        at_us = _leaves(timing, len(planned), captured_us - first_us)
        body = _moved(message.body, clocks, message.gateway, captured_us, at_us, start_us)
        token = len(planned) & 0xFFFF
        planned.append(Planned(at_us, message.gateway, False, token, push_data(token, message.gateway, body)))
    return sorted([*_keepalives(planned), *planned], key=lambda one: (one.at_us, not one.pull)), left_out


def _leaves(timing: Timing, number: int, since_us: int) -> int:
    if timing.at_once:
        return 0
    if timing.per_second is not None:
        return round(number * 1e6 / timing.per_second)
    return round(max(0, since_us) / timing.speed)


def _keepalives(planned: Sequence[Planned]) -> list[Planned]:
    last_us = max((one.at_us for one in planned), default=0)
    found = []
    for gateway in sorted({one.gateway for one in planned}):
        for number, at_us in enumerate(range(0, last_us + 1, KEEPALIVE_US)):
            found.append(Planned(at_us, gateway, True, number & 0xFFFF, pull_data(number & 0xFFFF, gateway)))
    return found


def _moved(
    body: dict[str, Any], clocks: dict[int, _Clock], gateway: int, captured_us: int, at_us: int, start_us: int
) -> dict[str, Any]:
    """A PUSH_DATA whose clocks go as they would now."""
    shift_us = start_us + at_us - captured_us
    packets = body.get("rxpk")
    moved = {**body}
    if isinstance(packets, list):
        moved["rxpk"] = [
            _packet(packet, clocks, gateway, captured_us, at_us, shift_us) if isinstance(packet, dict) else packet
            for packet in packets
        ]
    stat = body.get("stat")
    if isinstance(stat, dict) and isinstance(stat.get("time"), str):
        now = datetime.fromtimestamp((start_us + at_us) / 1e6, UTC)
        moved["stat"] = {**stat, "time": f"{now:%Y-%m-%d %H:%M:%S} GMT"}
    return moved


def _packet(
    packet: dict[str, Any], clocks: dict[int, _Clock], gateway: int, captured_us: int, at_us: int, shift_us: int
) -> dict[str, Any]:
    moved = {**packet}
    tmst = packet.get("tmst")
    if isinstance(tmst, int) and not isinstance(tmst, bool):
        clock = clocks.setdefault(gateway, _Clock(tmst, captured_us, at_us))
        # how much longer than the first one did this frame wait in its gateway? Then it waits so long now, too
        waited_us = (captured_us - clock.captured_us - (tmst - clock.tmst)) % COUNTER
        waited_us = waited_us - COUNTER if waited_us >= COUNTER // 2 else waited_us
        moved["tmst"] = (clock.tmst + at_us - clock.sent_us - waited_us) % COUNTER
    if isinstance(packet.get("tmms"), int):
        moved["tmms"] = packet["tmms"] + shift_us // 1000
    if isinstance(packet.get("time"), str):
        with contextlib.suppress(ValueError):
            then = datetime.fromisoformat(packet["time"]) + timedelta(microseconds=shift_us)
            moved["time"] = then.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return moved


@dataclass(slots=True)
class Replayed:
    """What became of a replay."""

    sent: int = 0
    """PUSH_DATA datagrams."""
    frames: int = 0
    left_out: int = 0
    acknowledged: int = 0
    downlinks: int = 0
    """PULL_RESPs."""
    delays_ms: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def rows(self) -> list[tuple[str, str]]:
        """As labels and values."""
        half, most = (percentile(self.delays_ms, share) for share in (0.5, 0.99))
        found = [
            ("sent", f"{self.sent} PUSH_DATA with {self.frames} frames"),
            ("left out", f"{self.left_out} that are broken" if self.left_out else ""),
            ("acknowledged", f"{self.acknowledged}"),
            (
                "PUSH_ACK",
                f"median {half:.1f} ms, 99 % within {most:.1f} ms" if half is not None and most is not None else "",
            ),
            ("PULL_RESP", f"{self.downlinks}, answered with TX_ACK"),
        ]
        return [(name, value) for name, value in found if value]


class _Socket(asyncio.DatagramProtocol):
    """One of a gateway's two sockets."""

    def __init__(self, gateway: int, result: Replayed, sent_at: dict[tuple[int, int], float]) -> None:
        self._gateway, self._result, self._sent_at = gateway, result, sent_at
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if len(data) < 4:
            return
        token = int.from_bytes(data[1:3], "little")
        if data[3] == PUSH_ACK:
            began = self._sent_at.pop((self._gateway, token), None)
            if began is not None:
                self._result.acknowledged += 1
                self._result.delays_ms.append((time.monotonic() - began) * 1000)
        elif data[3] == PULL_RESP and self.transport is not None:
            self._result.downlinks += 1
            self.transport.sendto(tx_ack(token, self._gateway))

    def error_received(self, error: Exception) -> None:
        """Nobody listens at the moment: a gateway keeps sending."""


async def send(planned: Sequence[Planned], server: tuple[str, int], linger_s: float = 2.0) -> Replayed:
    """Send a plan to a server, each gateway from two sockets of its own. Raises OSError when its name cannot be resolved."""
    result, sent_at = Replayed(), dict[tuple[int, int], float]()
    sockets: dict[tuple[int, bool], asyncio.DatagramTransport] = {}
    loop = asyncio.get_running_loop()
    try:
        for gateway in sorted({one.gateway for one in planned}):
            for pull in (False, True):
                made = await loop.create_datagram_endpoint(
                    lambda gateway=gateway: _Socket(gateway, result, sent_at),  # type: ignore[misc]
                    remote_addr=server,
                )
                sockets[gateway, pull] = made[0]
        began = time.monotonic()
        for number, one in enumerate(planned):
            wait_s = began + one.at_us / 1e6 - time.monotonic()
            if wait_s > 0 or number % 64 == 0:  # now and then the answers are read, however fast it goes
                await asyncio.sleep(max(0.0, wait_s))
            sockets[one.gateway, one.pull].sendto(one.data)
            if not one.pull:
                sent_at[one.gateway, one.token] = time.monotonic()
                result.sent += 1
                result.frames += len(json.loads(one.data[12:]).get("rxpk", ()))
        last = time.monotonic() + linger_s
        while sent_at and time.monotonic() < last:
            await asyncio.sleep(0.05)
    finally:
        for transport in sockets.values():
            transport.close()
    return result

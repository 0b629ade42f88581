"""Load: valid uplinks of very many ABP devices, built once and fired over UDP at a given rate.

Three steps, each usable alone: :func:`make_sessions` (JSON lines that a server imports), :func:`build_frames` (a file with
one finished frame a line) and :func:`blast` (sends the file, each frame through all gateways, and collects PUSH_ACKs and
PULL_RESPs). Sending costs a few microseconds a datagram, so the generator does not limit what it measures.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import os
import re
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from Crypto.Cipher import AES

from lorasim import gwmp, payloads

CHANNELS_HZ = (868_900_000, 869_100_000, 864_100_000, 864_300_000, 864_500_000, 864_700_000, 864_900_000)
KEEPALIVE_S = 10.0
SILENCE_MS = 400
"""Nothing comes for so long: nothing will. A server gathers the copies of a frame for some 200 ms before it answers."""
TOKENS = 1 << 16


@dataclass(slots=True, frozen=True)
class LoadSession:
    """An ABP session of LoRaWAN 1.0.x, all in lower-case hex."""

    dev_eui: str
    dev_addr: str
    nwk_s_key: str
    app_s_key: str


def make_sessions(
    count: int, seed: int = 1, first_dev_eui: int = 0x70B3D5FFFD000000, first_dev_addr: int = 0x00100000
) -> list[LoadSession]:
    """``count`` sessions with keys from the seed and neighbouring addresses."""
    sessions = []
    for index in range(count):
        keys = hashlib.sha256(f"lorasim/load/{seed}/{index}".encode()).hexdigest()
        sessions.append(
            LoadSession(f"{first_dev_eui + index:016x}", f"{first_dev_addr + index:08x}", keys[:32], keys[32:])
        )
    return sessions


def write_sessions(path: str | Path, sessions: Iterable[LoadSession]) -> None:
    """One JSON object a line: dev_eui, dev_addr, nwk_s_key, app_s_key."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(session)) + "\n" for session in sessions)


def read_sessions(path: str | Path) -> list[LoadSession]:
    with Path(path).open(encoding="utf-8") as file:
        return [LoadSession(**json.loads(line)) for line in file]


# ---------------------------------------------------------------------------------------------------------- building


class FrameBuilder:
    """Uplinks of one session with cached key schedules: about 20 µs a frame."""

    __slots__ = ("_addr", "_app", "_k1", "_k2", "_nwk_key")

    def __init__(self, session: LoadSession) -> None:
        self._addr = int(session.dev_addr, 16).to_bytes(4, "little")
        self._nwk_key = bytes.fromhex(session.nwk_s_key)
        self._app = AES.new(bytes.fromhex(session.app_s_key), AES.MODE_ECB)
        zero = AES.new(self._nwk_key, AES.MODE_ECB).encrypt(bytes(16))
        self._k1 = _double(zero)
        self._k2 = _double(self._k1)

    def frame(self, f_cnt: int, f_port: int, data: bytes, confirmed: bool) -> bytes:
        """PHYPayload of one uplink."""
        counter = self._addr + f_cnt.to_bytes(4, "little") + b"\0"
        blocks = range(1, -(-len(data) // 16) + 1)
        stream = self._app.encrypt(b"".join(b"\x01\0\0\0\0\0" + counter + bytes([i]) for i in blocks))
        sealed = int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")
        head = (b"\x80" if confirmed else b"\x40") + self._addr + b"\x80" + (f_cnt & 0xFFFF).to_bytes(2, "little")
        message = head + bytes([f_port]) + sealed.to_bytes(len(data), "big")
        b0 = b"\x49\0\0\0\0\0" + counter + bytes([len(message)])
        return message + self._mic(b0 + message)

    def _mic(self, message: bytes) -> bytes:
        """CMAC (RFC 4493) in one CBC call: the last block is whitened with a subkey."""
        rest = len(message) % 16
        key = self._k2 if rest else self._k1
        if rest:
            message += b"\x80" + bytes(15 - rest)
        last = (int.from_bytes(message[-16:], "big") ^ key).to_bytes(16, "big")
        return AES.new(self._nwk_key, AES.MODE_CBC, iv=bytes(16)).encrypt(message[:-16] + last)[-16:-12]


def _double(block: bytes | int) -> int:
    """Subkey arithmetic of CMAC in GF(2^128)."""
    value = int.from_bytes(block, "big") if isinstance(block, bytes) else block
    return (value << 1 & (1 << 128) - 1) ^ (0x87 if value >> 127 else 0)


def _build_part(part: tuple[Sequence[LoadSession], int, int, int, bool]) -> list[list[bytes]]:
    """Lines of some sessions, one list a round."""
    sessions, offset, first_f_cnt, rounds, confirmed = part
    lines: list[list[bytes]] = [[] for _ in range(rounds)]
    for index, session in enumerate(sessions, start=offset):
        builder = FrameBuilder(session)
        channel = index % len(CHANNELS_HZ)
        for n in range(rounds):
            f_cnt = first_f_cnt + n
            # a KARAT-926LW day value that grows a little with every frame
            data = bytes.fromhex("85020f") + (840_000_000 + 86_400 * n).to_bytes(4, "little") + b"\0\0"
            data += (1_000_000 + 1_000 * f_cnt + index % 1_000).to_bytes(4, "little") + bytes(4)
            phy = builder.frame(f_cnt, payloads.KARAT_PORT, data, confirmed)
            lines[n].append(_rxpk_tail(phy, channel))
    return lines


def _rxpk_tail(phy: bytes, channel: int) -> bytes:
    """What follows ``"tmst":N`` in a PUSH_DATA with one packet."""
    text = (
        f',"chan":{channel},"rfch":0,"freq":{CHANNELS_HZ[channel] / 1e6:.1f},"stat":1,"modu":"LORA","datr":"SF7BW125"'
        f',"codr":"4/5","size":{len(phy)},"data":"{base64.b64encode(phy).decode()}"}}]}}'
    )
    return text.encode()


def build_frames(
    sessions: Sequence[LoadSession],
    path: str | Path,
    frames: int,
    first_f_cnt: int = 0,
    confirmed: bool = False,
    processes: int | None = None,
) -> int:
    """Write ``frames`` uplinks of every session, all first ones first, and say how many lines there are."""
    workers = processes or os.cpu_count() or 1
    step = -(-len(sessions) // (workers * 4)) or 1
    parts = [(sessions[at : at + step], at, first_f_cnt, frames, confirmed) for at in range(0, len(sessions), step)]
    if workers == 1:
        built = [_build_part(part) for part in parts]
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            built = pool.map(_build_part, parts, chunksize=1)
    with Path(path).open("wb") as file:
        for n in range(frames):
            for lines in built:
                file.write(b"\n".join(lines[n]) + b"\n")
    return len(sessions) * frames


def phy_of(line: bytes) -> bytes:
    """The PHYPayload in a line of a frame file."""
    return base64.b64decode(line.split(b'"data":"', 1)[1].split(b'"', 1)[0])


# ---------------------------------------------------------------------------------------------------------- sending


@dataclass(slots=True)
class LoadResult:
    """What was sent and what came back."""

    frames: int = 0
    datagrams: int = 0
    elapsed_s: float = 0.0
    push_acks: int = 0
    pull_resps: int = 0
    acknowledged: bytearray = field(default_factory=bytearray)
    """For each frame how many of its copies were acknowledged."""
    ack_us: array[int] = field(default_factory=lambda: array("q"))
    """PUSH_DATA to PUSH_ACK."""
    decision_us: array[int] = field(default_factory=lambda: array("q"))
    """First copy of an uplink to its PULL_RESP."""

    @property
    def acknowledged_frames(self) -> int:
        return len(self.acknowledged) - self.acknowledged.count(0)

    def report(self) -> dict[str, object]:
        """Numbers for people and JSON."""
        return {
            "frames": self.frames,
            "datagrams": self.datagrams,
            "elapsed_s": round(self.elapsed_s, 3),
            "frames_per_s": round(self.frames / self.elapsed_s, 1) if self.elapsed_s else 0.0,
            "push_acks": self.push_acks,
            "acknowledged_frames": self.acknowledged_frames,
            "ack_ms": percentiles_ms(self.ack_us),
            "pull_resps": self.pull_resps,
            "decision_ms": percentiles_ms(self.decision_us),
        }


def percentiles_ms(values_us: Iterable[int]) -> dict[str, float]:
    """Median, 90th and 99th percentile and maximum; empty when there is nothing."""
    ordered = sorted(values_us)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 for name, share in shares.items()}


_TMST = re.compile(rb'"tmst":\s*(\d+)')


class _Gun:
    """One gateway: its socket, its tokens and the constant parts of its datagrams."""

    def __init__(self, eui: int, server: tuple[str, int], rssi_dbm: int, snr_db: float) -> None:
        self.eui = eui
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self.socket.connect(server)
        self.socket.setblocking(False)
        self.head = b"\x00" + eui.to_bytes(8, "big")
        self.head += b'{"rxpk":[{"rssi":%d,"lsnr":%.1f,"tmst":' % (rssi_dbm, snr_db)
        self.frame_of = array("l", bytes(8 * TOKENS))
        self.sent_at = array("q", bytes(8 * TOKENS))
        self.token = 0

    def fire(self, index: int, tmst: bytes, tail: bytes, now_us: int) -> bool:
        self.token = token = (self.token + 1) & 0xFFFF
        self.frame_of[token] = index
        self.sent_at[token] = now_us
        try:
            self.socket.send(b"\x02" + token.to_bytes(2, "little") + self.head + tmst + tail)
        except OSError:  # a full buffer, or nobody listens: a gateway would lose the frame, too
            return False
        return True


def blast(
    lines: Iterable[bytes],
    server: tuple[str, int],
    gateways: Sequence[int],
    rate: float,
    linger_s: float = 2.0,
    progress: Callable[[LoadResult], None] | None = None,
    copies: int | None = None,
) -> LoadResult:
    """Send every frame through every gateway, ``rate`` frames a second, and wait ``linger_s`` for the last answers.

    ``lines``: a frame file opened in binary, or lines of it. ``copies``: only so many gateways hear a frame, the next ones
    the next frame.
    """
    copies = copies or len(gateways)
    guns = [_Gun(eui, server, -80 - 3 * (i % copies), 9.5 - 1.5 * (i % copies)) for i, eui in enumerate(gateways)]
    groups = [guns[at : at + copies] for at in range(0, len(guns), copies)]
    try:
        return _Volley(groups, rate, progress).run(iter(lines), linger_s)
    finally:
        for gun in guns:
            gun.socket.close()


class _Volley:
    def __init__(self, groups: list[list[_Gun]], rate: float, progress: Callable[[LoadResult], None] | None) -> None:
        self.groups = groups
        self.guns = [gun for group in groups for gun in group]
        self.rate = rate
        self.progress = progress
        self.result = LoadResult()
        self._first_copy: dict[int, int] = {}
        """tmst → time of sending, for frames whose PULL_RESP may still come."""
        self._poll = select.poll()
        self._by_fd = {gun.socket.fileno(): gun for gun in self.guns}
        for fd in self._by_fd:
            self._poll.register(fd, select.POLLIN)

    def run(self, lines: Iterator[bytes], linger_s: float) -> LoadResult:
        result, rate = self.result, self.rate
        begin = time.perf_counter()
        keepalive = told = begin
        self._keep_alive()
        more = True
        while more:
            now = time.perf_counter()
            due = int((now - begin) * rate) - result.frames
            for _ in range(min(due, 32)):
                line = next(lines, None)
                if line is None:
                    more = False
                    break
                self._fire(line.rstrip(b"\n"))
            self._drain(0 if due > 32 else 1)
            if now - keepalive >= KEEPALIVE_S:
                keepalive = now
                self._keep_alive()
            if self.progress is not None and now - told >= 1.0:
                told = now
                result.elapsed_s = now - begin
                self.progress(result)
        result.elapsed_s = time.perf_counter() - begin
        end = time.perf_counter() + linger_s
        while time.perf_counter() < end and result.push_acks < result.datagrams:
            self._drain(10)
        while self._drain(SILENCE_MS):
            pass
        return result

    def _keep_alive(self) -> None:
        for gun in self.guns:
            gun.socket.send(gwmp.pull_data(0, gun.eui))

    def _fire(self, tail: bytes) -> None:
        result = self.result
        now_us = time.perf_counter_ns() // 1000
        index = result.frames
        tmst = now_us & 0xFFFFFFFF
        text = b"%d" % tmst
        self._first_copy[tmst] = now_us
        if len(self._first_copy) > TOKENS:
            self._first_copy = dict(list(self._first_copy.items())[TOKENS // 2 :])
        result.acknowledged.append(0)
        result.frames += 1
        for gun in self.groups[index % len(self.groups)]:
            result.datagrams += gun.fire(index, text, tail, now_us)

    def _drain(self, wait_ms: int) -> bool:
        """Take what has arrived; whether there was anything."""
        ready = self._poll.poll(wait_ms)
        for fd, _ in ready:
            gun = self._by_fd[fd]
            for _ in range(256):
                try:
                    data = gun.socket.recv(2048)
                except OSError:
                    break
                self._received(gun, data)
        return bool(ready)

    def _received(self, gun: _Gun, data: bytes) -> None:
        result = self.result
        kind = data[3] if len(data) >= 4 else -1
        if kind == gwmp.PUSH_ACK:
            token = data[1] | data[2] << 8
            result.push_acks += 1
            result.ack_us.append(time.perf_counter_ns() // 1000 - gun.sent_at[token])
            result.acknowledged[gun.frame_of[token]] += 1
        elif kind == gwmp.PULL_RESP:
            result.pull_resps += 1
            gun.socket.send(gwmp.tx_ack(data[1] | data[2] << 8, gun.eui))
            found = _TMST.search(data)
            if found is None:
                return
            for delay_us in (1_000_000, 2_000_000):
                sent = self._first_copy.pop((int(found[1]) - delay_us) & 0xFFFFFFFF, None)
                if sent is not None:
                    result.decision_us.append(time.perf_counter_ns() // 1000 - sent)
                    return


# ---------------------------------------------------------------------------------------------------------- program


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m lorasim.load sessions|frames|blast``; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m lorasim.load", description=__doc__.split("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("sessions", help="make ABP sessions")
    step.add_argument("--count", type=int, required=True)
    step.add_argument("--seed", type=int, default=1)
    step.add_argument("--out", required=True, help="JSON lines")
    step = steps.add_parser("frames", help="build uplinks of the sessions")
    step.add_argument("--sessions", required=True)
    step.add_argument("--frames", type=int, default=1, help="uplinks of each session")
    step.add_argument("--first-fcnt", type=int, default=0)
    step.add_argument("--confirmed", action="store_true")
    step.add_argument("--out", required=True)
    step = steps.add_parser("blast", help="send the uplinks")
    step.add_argument("--frames", required=True, help="file made by 'frames'")
    step.add_argument("--server", default="127.0.0.1:1700")
    step.add_argument("--gateway", action="append", required=True, help="EUI; once for each copy")
    step.add_argument("--rate", type=float, required=True, help="frames a second")
    given = parser.parse_args(arguments)
    if given.step == "sessions":
        write_sessions(given.out, make_sessions(given.count, given.seed))
    elif given.step == "frames":
        build_frames(read_sessions(given.sessions), given.out, given.frames, given.first_fcnt, given.confirmed)
    else:
        host, _, port = given.server.rpartition(":")
        with Path(given.frames).open("rb") as file:
            result = blast(file, (host, int(port)), [int(eui, 16) for eui in given.gateway], given.rate)
        print(json.dumps(result.report(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

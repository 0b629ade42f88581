"""``python -m lorasim pcap show|replay FILE``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorasim.captures import CaptureError
from lorasim.captures.keys import KeyRing
from lorasim.captures.replay import Timing, plan, send
from lorasim.captures.semtech import Message, messages
from lorasim.captures.show import show
from lorasim.captures.udp import read

MAX_PER_SECOND = 100_000.0


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: done, 1: a replay got no acknowledgement at all, 2: wrong use, or the capture cannot be read."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.do(given))
    except BrokenPipeError:
        return 0  # `| head` has seen enough
    except (CaptureError, OSError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lorasim pcap", description="Captures of gateways' UDP traffic.")
    commands = parser.add_subparsers(required=True, metavar="show|replay")
    shown = commands.add_parser("show", help="as LoRaWAN, in words")
    shown.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEY",
        help="DevAddr:NwkSKey:AppSKey or DevEUI:AppKey; for 1.1 with all keys",
    )
    shown.add_argument("--keys", type=Path, metavar="FILE", help="a file with one such key a line")
    shown.set_defaults(do=_show)
    replayed = commands.add_parser("replay", help="send what the gateways sent to a server, with new timing")
    replayed.add_argument("--server", default="127.0.0.1:1700", metavar="HOST:PORT")
    timing = replayed.add_mutually_exclusive_group()
    timing.add_argument("--speed", type=_above_zero, default=1.0, help="the gaps of the capture, so many times as fast")
    timing.add_argument("--rate", type=_above_zero, metavar="PER_SECOND", help="so many datagrams a second, evenly")
    timing.add_argument("--at-once", action="store_true", help="as fast as they can be sent")
    replayed.set_defaults(do=_replay)
    for one in (shown, replayed):
        one.add_argument("capture", metavar="FILE", help="pcap or pcapng, compressed with gzip or not")
        one.add_argument("--port", type=int, help="only datagrams from or to this UDP port")
        one.add_argument("--gateway", action="append", default=[], type=_eui, metavar="EUI", help="only this gateway")
    return parser


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value <= MAX_PER_SECOND:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to {MAX_PER_SECOND:.0f}")
    return value


def _eui(text: str) -> int:
    digits = text.replace("-", "").replace(":", "")
    if len(digits) != 16:
        raise argparse.ArgumentTypeError(f"{text} is not 16 hex digits")
    return int(digits, 16)


def _messages(given: argparse.Namespace) -> Iterator[Message]:
    datagrams = read(given.capture)
    if given.port is not None:
        datagrams = (one for one in datagrams if given.port in (one.source[1], one.target[1]))
    return (one for one in messages(datagrams) if not given.gateway or one.gateway in given.gateway)


def _show(given: argparse.Namespace) -> int:
    lines = [*given.key, *(given.keys.read_text(encoding="utf-8").splitlines() if given.keys else [])]
    count = 0
    for text in show(_messages(given), KeyRing.of(lines)):
        count += 1
        print(text)
    if not count:
        print("no Semtech UDP in this capture", file=sys.stderr)
    return 0


def _replay(given: argparse.Namespace) -> int:
    host, _, port = given.server.rpartition(":")
    if not port.isdigit():
        raise CaptureError(f"--server {given.server!r} is not HOST:PORT")
    timing = Timing(given.speed, given.rate, given.at_once)
    planned, left_out = plan(_messages(given), timing, time.time_ns() // 1000)
    if not planned:
        raise CaptureError(f"{given.capture}: no PUSH_DATA that could be sent")
    print(f"{planned[-1].at_us / 1e6:.0f} s to go", file=sys.stderr)
    result = asyncio.run(send(planned, (host.strip("[]") or "127.0.0.1", int(port))))
    result.left_out = left_out
    for name, value in result.rows():
        print(f"{name:>14}  {value}")
    return 0 if result.acknowledged else 1

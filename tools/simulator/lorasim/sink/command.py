"""``python -m lorasim sink URL``: take a server's events and write them down until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from lorasim import sink


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: stopped by SIGINT or SIGTERM, or after ``--duration``; 2: it cannot listen."""
    parser = argparse.ArgumentParser(prog="python -m lorasim sink", description="Take a server's events into a file.")
    parser.add_argument("url", help="http://HOST:PORT/ to listen at, or mqtt://HOST:PORT/TOPIC to subscribe to")
    parser.add_argument("--events", required=True, metavar="FILE.jsonl", help="where they go, behind what is there")
    parser.add_argument("--duration", type=float, metavar="SECONDS")
    given = parser.parse_args(arguments)
    try:
        return asyncio.run(_listen(given))
    except OSError as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2


async def _listen(given: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with sink.listening(given.url, given.events) as listening:
        print(f"events are taken at {listening.address}", file=sys.stderr, flush=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(given.duration):
                await stop.wait()
        print(f"{listening.events.count} events, {listening.events.unread} of them unreadable", file=sys.stderr)
    return 0

"""What an application would have been given by a network server in virtual time, as lines for the lab's checker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from internalapi import messages as m
from meterwan.virtual import VirtualNetwork

AT_ONCE = 1000
SETTLE_US = 5_000_000


def settle(network: VirtualNetwork) -> None:
    """Let the server finish what it has begun when the run ends: the last frames wait for further copies."""
    now_us = network._wall_us
    while (timer := network.timer()) is not None and timer <= now_us + SETTLE_US:
        network.handle_timer(timer)


def lines(network: VirtualNetwork) -> Iterator[dict[str, Any]]:
    """All events of the run so far, oldest first, in the form of ``lorasim sink``."""
    decoder, after = m.decoder(m.Event), 0
    while True:
        bodies = network.call("events", after=after, limit=AT_ONCE)["events"]
        if not bodies:
            return
        for body in bodies:
            event = decoder.decode(body)
            after = event.id
            yield _line(event)


def _line(event: m.Event) -> dict[str, Any]:
    line: dict[str, Any] = {
        "t": event.time_us,
        "type": "event",
        "event": event.type,
        "dev_eui": event.dev_eui,
        "dev_addr": event.dev_addr,
        "id": str(event.id),
        "form": "internal",
    }
    if event.type == "up":
        line |= {"f_cnt": event.f_cnt, "f_port": event.f_port, "data": event.data.hex(), "late": event.late}
    elif event.type in ("ack", "txack"):
        line |= {"item": event.queue_item_id, "acked": event.acknowledged, "f_cnt_down": event.f_cnt_down}
    elif event.type == "log":
        line |= {"level": event.level, "code": event.code, "text": event.text}
    return line

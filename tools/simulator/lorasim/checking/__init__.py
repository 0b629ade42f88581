"""The whole judgement of a server: what went over the air (:mod:`lorasim.checker`), when, and what the application was given.

It reads a recording and a file of events, and shares no code with any server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lorasim import checker
from lorasim.checker import Line, Violation
from lorasim.checking import events as events_rules
from lorasim.checking.windows import address_of, check_windows, doubled

__all__ = ["INVARIANTS", "Rule", "check", "rule_of"]

BEACON = -1
"""Token of what a gateway sends by itself."""
DATA_DOWN = (3, 5)
"""MTypes of data downlinks."""
Rule = Callable[[Sequence[Line]], list[Violation]]

INVARIANTS = {
    "FCntDown reused": "INV-01",
    "FCntDown falls": "INV-02",
    "JoinNonce": "INV-13",
    "join-accept": "INV-14",
    "MIC": "INV-01",
    "radiated twice": "INV-28, INV-30",
    "downlink at the wrong time": "INV-27",
    "downlink on the wrong channel": "INV-34",
    "downlink at the wrong data rate": "INV-34",
    "refused by the device": "INV-02",
    "lost acknowledged": "INV-21",
    "duplicate": "INV-17",
    "accepted replay": "INV-05",
    "accepted forgery": "INV-05",
    "altered payload": "INV-17",
    "false ACK": "INV-33",
}
"""Which invariant a broken rule breaks: the numbers of docs/reliability.md."""


def check(lines: Sequence[Line], events: Sequence[Line] | None = None) -> list[Violation]:
    """All rules, by time; ``events``: what the application was given, None when nobody listened."""
    found = [
        *_check_air(lines),
        *_check_transmitters(lines),
        *checker.check_devices(lines),
        *check_windows(lines),
    ]
    if events is not None:
        found += events_rules.check_events(lines, events)
    return sorted(found, key=lambda violation: violation.t)


def rule_of(violation: Violation, listened: bool) -> Rule:
    """The part of :func:`check` that finds a violation, over lines of both kinds, recording and events."""
    name = violation.rule
    if name in events_rules.RULES:
        return lambda lines: events_rules.check_events(*_apart(lines)) if listened else []
    if name.startswith("downlink "):
        return check_windows
    if name == "radiated twice":
        return _check_transmitters
    if name in ("refused by the device", "datagram", "PULL_RESP"):
        return checker.check_devices
    return _check_air


def _check_transmitters(lines: Sequence[Line]) -> list[Violation]:
    """A frame for one device: one gateway at a time, and once; but for what the backhaul made two of."""
    forgiven = doubled(lines)
    return checker.check_transmitters(line for line in _unicast(lines) if line["phy"] not in forgiven)


def _check_air(lines: Sequence[Line]) -> list[Violation]:
    others = {id(line) for line in lines if line["type"] == "on_air"} - {id(line) for line in _unicast(lines)}
    return checker.check_air(line for line in lines if id(line) not in others)


def _unicast(lines: Sequence[Line]) -> list[Line]:
    """What went over the air for one device: no beacons, and nothing to an address that no device has.

    That is a group's, of which a recording has no keys, and which several gateways may send.
    """
    owned = {line["dev_addr"] for line in lines if line["type"] in ("device", "joined") and line.get("dev_addr")}
    return [
        line
        for line in lines
        if line["type"] == "on_air"
        and line.get("token") != BEACON
        and (int(line["phy"][:2] or "ff", 16) >> 5 not in DATA_DOWN or address_of(line["phy"]) in owned)
    ]


def _apart(lines: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    """Lines of the recording, and events."""
    recording: list[Line] = []
    events: list[Line] = []
    for line in lines:
        # the recording has lines of this type, too: what the scenario's timeline did
        (events if line["type"] == "event" and "event" in line else recording).append(line)
    return recording, events

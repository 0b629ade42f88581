"""The rules, judged by a history alone: sessions are derived again from root keys with the simulator's own cryptography.

One set for both drivers: virtual time (``seeds``) and real processes (``kills``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from lorasim import checker
from lorasim.checker import Violation

from tests.faults.history import Line

SECOND_US = 1_000_000
SLOWEST_US = 3 * SECOND_US
"""No datagram of a backhaul that is not holding them back takes longer."""

Key = tuple[str, str, int]
"""DevEUI, DevAddr, FCntUp: one reading."""


def check_all(lines: list[Line], converged_from_us: int | None = None) -> list[Violation]:
    """Every rule; an empty list is a server without fault."""
    found = [
        *check_air(lines),
        *check_transmitters(lines),
        *check_wire(lines),
        *check_accepts(lines),
        *check_readings(lines),
        *check_devices(lines),
        *check_items(lines),
    ]
    if converged_from_us is not None:
        found += check_convergence(lines, converged_from_us)
    return sorted(found, key=lambda violation: violation.t)


# --------------------------------------------------------------------------------------------------- downlinks


def check_air(lines: list[Line]) -> list[Violation]:
    """FCntDown and JoinNonce as gateways radiated them.

    Which request of a 1.0 device an accept answers cannot be read off it, so that rule is :func:`check_accepts`'.
    """
    # Who repeats a device's confirmed frame by radio has it answered once more, at a time when nobody listens.
    asleep = {line["t"] for line in lines if line["type"] == "downlink_missed" and "asleep" in (line["why"] or "")}
    return [
        found
        for found in checker.check_air(lines)
        if "two different accepts" not in found.text and not (found.rule.endswith("falls") and found.t in asleep)
    ]


def check_transmitters(lines: list[Line]) -> list[Violation]:
    """One gateway radiates a frame. A PULL_RESP that its backhaul doubles is answered twice, with yes and no: what a
    server does then is right either way."""
    taken = Counter((line["gateway"], line["token"]) for line in lines if line["type"] == "pull_resp")
    doubled = {key for key, times in taken.items() if times > 1}
    return checker.check_transmitters(
        line for line in lines if line["type"] == "on_air" and (line["gateway"], line["token"]) not in doubled
    )


def check_accepts(lines: list[Line]) -> list[Violation]:
    """INV-14: one request, one accept, whoever hears it and however often. Which one is asked is told by ``tmst``."""
    asked: dict[tuple[str, int], set[str]] = defaultdict(set)
    answers: dict[str, str] = {}
    violations = []
    for line in lines:
        if line["type"] == "wire_up" and int(line["phy"][:2], 16) >> 5 in (0, 6) and line["tmst"] is not None:
            asked[line["gateway"], line["tmst"]].add(line["phy"])
        elif line["type"] == "wire_down" and int(line["phy"][:2], 16) >> 5 == 1:
            delays = (5_000_000, 6_000_000)
            requests = [one for delay in delays for one in asked[line["gateway"], (line["tmst"] - delay) % (1 << 32)]]
            if not requests:
                violations.append(Violation("join-accept", line["t"], "", f"nobody asked for {line['phy']}"))
                continue
            request = requests[0]
            # Requests of one microsecond cannot be told apart.
            if len(requests) == 1 and answers.setdefault(request, line["phy"]) != line["phy"]:
                text = f"two accepts for one request {request}: {answers[request]} and {line['phy']}"
                violations.append(Violation("join-accept", line["t"], "", text))
    return violations


def check_wire(lines: list[Line]) -> list[Violation]:
    """INV-01, INV-13, INV-28 where they are strictest: at the server's socket, before anything can be lost.

    A frame that was handed to a gateway counts as sent. One answer is one frame: between two uplinks a class A device is
    told the same bytes, at whatever option.
    """
    on_wire = [line | {"type": "on_air"} if line["type"] == "wire_down" else line for line in lines]
    kinds = ("on_air", "device", "join_request", "rejoin_request", "uplink")
    order = {kind: 0 for kind in kinds} | {"on_air": 1}
    told = [line for line, was in zip(on_wire, lines, strict=True) if line["type"] in kinds and was["type"] != "on_air"]
    told.sort(key=lambda line: (line["t"], order[line["type"]]))
    violations = [
        Violation(f"{found.rule} (wire)", found.t, found.dev_eui, found.text) for found in check_air(told)
    ]
    last: dict[str, str] = {}
    unanswered: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        address = line.get("phy", "")[2:10]
        if line["type"] == "wire_up":
            unanswered[address].add(line["phy"])
        elif line["type"] == "wire_down" and int(line["phy"][:2], 16) >> 5 in (3, 5) and last.get(address) != line["phy"]:
            if unanswered[address]:
                unanswered[address].pop()
            else:
                text = f"one answer, two frames: {last.get(address)} and {line['phy']}"
                violations.append(Violation("two frames for one uplink", line["t"], "", text))
            last[address] = line["phy"]
    return violations


def check_devices(lines: Iterable[Line]) -> list[Violation]:
    """What devices refused and gateways could not read."""
    return [
        violation
        for violation in checker.check_devices(lines)
        # A device hears the same bytes twice when a backhaul doubles a PULL_RESP and the radio sends both.
        if not violation.text.endswith("the same frame again")
    ]


def check_items(lines: list[Line]) -> list[Violation]:
    """An unconfirmed item goes over the air under one counter at most: a valve is closed once."""
    violations = []
    queued = {line["data"]: line for line in lines if line["type"] == "item" and not line["confirmed"]}
    heard: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for line in lines:
        if line["type"] == "downlink" and line["data"] in queued:
            heard[line["data"]].add((line["dev_addr"], line["f_cnt"]))
            if len(heard[line["data"]]) == 2:
                text = f"item {line['data']} came under {sorted(heard[line['data']])}"
                violations.append(Violation("item twice", line["t"], line["dev_eui"], text))
    return violations


# ---------------------------------------------------------------------------------------------------- readings


def check_readings(lines: list[Line]) -> list[Violation]:
    """INV-05, 10, 17, 18, 21: what was acknowledged is one event, and no event is anything but a frame of its device."""
    sent = {(line["dev_eui"], line["dev_addr"], line["f_cnt"]): line for line in lines if line["type"] == "uplink"}
    violations = []
    events: dict[Key, Line] = {}
    for line in lines:
        if line["type"] != "event":
            continue
        key = (line["dev_eui"], line["dev_addr"], line["f_cnt"])
        if key in events:
            violations.append(_reading("duplicate", line["t"], key, f"events {events[key]['id']} and {line['id']}"))
        elif key not in sent:
            violations.append(_reading("invented", line["t"], key, f"event {line['id']}: no device sent such a frame"))
        elif line["data"] != sent[key]["data"]:
            violations.append(_reading("changed", line["t"], key, f"{line['data']} was sent as {sent[key]['data']}"))
        events[key] = line
    lost = _Lost(lines)
    for frame in checker.acknowledged(lines):
        key = (frame.dev_eui, frame.dev_addr, frame.f_cnt)
        if key not in events and not lost.rightly(frame):
            violations.append(_reading("lost", frame.pushed_us, key, "acknowledged to a gateway, and no event"))
    return violations


def _reading(rule: str, t: int, key: Key, text: str) -> Violation:
    return Violation(rule, t, key[0], f"DevAddr {key[1]} FCntUp {key[2]}: {text}")


class _Lost:
    """What may be acknowledged and yet be no event, by the rules of the specification."""

    def __init__(self, lines: list[Line]) -> None:
        self._restores = [(line["backup_us"], line["t"]) for line in lines if line["type"] == "restored"]
        arrived: dict[str, int] = {}
        """When a frame came for the last time."""
        for line in lines:
            if line["type"] == "wire_up":
                arrived[line["phy"]] = line["t"]
        self._first: dict[tuple[str, str], int] = {}
        """When the first frame of a session reached the server."""
        self._order: dict[str, list[str]] = defaultdict(list)
        self._arrived = arrived
        for line in lines:
            if line["type"] == "uplink":
                session = (line["dev_eui"], line["dev_addr"])
                if line["dev_addr"] not in self._order[line["dev_eui"]]:
                    self._order[line["dev_eui"]].append(line["dev_addr"])
                at = arrived.get(line["phy"])
                if at is not None:
                    self._first[session] = min(at, self._first.get(session, at))

    def rightly(self, frame: checker.Acknowledged) -> bool:
        # A restore brings back the moment of the backup: what was acknowledged in between is gone with the disk.
        at = self._arrived.get(frame.phy.hex(), frame.pushed_us)
        if any(begin - SLOWEST_US <= at <= end for begin, end in self._restores):
            return True
        # So is a session that was made in between; its frames, heard once more later, are nobody's.
        first = self._first.get((frame.dev_eui, frame.dev_addr), at)
        if any(begin - SLOWEST_US <= first <= end for begin, end in self._restores):
            return True
        # The first frame of a new session ends the old one (TS001-1.0.4 §6.2.2): a straggler of it is no frame any more.
        order = self._order[frame.dev_eui]
        newer = order[order.index(frame.dev_addr) + 1 :]
        return any(self._first.get((frame.dev_eui, addr), at + 1) <= at + SLOWEST_US for addr in newer)


# -------------------------------------------------------------------------------------------------- convergence


def check_convergence(lines: list[Line], from_us: int) -> list[Violation]:
    """After the last fault every device is heard again, and hears: an event and an ACK within the time given."""
    devices = {line["dev_eui"] for line in lines if line["type"] == "device"}
    told = {line["dev_eui"] for line in lines if line["type"] == "event" and line["t"] >= from_us}
    acked = {
        line["dev_eui"]
        for line in lines
        if line["type"] == "uplink_done" and line["t"] >= from_us and line["confirmed"] and line["acked"]
    }
    return [
        Violation("no convergence", from_us, dev_eui, f"{what} for 60 s after the last fault")
        for what, well in (("no event", told), ("no ACK", acked))
        for dev_eui in sorted(devices - well)
    ]

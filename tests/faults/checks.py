"""The rules, judged by a history alone: sessions are derived again from root keys with the simulator's own cryptography.

One set for both drivers: virtual time (``seeds``) and real processes (``kills``).
"""

from __future__ import annotations

from collections import Counter, defaultdict

from lorasim import checker
from lorasim.checker import Violation

from tests.faults.history import Line

SECOND_US = 1_000_000
JOIN_EUI = 0x70B3D5FFFE0000FF
"""Of all devices of the kit."""
ACCEPT_DELAYS_US = (5 * SECOND_US, 6 * SECOND_US)
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
    # Who repeats a device's confirmed frame by radio has it answered once more; a gateway that restarts counts anew and
    # sends at another time what is on its way to it. Neither is heard by the device, so the order of the air is not its own.
    missed = {line["t"] for line in lines if line["type"] == "downlink_missed"}
    return [
        found
        for found in checker.check_air(lines)
        if "two different accepts" not in found.text
        and not (found.rule.endswith("falls") and found.t in missed)
        and not ("nobody asked" in found.text and (_handed_over(lines, found) or _counted_anew(lines, found)))
        and not (found.rule == "JoinNonce" and _counted_anew(lines, found))
    ]


def _handed_over(lines: list[Line], found: Violation) -> bool:
    """Did the server hand this accept over just now? Whether it had been asked is judged at its socket
    (:func:`check_wire`), which knows of requests that somebody else brings."""
    return any(
        line["type"] == "wire_down"
        and found.text.endswith(line["phy"])
        and 0 <= found.t - line["t"] <= max(ACCEPT_DELAYS_US) + SLOWEST_US
        for line in lines
    )


def _counted_anew(lines: list[Line], found: Violation) -> bool:
    """Did the gateway of an accept restart after the request? A datagram from before, which comes late or is repeated by
    somebody, tells a moment of a counter that is no more, and the accept waits for it minutes long. Whether the server had
    been asked when it answered is judged at its socket (:func:`check_wire`)."""
    asked_us = {line["phy"]: line["t"] for line in lines if line["type"] in ("join_request", "rejoin_request")}
    restarts = [(line["gateway"], line["t"]) for line in lines if line["type"] == "gateway_restart"]
    requests = {
        (line["gateway"], (line["tmst"] + delay_us) % (1 << 32)): asked_us[line["phy"]]
        for line in lines
        if line["type"] == "wire_up" and line["phy"] in asked_us and line["tmst"] is not None
        for delay_us in ACCEPT_DELAYS_US
    }
    radiated = {line["phy"] for line in lines if line["type"] == "on_air" and line["t"] == found.t}
    return any(
        gateway == line["gateway"] and requests[gateway, line["tmst"]] < at < found.t
        for line in lines
        if line["type"] == "wire_down" and line["phy"] in radiated
        for gateway, at in restarts
        if (gateway, line["tmst"]) in requests
    )


def check_transmitters(lines: list[Line]) -> list[Violation]:
    """One gateway radiates a frame. A PULL_RESP that its backhaul doubles is answered twice, with yes and no: what a
    server does then is right either way."""
    doubled = _doubled(lines)
    return checker.check_transmitters(line for line in lines if line["type"] == "on_air" and line["phy"] not in doubled)


def _doubled(lines: list[Line]) -> set[str]:
    """Frames whose PULL_RESP came twice."""
    taken = Counter((line["gateway"], line["token"], line.get("phy")) for line in lines if line["type"] == "pull_resp")
    return {key[2] for key, times in taken.items() if times > 1}


def _requests_before(lines: list[Line], found: Violation) -> set[str]:
    """Join-requests of a device that reached the server in the last seconds. Two of them, one of which was held up, are
    answered in the order of their windows, which need not be that of their nonces."""
    head = "00" + bytes.fromhex(f"{JOIN_EUI:016x}")[::-1].hex() + bytes.fromhex(found.dev_eui)[::-1].hex()
    return {
        line["phy"]
        for line in lines
        if line["type"] == "wire_up"
        and found.t - 10 * SECOND_US <= line["t"] <= found.t
        and line["phy"].startswith(head)
    }


def check_accepts(lines: list[Line]) -> list[Violation]:
    """INV-14: one request, one accept, whoever hears it and however often. Which one is asked is told by ``tmst``."""
    asked: dict[tuple[str, int], set[str]] = defaultdict(set)
    answers: dict[str, str] = {}
    served: dict[str, str] = {}
    violations = []
    for line in lines:
        if line["type"] == "restored":
            answers.clear()  # DevNonces used since the backup are not known any more; INV-15 makes that harmless
        if line["type"] == "wire_up" and int(line["phy"][:2], 16) >> 5 in (0, 6) and line["tmst"] is not None:
            asked[line["gateway"], line["tmst"]].add(line["phy"])
        elif line["type"] == "wire_down" and int(line["phy"][:2], 16) >> 5 == 1:
            requests = [
                one for delay in ACCEPT_DELAYS_US for one in asked[line["gateway"], (line["tmst"] - delay) % (1 << 32)]
            ]
            if not requests:
                violations.append(Violation("join-accept", line["t"], "", f"nobody asked for {line['phy']}"))
                continue
            request = requests[0]
            if len(requests) > 1:
                continue  # requests of one microsecond cannot be told apart
            if served.setdefault(line["phy"], request) != request:
                text = f"one accept {line['phy']} for two requests: {served[line['phy']]} and {request}"
                violations.append(Violation("join-accept", line["t"], "", text))
            if answers.setdefault(request, line["phy"]) != line["phy"]:
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
    order = dict.fromkeys(kinds, 0) | {"on_air": 1}
    told = [line for line, was in zip(on_wire, lines, strict=True) if line["type"] in kinds and was["type"] != "on_air"]
    told += _asked_anew(lines)
    told.sort(key=lambda line: (line["t"], order[line["type"]]))
    violations = [
        Violation(f"{found.rule} (wire)", found.t, found.dev_eui, found.text)
        for found in check_air(told)
        if found.rule != "JoinNonce" or len(_requests_before(lines, found)) < 2
    ]
    last: dict[str, str] = {}
    unanswered: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        address = line.get("phy", "")[2:10]
        if line["type"] == "wire_up":
            unanswered[address].add(line["phy"])
        elif (
            line["type"] == "wire_down" and int(line["phy"][:2], 16) >> 5 in (3, 5) and last.get(address) != line["phy"]
        ):
            if unanswered[address]:
                unanswered[address].pop()
            else:
                text = f"one answer, two frames: {last.get(address)} and {line['phy']}"
                violations.append(Violation("two frames for one uplink", line["t"], "", text))
            last[address] = line["phy"]
    return violations


def _asked_anew(lines: list[Line]) -> list[Line]:
    """Join- and rejoin-requests at the times when the server hears them, as long as it has not answered them.

    It was dead when the device asked, or died before it could answer, and somebody brings the request later; or a restore
    has made it forget the DevNonce. It answers, and the session of the device stays what it is (INV-15).
    """
    asked = {line["phy"]: line for line in lines if line["type"] in ("join_request", "rejoin_request")}
    heard: dict[tuple[str, int], set[str]] = defaultdict(set)
    answered: set[str] = set()
    anew = []
    for line in lines:
        if line["type"] == "restored":
            answered.clear()
        elif line["type"] == "wire_up" and line["phy"] in asked and line["phy"] not in answered:
            anew.append(asked[line["phy"]] | {"t": line["t"]})
            heard[line["gateway"], line["tmst"]].add(line["phy"])
        elif line["type"] == "wire_down" and int(line["phy"][:2], 16) >> 5 == 1:
            for delay in ACCEPT_DELAYS_US:
                answered |= heard[line["gateway"], (line["tmst"] - delay) % (1 << 32)]
    return anew


def check_devices(lines: list[Line]) -> list[Violation]:
    """What devices refused and gateways could not read."""
    return [
        violation
        for violation in checker.check_devices(lines)
        # A device hears the same bytes twice when a backhaul doubles a PULL_RESP and the radio sends both.
        if not violation.text.endswith("the same frame again")
        and not (violation.text == "MIC" and _newest_was_unheard(lines, violation))
    ]


def _newest_was_unheard(lines: list[Line], found: Violation) -> bool:
    """Somebody repeats the last confirmed frame while the next is lost on the air: the server knows of no newer one and
    acknowledges it once more. The MIC of 1.1 says which frame is acknowledged, so the device does not take that for its own.
    """
    newest, refused = "", ""
    for line in lines:
        if line["t"] > found.t:
            break
        if line.get("dev_eui") == found.dev_eui:
            # at one moment the device gives up one frame and sends the next
            newest = line["phy"] if line["type"] == "uplink" and line["t"] < found.t else newest
            refused = line["phy"] if line["type"] == "downlink_refused" else refused
    answered_us = min(
        (line["t"] for line in lines if line["type"] == "wire_down" and line["phy"] == refused), default=0
    )
    return not any(line["type"] == "wire_up" and line["phy"] == newest and line["t"] <= answered_us for line in lines)


def check_items(lines: list[Line]) -> list[Violation]:
    """An unconfirmed item goes over the air under one counter at most: a valve is closed once."""
    violations = []
    queued = {line["data"]: line for line in lines if line["type"] == "item" and not line["confirmed"]}
    heard: dict[str, set[tuple[str, int]]] = defaultdict(set)
    doubled = _doubled(lines)
    for line in lines:
        if line["type"] == "downlink" and line["data"] in queued and line["phy"] not in doubled:
            heard[line["data"]].add((line["dev_addr"], line["f_cnt"]))
            if len(heard[line["data"]]) == 2:
                text = f"item {line['data']} came under {sorted(heard[line['data']])}"
                violations.append(Violation("item twice", line["t"], line["dev_eui"], text))
    return violations


# ---------------------------------------------------------------------------------------------------- readings


def check_readings(lines: list[Line]) -> list[Violation]:
    """INV-05, 10, 17, 18, 21: what was acknowledged is one event, and no event is anything but a frame of its device."""
    sent = {(line["dev_eui"], line["dev_addr"], line["f_cnt"]): line for line in lines if line["type"] == "uplink"}
    by_phy = {line["phy"]: line for line in lines if line["type"] == "uplink"}
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
    for phy, acked_us in promised(lines).items():
        line = by_phy.get(phy)
        if line is not None:
            key = (line["dev_eui"], line["dev_addr"], line["f_cnt"])
            if key not in events and not lost.rightly(key, acked_us):
                violations.append(_reading("lost", acked_us, key, "acknowledged to a gateway, and no event"))
    return violations


def promised(lines: list[Line]) -> dict[str, int]:
    """PHYPayload → when the last PUSH_ACK for it left the server.

    A PUSH_ACK answers a datagram that this process has received. A token has 16 bits: what a dead process had not answered
    is not answered when, an hour later, another datagram of the gateway happens to have the same token.
    """
    came: dict[tuple[str, str], list[str]] = defaultdict(list)
    found: dict[str, int] = {}
    for line in lines:
        if line["type"] == "wire_up":
            came[line["gateway"], line["token"]].append(line["phy"])
        elif line["type"] == "wire_ack":
            for phy in came.pop((line["gateway"], line["token"]), ()):
                found[phy] = line["t"]
        elif line["type"] == "fault" and line["what"].startswith("start"):
            came.clear()
    return found


def _reading(rule: str, t: int, key: Key, text: str) -> Violation:
    return Violation(rule, t, key[0], f"DevAddr {key[1]} FCntUp {key[2]}: {text}")


class _Lost:
    """What may be acknowledged and yet be no event, by the rules of the specification."""

    def __init__(self, lines: list[Line]) -> None:
        self._restores = [(line["backup_us"], line["t"]) for line in lines if line["type"] == "restored"]
        self._first: dict[tuple[str, str], int] = {}
        """When the first frame of a session reached the server."""
        self._order: dict[str, list[str]] = defaultdict(list)
        """The sessions of a device, as it began to use them."""
        session_of = {}
        for line in lines:
            if line["type"] == "uplink":
                session_of[line["phy"]] = (line["dev_eui"], line["dev_addr"])
                if line["dev_addr"] not in self._order[line["dev_eui"]]:
                    self._order[line["dev_eui"]].append(line["dev_addr"])
            elif line["type"] == "wire_up" and line["phy"] in session_of:
                self._first.setdefault(session_of[line["phy"]], line["t"])

    def rightly(self, key: Key, acked_us: int) -> bool:
        dev_eui, dev_addr, _ = key
        first_us = self._first[dev_eui, dev_addr]
        # A restore brings back the moment of the backup: what was acknowledged in between is gone with the disk, and so is
        # a session that was made in between; its frames, heard once more later, are nobody's.
        if any(begin <= at + SLOWEST_US and at <= end for at in (acked_us, first_us) for begin, end in self._restores):
            return True
        # The first frame of a new session ends the old one (TS001-1.0.4 §6.2.2): a straggler of it is no frame any more.
        order = self._order[dev_eui]
        newer = order[order.index(dev_addr) + 1 :]
        return any(self._first.get((dev_eui, addr), acked_us + 1) <= acked_us for addr in newer)


# -------------------------------------------------------------------------------------------------- convergence


def check_convergence(lines: list[Line], from_us: int) -> list[Violation]:
    """After the last fault every device is heard again, and hears: an event and a downlink within the time given."""
    devices = {line["dev_eui"] for line in lines if line["type"] == "device"}
    told = {line["dev_eui"] for line in lines if line["type"] == "event" and line["t"] >= from_us}
    answered = {line["dev_eui"] for line in lines if line["type"] in ("downlink", "joined") and line["t"] >= from_us}
    return [
        Violation("no convergence", from_us, dev_eui, f"{what} for 60 s after the last fault")
        for what, well in (("no event", told), ("no downlink", answered))
        for dev_eui in sorted(devices - well)
    ]

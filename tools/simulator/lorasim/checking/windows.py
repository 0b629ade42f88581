"""Downlinks for a device that was listening at another time, on another channel or at another data rate: in RX1 and RX2, in
ping slots while it has the beacon (class B), with the parameters of RX2 whenever it does not transmit (class C).

The device itself is the witness: it says what its windows were. A network may not know them while a command that changes
them is on its way, while a device is being restarted, or when a gateway has just lost its counter; and it cannot tell a
confirmed frame that somebody else repeats from one that the device repeats; nor can it know that a gateway refuses only the
second copy of a PULL_RESP that the backhaul has doubled; nor that a device has lost the beacon before it says so. All that is
forgiven.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from lorasim.checker import Line, Violation
from lorasim.reasons import reason

RULES = {
    "wrong time": "downlink at the wrong time",
    "asleep": "downlink at the wrong time",
    "wrong channel": "downlink on the wrong channel",
    "wrong data rate": "downlink at the wrong data rate",
    "IQ not inverted": "downlink on the wrong channel",
    "no beacon": "downlink at the wrong time",
}
FORGIVEN_US = 20_000_000
"""After a restart of the device or of the gateway that sent, what was planned before it may still come; after a frame of the
device that somebody repeats, what answers it."""
AIR_US = 10_000_000
"""A frame that a gateway forwards so long after the device sent it was sent by somebody else, or held back."""
CLASS_B = 0x10
"""In FCtrl of an uplink: the device has the beacon and listens in its ping slots."""
CHANGES = ("RXTimingSetupReq", "RXParamSetupReq", "DlChannelReq", "NewChannelReq", "PingSlotChannelReq")
"""Commands that change windows: in force for the network when the answer has come."""


def address_of(phy: str) -> str:
    """DevAddr of a data frame, both in hex."""
    return phy[8:10] + phy[6:8] + phy[4:6] + phy[2:4]


def has_beacon(phy: str) -> bool:
    """FCtrl.ClassB of an uplink in hex."""
    return bool(int(phy[10:12] or "0", 16) & CLASS_B)


def doubled(lines: Iterable[Line]) -> set[str]:
    """PHYPayloads of which a gateway got one PULL_RESP twice: it takes the first, refuses the second, and the refusal may be
    what the server hears first."""
    seen: set[tuple[str, int, str]] = set()
    found: set[str] = set()
    for line in lines:
        if line["type"] == "pull_resp" and line.get("phy"):
            request = (line["gateway"], line["token"], line["phy"])
            if request in seen:
                found.add(line["phy"])
            seen.add(request)
    return found


def check_windows(lines: Sequence[Line]) -> list[Violation]:
    """See the module."""
    forgiven = doubled(lines)
    violations: list[Violation] = []
    judged: set[str] = set()
    """Devices of one class from beginning to end."""
    slots_until: dict[str, float] = defaultdict(lambda: -math.inf)
    """Until when the network may believe that a device listens in ping slots, by DevEUI."""
    address: dict[str, str] = {}
    """The device's present DevAddr."""
    changing: dict[str, int] = {}
    """Since when a change of windows is not confirmed, by DevEUI."""
    restarted: dict[str, int] = defaultdict(lambda: -FORGIVEN_US)
    """By DevEUI or gateway."""
    repeated: dict[str, int] = defaultdict(lambda: -FORGIVEN_US)
    """When a gateway forwarded a frame that the device had not sent for long, by DevEUI."""
    sent: dict[str, tuple[str, int]] = {}
    """Uplinks: PHYPayload → DevEUI and time."""
    pushes: dict[tuple[str, int], list[str]] = {}
    by_gateway: dict[str, str] = {}
    """Which gateway radiated a frame last."""
    for line in lines:
        kind, t = line["type"], line["t"]
        if kind == "device":
            judged.add(line["dev_eui"])
            address[line["dev_eui"]] = line.get("dev_addr", "")
        elif kind == "joined":
            address[line["dev_eui"]] = line["dev_addr"]
            changing.pop(line["dev_eui"], None)
        elif kind == "class":
            judged.discard(line["dev_eui"])  # a test of the device changed it, the network was not asked
        elif kind in ("restart", "gateway_restart"):
            restarted[line.get("dev_eui") or line["gateway"]] = t
        elif kind == "uplink":
            sent[line["phy"]] = (line["dev_eui"], t)
        elif kind == "push_data":
            pushes[line["gateway"], line["token"]] = line["phys"]
            for phy in line["phys"]:
                if phy in sent and t - sent[phy][1] > AIR_US:
                    repeated[sent[phy][0]] = t
        elif kind == "replayed" and line["phy"] in sent:
            repeated[sent[line["phy"]][0]] = t
        elif kind == "push_ack":
            for phy in pushes.pop((line["gateway"], line["token"]), ()):
                eui, at = sent.get(phy, ("", 0))
                if eui and has_beacon(phy):
                    slots_until[eui] = math.inf
                elif eui and slots_until[eui] == math.inf:
                    slots_until[eui] = t + FORGIVEN_US
                if eui in changing and at > changing[eui]:
                    del changing[eui]
        elif kind == "downlink" and any(one.startswith(CHANGES) for one in line.get("mac", ())):
            changing[line["dev_eui"]] = t
        elif kind == "on_air":
            by_gateway[line["phy"]] = line["gateway"]
        elif kind == "downlink_missed":
            eui, why = line["dev_eui"], line.get("why") or ""
            word = reason(why)
            rule = None if word == "no beacon" and t < slots_until[eui] else RULES.get(word)
            phy, gateway = line["phy"], by_gateway.get(line["phy"], "")
            present = address.get(eui, "") == address_of(phy)
            excused = eui in changing or t - max(restarted[eui], restarted[gateway], repeated[eui]) < FORGIVEN_US
            if rule and eui in judged and present and not excused and phy not in forgiven:
                violations.append(Violation(rule, t, eui, f"{phy} from {gateway}: {why}"))
    return violations

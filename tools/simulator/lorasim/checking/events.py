"""What the application was given, held against what devices sent and what gateways have an acknowledgement for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lorasim.checker import Line, Violation, acknowledged_phys
from lorasim.checking.windows import AIR_US

RULES = frozenset(
    {"lost acknowledged", "duplicate", "accepted replay", "accepted forgery", "altered payload", "false ACK"}
)
Key = tuple[str, str, int]
"""DevEUI, DevAddr, FCntUp."""


@dataclass(slots=True)
class _Sent:
    """A data frame with a payload, as its device sent it."""

    t: int
    contents: set[tuple[int | None, str]] = field(default_factory=set)
    """FPort and payload: more than one where a DevAddr is given to the same device again, or a device lost its counter."""
    phys: set[str] = field(default_factory=set)
    sessions: set[int] = field(default_factory=set)
    fell: bool = False
    """The device had sent a higher counter before: a network must not take it."""
    promised_us: int | None = None
    """When the first copy left that was then acknowledged."""
    replayed_us: list[int] = field(default_factory=list)
    """When somebody else sent it: the scenario says so, or a gateway forwarded it long after the device sent it."""


def check_events(lines: Sequence[Line], events: Iterable[Line]) -> list[Violation]:
    """Nothing acknowledged is lost, nothing comes twice, nothing comes that was not sent, an ACK is a device's.

    An event that comes again under the same ``id`` is a repeated delivery, which is allowed.
    """
    sent, confirmed_down = _sent(lines)
    given: dict[Key, list[Line]] = defaultdict(list)
    found: list[Violation] = []
    for event in events:
        if event["event"] == "up" and _has_payload(event.get("f_port")):
            key = _key(event, sent)
            if key is None:
                text = f"FCntUp {event['f_cnt']} of {event.get('dev_addr') or 'no address'}: no such frame was sent"
                found.append(Violation("accepted forgery", event["t"], event["dev_eui"], text))
            else:
                found += _given(key, sent[key], given[key], event)
        elif event["event"] == "ack" and event.get("acked"):
            found += _ack(event, confirmed_down)
    for key, frame in sent.items():
        if frame.promised_us is not None and not frame.fell and key not in given:
            text = f"FCntUp {key[2]} of {key[1]}: PUSH_ACK was given, the application never got it"
            found.append(Violation("lost acknowledged", frame.promised_us, key[0], text))
    return sorted(found, key=lambda violation: violation.t)


def _has_payload(f_port: int | None) -> bool:
    """Servers differ in whether they tell of frames that carry MAC commands only."""
    return bool(f_port)


def _sent(lines: Sequence[Line]) -> tuple[dict[Key, _Sent], dict[str, set[int]]]:
    """Frames by their counter; and which FCntDown of confirmed downlinks a device took."""
    sent: dict[Key, _Sent] = {}
    by_phy: dict[str, tuple[_Sent, int]] = {}
    session: dict[str, int] = defaultdict(int)
    highest: dict[tuple[str, str, int], int] = defaultdict(lambda: -1)
    confirmed_down: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        kind = line["type"]
        if kind == "joined":
            session[line["dev_eui"]] += 1
        elif kind == "uplink" and _has_payload(line["f_port"]):
            key = (line["dev_eui"], line["dev_addr"], line["f_cnt"])
            frame = sent.setdefault(key, _Sent(line["t"]))
            number = session[line["dev_eui"]]
            counted = (*key[:2], number)
            frame.fell = frame.fell or line["f_cnt"] < highest[counted]
            highest[counted] = max(highest[counted], line["f_cnt"])
            # a program that lost its counter sends something else under it: whichever the network has not had is genuine
            frame.sessions.add(number)
            frame.contents.add((line["f_port"], line["data"]))
            frame.phys.add(line["phy"])
            by_phy[line["phy"]] = (frame, line["t"])
        elif kind == "push_data":
            for phy in line["phys"]:
                known = by_phy.get(phy)
                if known is not None and line["t"] - known[1] > AIR_US:
                    known[0].replayed_us.append(line["t"])
        elif kind == "replayed" and line["phy"] in by_phy:
            by_phy[line["phy"]][0].replayed_us.append(line["t"])
        elif kind == "downlink" and line.get("confirmed"):
            confirmed_down[line["dev_eui"]].add(line["f_cnt"])
    for phy, pushed_us in acknowledged_phys(lines):
        if phy in by_phy:
            frame = by_phy[phy][0]
            frame.promised_us = pushed_us if frame.promised_us is None else min(frame.promised_us, pushed_us)
    return sent, confirmed_down


def _key(event: Line, sent: dict[Key, _Sent]) -> Key | None:
    """The frame that an event is about; without an address, the latest that was sent before it."""
    eui, f_cnt = event["dev_eui"], event["f_cnt"]
    if event.get("dev_addr"):
        key = (eui, event["dev_addr"], f_cnt)
        return key if key in sent else None
    fits = [key for key in sent if key[0] == eui and key[2] == f_cnt and sent[key].t <= event["t"]]
    return max(fits, key=lambda key: sent[key].t, default=None)


def _given(key: Key, frame: _Sent, before: list[Line], event: Line) -> list[Violation]:
    """An event of a frame that was sent."""
    name = f"FCntUp {key[2]} of {key[1]}"
    if event.get("id") and any(event["id"] == one.get("id") for one in before):
        return []
    before.append(event)
    if (event.get("f_port"), event.get("data", "")) not in frame.contents:
        port, data = min(frame.contents, key=str)
        told = f"port {event.get('f_port')} {event.get('data') or 'empty'}"
        text = f"{name}: sent was port {port} {data or 'empty'}, the application got {told}"
        return [Violation("altered payload", event["t"], key[0], text)]
    if len(before) <= len(frame.sessions):
        return []
    replayed = [t for t in frame.replayed_us if before[-2]["t"] <= t <= event["t"]]
    if replayed:
        text = f"{name}: sent again by somebody else, and given to the application again"
        return [Violation("accepted replay", event["t"], key[0], text)]
    ids = ", ".join(str(one.get("id") or "no id") for one in before)
    return [Violation("duplicate", event["t"], key[0], f"{name}: {len(before)} events ({ids})")]


def _ack(event: Line, confirmed_down: dict[str, set[int]]) -> list[Violation]:
    """The application is told that a device has acknowledged a downlink: it must have heard it."""
    eui, f_cnt = event["dev_eui"], event.get("f_cnt_down")
    if f_cnt is None or f_cnt in confirmed_down[eui]:
        return []
    text = f"FCntDown {f_cnt} counts as acknowledged, the device never took it"
    return [Violation("false ACK", event["t"], eui, text)]

"""The shortest history of a violation: the fewest lines of a recording with which the same rule is broken in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lorasim.checker import Line, Violation
from lorasim.checking import rule_of
from lorasim.checking.windows import address_of

MOST_LINES = 1_000_000
"""The search ends when it has judged so many lines; what is left then is short enough, if not the shortest."""
_PHY = re.compile(r"[0-9a-f]{24,}")


def shortest(lines: Sequence[Line], events: Sequence[Line] | None, violation: Violation) -> list[Line]:
    """Lines of the recording and events, by time, of which none can be left out.

    First what is about this device and nothing later, then by halves, quarters and so on down to single lines.
    """
    rule = rule_of(violation, events is not None)

    def broken(some: Sequence[Line]) -> bool:
        try:
            return violation in rule(some)
        except KeyError:  # a device without its keys, a datagram without its gateway
            return False

    together = sorted([*lines, *(events or ())], key=lambda line: line["t"])
    for choice in (_about(together, violation), _until(together, violation), together):
        if broken(choice):
            return _reduce(choice, broken)
    return []  # found by all rules together only


def _until(lines: Sequence[Line], violation: Violation) -> list[Line]:
    return [line for line in lines if line["t"] <= violation.t or line["type"] == "push_ack"]


def _about(lines: Sequence[Line], violation: Violation) -> list[Line]:
    """What names the device, its frames or those of the violation, or a datagram that carried them."""
    named = set(_PHY.findall(violation.text))
    addresses = {address_of(phy) for phy in named}
    euis = {line["dev_eui"] for line in lines if line.get("dev_addr") in addresses and line.get("dev_eui")}
    if violation.dev_eui:
        euis = {violation.dev_eui}
    phys = named | {line["phy"] for line in lines if line.get("dev_eui") in euis and line.get("phy")}
    tokens: set[tuple[str, int]] = set()
    kept = []
    for line in lines:
        datagram = (line.get("gateway", ""), line.get("token", -1))
        if line.get("dev_eui") in euis or line.get("phy") in phys:
            kept.append(line)
        elif line["type"] == "push_data" and not phys.isdisjoint(line["phys"]):
            tokens.add(datagram)
            kept.append(line)
        elif (line["type"] == "push_ack" and datagram in tokens) or (line["type"] == "on_air" and violation.dev_eui):
            kept.append(line)  # a join-accept does not say whose it is
    return kept


def _reduce(lines: Sequence[Line], broken: Callable[[Sequence[Line]], bool]) -> list[Line]:
    """Delta debugging (Zeller's ddmin, complements only)."""
    left, pieces, judged = list(lines), 2, 0
    while len(left) > 1 and judged < MOST_LINES:
        size = -(-len(left) // pieces)
        for start in range(0, len(left), size):
            without = left[:start] + left[start + size :]
            judged += len(without)
            if without and broken(without):
                left, pieces = without, max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(left), 2 * pieces)
    return left

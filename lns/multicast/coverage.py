"""Which gateways send to a group, and which of them may do so at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lns.gateways.gateway import Gateway
    from lns.multicast.group import Group
    from lns.state import NetworkState

NEARLY_AS_GOOD_DB = 10.0
"""A gateway that heard a member so much worse than the best one is not counted on for it."""


class Coverage(NamedTuple):
    """The gateways of a group now."""

    gateways: list[Gateway]
    unreached: int
    """Members that none of them is known to reach."""


def coverage(state: NetworkState, group: Group) -> Coverage:
    """The chosen gateways of the group, or the fewest that reach all members; only those with a path to them."""
    reached_by = reaches(state, group)
    if group.gateways:
        chosen = [gateway for eui in group.gateways if (gateway := state.gateways.get(eui)) is not None]
        gateways = [gateway for gateway in chosen if can_speak(group, gateway)]
    else:
        found = (state.gateways.get(eui) for eui in fewest(reached_by))
        gateways = [gateway for gateway in found if gateway is not None]
    covered = {member for gateway in gateways for member in reached_by.get(gateway.eui, ())}
    return Coverage(gateways, len(group.members - covered))


def can_speak(group: Group, gateway: Gateway) -> bool:
    """Is there a path to the gateway, and has it the GPS time that class B needs?"""
    return gateway.front is not None and (group.device_class != "B" or gateway.gps.trusted)


def reaches(state: NetworkState, group: Group) -> dict[int, set[int]]:
    """Gateway EUI → the members that it heard lately, nearly as well as the best gateway that is connected."""
    reached_by: dict[int, set[int]] = {}
    for dev_eui in group.members:
        device = state.devices.get(dev_eui)
        if device is None or device.listener is None:
            continue
        heard = {}
        for eui, one in device.listener.gateways.items():
            gateway = state.gateways.get(eui)
            if gateway is not None and can_speak(group, gateway):
                heard[eui] = one.signal[0]
        best_db = max(heard.values(), default=0.0)
        for eui, snr_db in heard.items():
            if best_db - snr_db <= NEARLY_AS_GOOD_DB:
                reached_by.setdefault(eui, set()).add(dev_eui)
    return reached_by


def fewest(reached_by: dict[int, set[int]]) -> list[int]:
    """Gateways that together reach everybody: greedily, the one that adds most first, the lower EUI of equals."""
    left = set().union(*reached_by.values())
    chosen = []
    while left:
        best = max(sorted(reached_by), key=lambda eui: len(reached_by[eui] & left))
        chosen.append(best)
        left -= reached_by[best]
    return chosen


def rounds(gateways: Iterable[Gateway], reached_by: dict[int, set[int]]) -> list[list[Gateway]]:
    """Gateways that may send at the same time: no two of a round reach the same member, who would hear neither.

    Of a gateway that no member is known to hear nobody can say that: it sends alone.
    """
    found: list[tuple[list[Gateway], set[int]]] = []
    for gateway in gateways:
        members = reached_by.get(gateway.eui)
        free = next((one for one in found if members and one[1] and not one[1] & members), None)
        if free is None:
            found.append(([gateway], set(members or ())))
        else:
            free[0].append(gateway)
            free[1].update(members or ())
    return [one for one, _ in found]

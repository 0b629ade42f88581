"""The table of incidents: which layer each belongs to, how grave it is, who finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from appserver.incidents import detectors, flows
from appserver.incidents.facts import Finding, Picture

LAYERS = ("device", "data", "network")
"""Of the meter itself, of its data, of the way to us: never mixed."""
SEVERITIES = ("info", "warning", "critical")

Detector = Callable[[Picture], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of incident."""

    name: str
    layer: str
    severity: str
    find: Detector
    slow: bool = False
    """Looks at volumes of all houses: once an hour is enough."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("silent_meter", "network", "warning", detectors.silent_meters),
        Kind("silent_gateway", "network", "critical", detectors.silent_gateways),
        Kind("leak", "device", "critical", flows.leaks, slow=True),
        Kind("burst", "device", "critical", flows.bursts, slow=True),
        Kind("magnet", "device", "critical", partial(detectors.flags, "magnet")),
        Kind("opened", "device", "critical", partial(detectors.flags, "opened")),
        Kind("reverse_flow", "device", "warning", detectors.reverse_flows),
        Kind("no_flow", "data", "info", flows.standstills, slow=True),
        Kind("device_fault", "device", "warning", partial(detectors.flags, "device_fault")),
        Kind("low_battery", "network", "info", detectors.low_batteries),
        Kind("clock", "data", "warning", detectors.clocks),
        Kind("conflict", "data", "warning", detectors.conflicts),
        Kind("verification", "data", "info", detectors.verifications),
        Kind("temperature_graph", "data", "warning", detectors.graphs, slow=True),
        Kind("imbalance", "data", "warning", flows.imbalances, slow=True),
        Kind("theft", "data", "warning", flows.thefts, slow=True),
    )
}

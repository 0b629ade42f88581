"""``[[meters]]`` of a scenario: many meters of one kind with a radio module each."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasim.firmware import Firmware
from lorasim.manners import Manners

RESOURCES = ("cold_water", "hot_water", "heat", "electricity")
INCIDENTS = ("leak", "burst", "thief", "reverse", "magnet", "replacement", "clock", "silence")


@dataclass(slots=True)
class Incident:
    """Something that happens to one of the meters."""

    kind: str
    """``leak`` (a little, day and night), ``burst`` (much), ``thief`` (a share goes past the meter), ``reverse`` (it runs
    backwards), ``magnet`` (it stands still), ``replacement`` (another meter, from 0), ``clock`` (it goes wrong),
    ``silence`` (it says nothing)."""
    meter: int = 0
    """Which one of the group, from 0."""
    from_h: float = 0.0
    """Hours after the start."""
    for_h: float = 1e9
    """How long; a replacement and a clock stay."""
    amount: float = 0.0
    """Leak and burst, litres (Wh, kcal) an hour; thief, share; reverse, litres an hour; clock, seconds that it is ahead. 0:
    the usual (8, 900, 0.8, 40, 3600)."""


USUAL = {"leak": 8.0, "burst": 900.0, "thief": 0.8, "reverse": 40.0, "clock": 3600.0}


@dataclass(slots=True)
class MeterGroup:
    """See the module."""

    name: str = ""
    """What assertions and reports call them."""
    count: int = 1
    """So many meters."""
    resource: str = "cold_water"
    """``cold_water``, ``hot_water``, ``heat`` or ``electricity``."""
    payload: str = ""
    """The radio module's payload, by its name in :data:`lorasim.meters.payloads.LAYOUTS`; empty: the usual of the resource."""
    every_h: float = 24.0
    """How often it tells its value."""
    spread_h: float = 0.0
    """Each at its own moment within so long after the full period; 0: anywhere in the period."""
    archive: bool = False
    """It tells the value of the last midnight (KARAT), and not the one of now."""
    dev_eui: str = "70b3d5e790000001"
    """Of the first; the others count up."""
    join_eui: str = "70b3d5e7900000ff"
    """The same for all."""
    serial: int = 40_000_001
    """Of the first meter; the others count up."""
    mac_version: str = "1.0.3"
    """Of the radio modules."""
    activation: str = "OTAA"
    """``OTAA`` or ``ABP``."""
    dev_addr: str = "01000000"
    """ABP: of the first; the others count up."""
    confirmed: bool = False
    """They send confirmed frames."""
    adr: bool = True
    """They let the network steer data rate and power."""
    dr: int = 3
    """Data rate at the start and of the first joins."""
    join_spread_s: float = 3600.0
    """Each is switched on at a moment within so long after the start."""
    join_backoff_max_s: float = 3600.0
    """Longest pause between two requests to join."""
    duty_cycle: bool = True
    """They keep to the duty cycle of the sub-bands and to the airtime that joins may take."""
    battery_mah: float = 0.0
    """A battery that runs down; 0: it never does."""
    residents: tuple[int, int] = (1, 4)
    """Between how many persons live there."""
    incidents: list[Incident] = field(default_factory=list)
    manners: Manners = field(default_factory=Manners)
    firmware: Firmware = field(default_factory=Firmware)

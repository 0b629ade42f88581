"""What goes wrong in a house on purpose: tables of a scenario, each with what is to be found again by whoever looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Theft:
    """From a day on, a share of a flat's use goes past its meter."""

    flat: int
    """Whose."""
    from_day: int = 0
    """Days since the meters' start."""
    until_day: int = 0
    """It is found and ends then; 0: it does not."""
    share: float = 0.85
    """Of the use."""
    residents: int = 4
    """Who lives there, so that there is something to steal."""
    resource: str = "cold_water"
    """Which meter."""


@dataclass(slots=True)
class Leak:
    """From a day on, water runs out between the common meter and the flats, day and night."""

    l_per_h: float
    """Litres an hour."""
    from_day: int = 0
    """Days since the meters' start."""
    resource: str = "cold_water"
    """Which water."""


@dataclass(slots=True)
class WrongClock:
    """From a day on, the clocks of some flats' modules are off."""

    flats: list[int]
    """Whose modules."""
    minutes: float
    """Device clock minus the right one; below zero it is slow."""
    from_day: int = 0
    """Days since the meters' start."""


@dataclass(slots=True)
class Replacement:
    """A flat's meter is replaced; the module goes over to the new one."""

    flat: int
    """Whose."""
    day: int
    """Days since the meters' start."""
    hour: int = 10
    """Local time."""
    start_litres: int = 15
    """What the new meter shows then."""
    resource: str = "cold_water"
    """Which meter."""


@dataclass(slots=True)
class Silence:
    """From a day on, a flat's module says nothing and hears nothing."""

    flat: int
    """Whose."""
    from_day: int
    """Days since the meters' start."""
    resource: str = "cold_water"
    """Which meter."""

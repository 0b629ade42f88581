"""What pages show of ГАР."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appserver.gar.load import HOUSE_LEVEL
from appserver.gar.register import Address, open_register

FOUND = 10


@dataclass(frozen=True, slots=True)
class View:
    """The register as one house sees it."""

    loaded: bool
    bound: Address | None
    """The valid object of its GUID."""
    found: list[Address]
    """Houses that were looked for."""
    q: str


def of_building(data_dir: Path, building: Any, q: str = "") -> View:
    """How a building is bound, and what a search finds for it."""
    with open_register(data_dir) as register:
        bound = register.find(building.fias_guid) if building.fias_guid else None
        found = [house for house in register.search(q, FOUND) if house.level == HOUSE_LEVEL] if q else []
        return View(bool(register.regions()), bound, found, q)

"""The registry's buildings against the register: bound to a valid GUID, to an old one, to none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appserver import registry
from appserver.db import Database
from appserver.gar.load import HOUSE_LEVEL
from appserver.gar.register import Address, Register, open_register
from appserver.registry import Note


@dataclass(frozen=True, slots=True)
class Binding:
    """How a building stands to the register."""

    building_id: int
    address: str
    guid: str
    state: str
    """``bound``, ``old`` (a valid GUID took over), ``closed`` (none did), ``unknown`` (not in what is loaded), ``found``
    (not bound, one house fits), ``unbound``."""
    found: Address | None = None
    """The object it is bound to, or should be."""


def compare(db: Database, register: Register) -> list[Binding]:
    """All buildings."""
    return [
        binding_of(register, *row)
        for row in db.rows("SELECT id, address, fias_guid FROM building ORDER BY address, id")
    ]


def binding_of(register: Register, building_id: int, address: str, guid: str) -> Binding:
    """One building. What is not bound is looked for by its text; only a single house with that very number fits."""
    if guid:
        found = register.find(guid)
        if found is None:
            state = "unknown"
        elif not found.active:
            state = "closed"
        else:
            state = "bound" if found.guid == guid else "old"
        return Binding(building_id, address, guid, state, found)
    houses = [house for house in register.search(address, 2) if house.level == HOUSE_LEVEL]
    if houses and _fits(address, houses[0]) and not (len(houses) > 1 and _fits(address, houses[1])):
        return Binding(building_id, address, guid, "found", houses[0])
    return Binding(building_id, address, guid, "unbound")


def _fits(address: str, house: Address) -> bool:
    from appserver.gar.words import words

    asked, known = words(address), words(house.address)
    return bool(asked) and asked[-1] == known[-1] and set(asked) <= set(known)


def bind(db: Database, data_dir: Path, building_id: int, guid: str, note: Note) -> Address:
    """Bind a building to the valid object of a GUID. Raises RegistryError."""
    with open_register(data_dir) as register:
        found = register.find(guid)
    if found is None or not found.active or found.level != HOUSE_LEVEL:
        what = "is not in the loaded register" if found is None else "is not that of a valid house"
        raise registry.RegistryError("invalid", "guid", f"guid: {guid} {what}.")
    registry.update(db, "building", building_id, {"fias_guid": found.guid}, note)
    return found


def bind_all(db: Database, data_dir: Path, note: Note) -> list[Binding]:
    """Bind what is certain: old GUIDs to those that took over, houses that one address fits. Returns what was bound."""
    with open_register(data_dir) as register:
        wanted = [b for b in compare(db, register) if b.state in ("old", "found") and b.found is not None]
    done = []
    for binding in wanted:
        if binding.found is not None and binding.found.level == HOUSE_LEVEL:
            registry.update(db, "building", binding.building_id, {"fias_guid": binding.found.guid}, note)
            done.append(binding)
    return done

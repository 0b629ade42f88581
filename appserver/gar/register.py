"""Questions to the loaded register: an address as text, the tree, the object that is valid now behind an old GUID."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appserver.gar.load import HOUSE_LEVEL, MAX_STEPS, VERSION
from appserver.gar.words import fold, number_key, place, words

FILE = "gar.db"
MAX_LIMIT = 200
PLACES_ASKED = 200
"""Streets that are looked through for a house."""
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COLUMNS = "id, guid, level, type, name, parent, active, postcode, oktmo, cadastral"


@dataclass(frozen=True, slots=True)
class Region:
    """A region that is loaded."""

    code: str
    name: str
    stamp: str
    """Day of the extract, ``20260903``."""
    hierarchy: str
    imported_at_us: int
    places: int
    houses: int
    apartments: int
    old_guids: int


@dataclass(frozen=True, slots=True)
class Address:
    """An object of the register with its address as text."""

    id: int
    guid: str
    level: int
    address: str
    parent: int | None
    active: bool
    postcode: str
    oktmo: str
    cadastral: str
    was: str = ""
    """The old GUID that was asked for, when it is another one."""
    how: str = ""
    """What tells that: ``object``, ``record``, ``next``, ``division`` or ``address``."""


class Register:
    """``gar.db``, read only. Without the file everything is empty."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._db = connection

    def regions(self) -> list[Region]:
        """What is loaded."""
        if self._db is None:
            return []
        return [Region(*row) for row in self._db.execute("SELECT * FROM region ORDER BY code")]

    def object(self, id_: int) -> Address | None:
        """The object of an OBJECTID."""
        return self._one("id = ?", id_)

    def find(self, guid: str) -> Address | None:
        """The valid object of a GUID, be it the current one or an old one of ФИАС; an invalid one when none took over."""
        guid = guid.lower()
        if self._db is None or not GUID.fullmatch(guid):
            return None
        found = self._one("guid = ? ORDER BY active DESC", guid)
        if found is not None and found.active:
            return found
        row = self._db.execute("SELECT id, how FROM old_guid WHERE guid = ?", (guid,)).fetchone()
        now = self._one("id = ?", row[0]) if row is not None else None
        if now is None or row is None:
            return found
        if not now.active:
            later = self._db.execute("SELECT id FROM old_guid WHERE guid = ?", (now.guid,)).fetchone()
            now = (self._one("id = ?", later[0]) if later else None) or now
        return Address(
            now.id, now.guid, now.level, now.address, now.parent, now.active, now.postcode, now.oktmo, now.cadastral,
            guid, row[1],
        )  # fmt: skip

    def children(self, id_: int | None, limit: int = 1000) -> list[Address]:
        """What lies directly below an object (None: regions) and is valid."""
        if self._db is None:
            return []
        where = "parent = ?" if id_ is not None else "level = 1 AND ? IS NULL"
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM object WHERE {where} AND active ORDER BY level, length(number_key), number_key, name"
            " LIMIT ?",
            (id_, limit),
        )
        return [self._address(row) for row in rows.fetchall()]

    def search(self, text: str, limit: int = 20) -> list[Address]:
        """Houses, or places, whose address has all words of ``text``; the nearest first. A GUID finds its object."""
        limit = max(1, min(limit, MAX_LIMIT))
        if self._db is None:
            return []
        if GUID.fullmatch(text.strip().lower()):
            found = self.find(text.strip())
            return [found] if found is not None else []
        asked = words(text)[:20]
        numbers = 0
        while numbers < min(len(asked), 4) and (asked[-1 - numbers][0].isdecimal() or len(asked[-1 - numbers]) == 1):
            numbers += 1
        for tail in range(numbers, 0, -1):
            street, house = asked[: len(asked) - tail], asked[len(asked) - tail :]
            houses = self._houses(street, house, limit) if street else []
            if houses:
                return houses
        return [address for id_ in self._places(asked)[:limit] if (address := self.object(id_)) is not None]

    def _places(self, asked: list[str]) -> list[int]:
        """Places by their words, each a beginning; the shortest address first."""
        if self._db is None or not asked:
            return []
        query = " AND ".join('"' + word.replace('"', "") + '"*' for word in asked)
        rows = self._db.execute(
            "SELECT rowid FROM place WHERE place MATCH ? ORDER BY length(words), rowid LIMIT ?", (query, PLACES_ASKED)
        )
        return [row[0] for row in rows]

    def _houses(self, street: list[str], house: list[str], limit: int) -> list[Address]:
        assert self._db is not None
        places = self._places(street)
        key = number_key(*house)
        marks = ", ".join("?" * len(places))
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM object WHERE parent IN ({marks}) AND level = {HOUSE_LEVEL} AND active"
            " AND number_key >= ? AND number_key < ? ORDER BY number_key <> ?, length(number_key), number_key, id LIMIT ?",
            (*places, key, key + "\U0010ffff", key, limit),
        )
        return [self._address(row) for row in rows.fetchall()]

    def _one(self, where: str, value: object) -> Address | None:
        if self._db is None:
            return None
        row = self._db.execute(f"SELECT {_COLUMNS} FROM object WHERE {where} LIMIT 1", (value,)).fetchone()
        return None if row is None else self._address(row)

    def _address(self, row: tuple[object, ...]) -> Address:
        id_, guid, level, type_, name, parent, active, postcode, oktmo, cadastral = row
        assert self._db is not None
        parts, above = [place(str(type_), str(name))], parent
        for _ in range(MAX_STEPS):
            found = self._db.execute("SELECT type, name, parent FROM object WHERE id = ?", (above,)).fetchone()
            if found is None:
                break
            parts.append(place(found[0], found[1]))
            above = found[2]
        return Address(
            int(str(id_)), str(guid), int(str(level)), ", ".join(reversed(parts)),
            None if parent is None else int(str(parent)), bool(active), str(postcode), str(oktmo), str(cadastral),
        )  # fmt: skip


@contextmanager
def open_register(data_dir: Path) -> Iterator[Register]:
    """The register of a data folder, as long as the block lasts."""
    path = data_dir / FILE
    if not path.exists():
        yield Register(None)
        return
    connection = sqlite3.connect(f"file:{path}?mode=ro".replace("%", "%25"), uri=True)
    try:
        connection.execute("PRAGMA busy_timeout = 15000")
        loaded = connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        yield Register(connection if loaded else None)
    finally:
        connection.close()


def same_address(one: str, other: str) -> bool:
    """Whether two texts name one address: the same words in any order."""
    return sorted(words(fold(one))) == sorted(words(fold(other)))

"""Import of a region: files as streams into staging tables, then one transaction that puts the region in place of its old self.

Nothing is kept in memory but a batch and a bounded cache of street names, whatever the size of the region. Killed at any
moment, the register is the old one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from appserver.gar.errors import GarError
from appserver.gar.records import Record, records
from appserver.gar.source import File, Source
from appserver.gar.words import ADD_TYPES, APARTMENT_TYPES, HOUSE_TYPES, number_key, place, words

BATCH = 5000
VERSION = 1
MAX_STEPS = 20
"""Parents above a house, successors behind an old object."""
POSTCODE, OKTMO, CADASTRAL = "5", "7", "8"
"""Kinds of parameters (AS_PARAM_TYPES)."""
REGION_LEVEL, STREET_LEVEL, HOUSE_LEVEL, APARTMENT_LEVEL = 1, 8, 10, 11

Progress = Callable[[str, int, int], None]
"""``progress(file, bytes read, bytes of the file)``."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to take."""

    hierarchy: str = "adm"
    """``adm``: administrative division (with it addresses are written); ``mun``: municipal."""
    apartments: bool = False
    history: bool = False
    """Also GUIDs of single records (AOID, HOUSEID of ФИАС), from the large AS_CHANGE_HISTORY."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an import brought."""

    region: str
    name: str
    stamp: str
    places: int
    houses: int
    apartments: int
    old_guids: int


_STAGE = """
CREATE TEMP TABLE record (id INTEGER PRIMARY KEY, object_id INTEGER, guid TEXT, next_id INTEGER);
CREATE TEMP TABLE link (object_id INTEGER PRIMARY KEY, parent INTEGER, rank TEXT);
CREATE TEMP TABLE successor (object_id INTEGER PRIMARY KEY, next INTEGER, how TEXT);
"""
_OBJECT = """
INSERT INTO object (id, guid, region, level, type, name, number_key, active, rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET guid = excluded.guid, region = excluded.region, level = excluded.level, type = excluded.type,
  name = excluded.name, number_key = excluded.number_key, active = excluded.active, rank = excluded.rank
WHERE excluded.rank > object.rank
"""
_LINK = """
INSERT INTO temp.link VALUES (?, ?, ?) ON CONFLICT (object_id) DO UPDATE SET parent = excluded.parent, rank = excluded.rank
WHERE excluded.rank > link.rank
"""


def load(
    database: Path,
    source: Source,
    region: str,
    now_us: int,
    options: Options = Options(),
    progress: Progress | None = None,
) -> Loaded:
    """Import one region; what was there of it is replaced. Raises GarError."""
    if region not in source.regions:
        there = ", ".join(source.regions) or "none"
        raise GarError(f"{source.path} has no region {region}; there are {there}.")
    for kind in ("AS_ADDR_OBJ", "AS_HOUSES"):
        if not source.find(kind, region):
            raise GarError(f"{source.path} has no {kind} of region {region}; the extract is not whole.")
    connection = connect(database)
    try:
        connection.executescript(_STAGE)
        connection.execute("BEGIN IMMEDIATE")
        try:
            loaded = _Import(connection, source, region, options, progress).run(now_us)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return loaded
    except sqlite3.Error as error:
        raise GarError(f"{database} cannot be written: {error}.") from error
    finally:
        connection.close()


def connect(database: Path) -> sqlite3.Connection:
    """Open ``gar.db`` for writing, making it when there is none."""
    database.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode = WAL", "busy_timeout = 15000", "cache_size = -65536", "temp_store = FILE"):
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        connection.execute("BEGIN IMMEDIATE")
        for name, kind in connection.execute(
            "SELECT name, type FROM sqlite_master WHERE type = 'table' AND name IN ('region', 'object', 'old_guid', 'place')"
        ).fetchall():
            connection.execute(f"DROP {kind} {name}")
        for statement in _statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    return connection


def _statements() -> list[str]:
    text = Path(__file__).with_name("schema.sql").read_text()
    lines = (line.partition("--")[0] for line in text.splitlines())
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _rank(record: Record) -> str:
    """Which of an object's records counts: the actual one, of several the one that ends last."""
    actual = record.get("ISACTUAL", "1") + record.get("ISACTIVE", "0")
    return f"{actual} {record.get('ENDDATE', '')[:10]} {record.get('ID', '').zfill(12)}"


_NUMBERS = ("OBJECTID", "ID", "NEXTID", "PARENTOBJID", "LEVEL")
MAX_DIGITS = 18


class _Import:
    """One region on its way into the database."""

    def __init__(
        self, connection: sqlite3.Connection, source: Source, region: str, options: Options, progress: Progress | None
    ) -> None:
        self._db = connection
        self._source = source
        self._region = region
        self._options = options
        self._progress = progress

    def run(self, now_us: int) -> Loaded:
        """All of it, inside the open transaction."""
        self._forget()
        self._objects("AS_ADDR_OBJ", self._place_row)
        self._objects("AS_HOUSES", self._house_row())
        if self._options.apartments:
            self._objects("AS_APARTMENTS", self._apartment_row())
        self._parents()
        for kind in ("AS_ADDR_OBJ_PARAMS", "AS_HOUSES_PARAMS"):
            self._parameters(kind)
        self._old_guids()
        self._words()
        return self._counts(now_us)

    def _forget(self) -> None:
        self._db.execute("DELETE FROM place WHERE rowid IN (SELECT id FROM object WHERE region = ?)", (self._region,))
        for table in ("object", "old_guid", "region"):
            column = "code" if table == "region" else "region"
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (self._region,))

    def _read(self, file: File) -> Iterator[Record]:
        def told(read: int) -> None:
            if self._progress is not None:
                self._progress(file.name, read, file.size)

        with self._source.open(file) as stream:
            for number, record in enumerate(records(stream, file.name, told), 1):
                for name in _NUMBERS:
                    text = record.get(name)
                    if text and not (text.isdecimal() and len(text) <= MAX_DIGITS):
                        raise GarError(f"{file.name}: record {number}: {name} {text[:40]!r} is no number.")
                yield record

    # ------------------------------------------------------------------------------------------------------- objects

    def _objects(self, kind: str, row_of: Callable[[Record], tuple[int, str, str, str]]) -> None:
        for file in self._source.find(kind, self._region):
            for batch in _batches(self._object_rows(file, row_of)):
                self._db.executemany(_OBJECT, [row[:9] for row in batch])
                self._db.executemany(
                    "INSERT OR REPLACE INTO temp.record VALUES (?, ?, ?, ?)", [(r[9], r[0], r[1], r[10]) for r in batch]
                )

    def _object_rows(
        self, file: File, row_of: Callable[[Record], tuple[int, str, str, str]]
    ) -> Iterator[tuple[Any, ...]]:
        for record in self._read(file):
            try:
                guid = record["OBJECTGUID"].lower()
                level, type_, name, key = row_of(record)
                active = int(record.get("ISACTUAL", "1") == "1" and record.get("ISACTIVE", "0") == "1")
                yield (
                    int(record["OBJECTID"]), guid, self._region, level, type_, name, key, active, _rank(record),
                    int(record["ID"]), int(record.get("NEXTID") or 0),
                )  # fmt: skip
            except (KeyError, ValueError) as error:
                raise GarError(f"{file.name}: object {record.get('OBJECTID')}: {error} is missing or wrong.") from error

    @staticmethod
    def _place_row(record: Record) -> tuple[int, str, str, str]:
        return int(record["LEVEL"]), record.get("TYPENAME", ""), record["NAME"], ""

    def _house_row(self) -> Callable[[Record], tuple[int, str, str, str]]:
        types = self._words_of("AS_HOUSE_TYPES", HOUSE_TYPES)
        added = self._words_of("AS_ADDHOUSE_TYPES", ADD_TYPES)

        def row(record: Record) -> tuple[int, str, str, str]:
            number = record.get("HOUSENUM", "")
            adds = [(record.get(f"ADDTYPE{n}", ""), record.get(f"ADDNUM{n}", "")) for n in (1, 2)]
            name = " ".join([number, *(f"{added.get(type_, '')} {add}".strip() for type_, add in adds if add)]).strip()
            return (
                HOUSE_LEVEL,
                types.get(record.get("HOUSETYPE", ""), ""),
                name,
                number_key(number, *(a for _, a in adds)),
            )

        return row

    def _apartment_row(self) -> Callable[[Record], tuple[int, str, str, str]]:
        types = self._words_of("AS_APARTMENT_TYPES", APARTMENT_TYPES)

        def row(record: Record) -> tuple[int, str, str, str]:
            number = record.get("NUMBER", "")
            return APARTMENT_LEVEL, types.get(record.get("APARTTYPE", ""), ""), number, number_key(number)

        return row

    def _words_of(self, kind: str, known: dict[str, str]) -> dict[str, str]:
        """Short names of kinds, from the source's own table when it has one."""
        found = dict(known)
        for file in self._source.find(kind):
            with self._source.open(file) as stream:
                for record in records(stream, file.name):
                    if record.get("ID") and record.get("SHORTNAME"):
                        found[record["ID"]] = record["SHORTNAME"]
        return found

    # ------------------------------------------------------------------------------------------- tree and parameters

    def _parents(self) -> None:
        first, second = ("ADM", "MUN") if self._options.hierarchy == "adm" else ("MUN", "ADM")
        files = self._source.find(f"AS_{first}_HIERARCHY", self._region)
        files = files or self._source.find(f"AS_{second}_HIERARCHY", self._region)
        if not files:
            raise GarError(f"{self._source.path} has no hierarchy of region {self._region}; the extract is not whole.")
        for file in files:
            rows = ((int(r["OBJECTID"]), int(r.get("PARENTOBJID") or 0) or None, _rank(r)) for r in self._read(file))
            for batch in _batches(rows):
                self._db.executemany(_LINK, batch)
        self._db.execute(
            "UPDATE object SET parent = (SELECT parent FROM temp.link WHERE object_id = object.id) WHERE region = ?",
            (self._region,),
        )

    def _parameters(self, kind: str) -> None:
        columns = {POSTCODE: "postcode", OKTMO: "oktmo", CADASTRAL: "cadastral"}
        for file in self._source.find(kind, self._region):
            rows = (
                (columns[record["TYPEID"]], record.get("VALUE", "")[:60], int(record["OBJECTID"]))
                for record in self._read(file)
                if record.get("TYPEID") in columns and record.get("CHANGEIDEND", "0") == "0"
            )
            for batch in _batches(rows):
                for column in columns.values():
                    self._db.executemany(
                        f"UPDATE object SET {column} = ? WHERE id = ?", [row[1:] for row in batch if row[0] == column]
                    )

    # -------------------------------------------------------------------------------------------------------- old GUIDs

    def _old_guids(self) -> None:
        """Whom an object that is valid no more was joined to, and other GUIDs that one object had."""
        add = "INSERT OR IGNORE INTO temp.successor"
        self._db.execute(
            f"{add} SELECT r.object_id, n.object_id, 'next' FROM temp.record r JOIN temp.record n ON n.id = r.next_id"
            " JOIN object o ON o.id = r.object_id WHERE n.object_id <> r.object_id AND NOT o.active"
        )
        for file in self._source.find("AS_ADDR_OBJ_DIVISION", self._region):
            self._divisions(file)
        self._db.execute(
            f"{add} SELECT o.id, min(n.id), 'address' FROM object o JOIN object n ON n.parent = o.parent"
            " AND n.level = o.level AND n.number_key = o.number_key AND n.active WHERE NOT o.active AND o.region = ?"
            " AND o.level >= 10 AND o.number_key <> '' GROUP BY o.id HAVING count(*) = 1",
            (self._region,),
        )
        self._db.execute(
            "WITH RECURSIVE way (start, at, how, step) AS (SELECT object_id, next, how, 1 FROM temp.successor"
            "  UNION ALL SELECT w.start, s.next, w.how, w.step + 1 FROM way w JOIN temp.successor s ON s.object_id = w.at"
            "  WHERE w.step < ? AND NOT (SELECT active FROM object WHERE id = w.at))"
            " INSERT OR IGNORE INTO old_guid SELECT o.guid, w.at, o.region, w.how FROM way w JOIN object o ON o.id = w.start"
            " JOIN object n ON n.id = w.at WHERE n.active AND NOT o.active ORDER BY w.step",
            (MAX_STEPS,),
        )
        self._db.execute(
            "INSERT OR IGNORE INTO old_guid SELECT r.guid, o.id, o.region, 'object' FROM temp.record r"
            " JOIN object o ON o.id = r.object_id WHERE r.guid <> o.guid AND o.active"
        )
        if self._options.history:
            for file in self._source.find("AS_CHANGE_HISTORY", self._region):
                rows = (
                    (record.get("ADROBJECTID", "").lower(), self._region, int(record["OBJECTID"]))
                    for record in self._read(file)
                    if len(record.get("ADROBJECTID", "")) == 36
                )
                for batch in _batches(rows):
                    self._db.executemany(
                        "INSERT OR IGNORE INTO old_guid SELECT ?1, id, ?2, 'record' FROM object"
                        " WHERE id = ?3 AND guid <> ?1",
                        batch,
                    )

    def _divisions(self, file: File) -> None:
        """A place that was divided into one, in truth renamed; into several nobody can tell."""
        with self._source.open(file) as stream:
            rows = (
                (int(record["PARENTID"]), int(record["CHILDID"]))
                for record in records(stream, file.name)
                if record.get("PARENTID", "").isdecimal() and record.get("CHILDID", "").isdecimal()
            )
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS division (parent INTEGER, child INTEGER)")
            for batch in _batches(rows):
                self._db.executemany("INSERT INTO temp.division VALUES (?, ?)", batch)
        self._db.execute(
            "INSERT OR IGNORE INTO temp.successor SELECT d.parent, min(d.child), 'division' FROM temp.division d"
            " JOIN object o ON o.id = d.parent WHERE NOT o.active GROUP BY d.parent HAVING count(DISTINCT d.child) = 1"
        )

    # ------------------------------------------------------------------------------------------------------------ words

    def _words(self) -> None:
        """The whole address of every valid place, for the search by text."""
        one = "SELECT parent, type, name FROM object WHERE id = ?"

        @lru_cache(maxsize=20_000)
        def text(id_: int, steps: int) -> str:
            row = self._db.execute(one, (id_,)).fetchone()
            if row is None or steps == 0:
                return ""
            above = text(row[0], steps - 1) if row[0] is not None else ""
            return f"{above} {place(row[1], row[2])}".strip()

        ids = self._db.execute(
            "SELECT id FROM object WHERE region = ? AND active AND level <= ?", (self._region, STREET_LEVEL)
        )
        rows = ((id_, " ".join(words(text(id_, MAX_STEPS))), self._region) for (id_,) in ids)
        for batch in _batches(rows):
            self._db.executemany("INSERT INTO place (rowid, words, region) VALUES (?, ?, ?)", batch)

    def _counts(self, now_us: int) -> Loaded:
        counts = dict(
            self._db.execute(
                "SELECT min(max(level, 9), 11), count(*) FROM object WHERE region = ? AND active GROUP BY 1",
                (self._region,),
            )
        )
        old = self._db.execute("SELECT count(*) FROM old_guid WHERE region = ?", (self._region,)).fetchone()[0]
        top = self._db.execute(
            "SELECT type, name FROM object WHERE region = ? AND active AND level = ?", (self._region, REGION_LEVEL)
        ).fetchone()
        stamp = self._source.find("AS_HOUSES", self._region)[-1].stamp
        name = place(*top) if top else self._region
        loaded = Loaded(
            self._region, name, stamp, counts.get(9, 0), counts.get(HOUSE_LEVEL, 0), counts.get(APARTMENT_LEVEL, 0), old
        )
        self._db.execute(
            "INSERT INTO region VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                loaded.region, name, stamp, self._options.hierarchy, now_us, loaded.places, loaded.houses,
                loaded.apartments, old,
            ),
        )  # fmt: skip
        return loaded

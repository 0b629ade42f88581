"""PostgreSQL as the application's database: the same SQL, the same values, the same rules of locking as on SQLite.

Queries of the application are written once, in what both databases understand; :func:`translated` rewrites the few
words that differ. :class:`PostgresConnection` has the face of :class:`sqlite3.Connection` that the application uses,
and gives the values that SQLite would give: JSON and dates as text, sums as integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.ext.compiler import compiles

if TYPE_CHECKING:
    import psycopg

try:
    import psycopg as _psycopg
    from psycopg.adapt import Loader
except ImportError:  # an installation on SQLite does without
    _psycopg = None  # type: ignore[assignment]
    Loader = object  # type: ignore[assignment, misc]

WRITER_LOCK = 0x4D57414E
"""Advisory lock of everybody who writes: one writer at a time, as on SQLite."""
LOCK_TIMEOUT_S = 15
ERRORS: tuple[type[Exception], ...] = () if _psycopg is None else (_psycopg.Error,)
"""What a query may raise here."""
TEMPORARY_ERRORS: tuple[type[Exception], ...] = () if _psycopg is None else (_psycopg.OperationalError,)
ROWS_A_STATEMENT = 1000

OPTIONS = f"-c lock_timeout={LOCK_TIMEOUT_S}s"
LOCK = f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"
BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
MIGRATION_LOCK = WRITER_LOCK + 1

_SQL = "LANGUAGE sql IMMUTABLE PARALLEL SAFE AS"
FUNCTIONS = (
    f"""CREATE OR REPLACE FUNCTION fold(text) RETURNS text {_SQL}
        $$ SELECT coalesce(lower($1 COLLATE "und-x-icu"), '') $$""",
    rf"""CREATE OR REPLACE FUNCTION leading_integer(text) RETURNS bigint {_SQL}
        $$ SELECT CASE WHEN $1 IS NULL THEN NULL
           ELSE coalesce(substring($1 from '^\s*([+-]?\d{{1,18}})'), '0')::bigint END $$""",
    f"CREATE OR REPLACE FUNCTION instr(text, text) RETURNS integer {_SQL} $$ SELECT strpos($1, $2) $$",
    f"""CREATE OR REPLACE FUNCTION max(bigint, bigint) RETURNS bigint {_SQL}
        $$ SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL ELSE greatest($1, $2) END $$""",
    f"""CREATE OR REPLACE FUNCTION json_patch(json, json) RETURNS json {_SQL}
        $$ SELECT ($1::jsonb || $2::jsonb)::json $$""",
    f"""CREATE OR REPLACE FUNCTION min(bigint, bigint) RETURNS bigint {_SQL}
        $$ SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL ELSE least($1, $2) END $$""",
)
"""What SQLite has by itself or from :mod:`appserver.db`."""
OTHER_COLLATIONS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.collation_name IS DISTINCT FROM 'C'
AND c.data_type IN ('character varying', 'text')
"""
"""Text columns that would be sorted by the rules of a language: here they are sorted as SQLite sorts them."""


@compiles(Integer, "postgresql")
def _integer(type_: Integer, compiler: Any, type_expression: Any = None, **options: Any) -> str:
    """Columns of integers are as wide as SQLite's: moments are microseconds."""
    return "INTEGER" if type_expression is None else "BIGINT"


def widen(metadata: MetaData) -> None:
    """Let the integers of all tables be given as what :func:`_integer` made of their columns."""
    for table in metadata.tables.values():
        for column in table.columns:
            if type(column.type) is Integer:
                column.type = Integer().with_variant(BigInteger(), "postgresql")


# ----------------------------------------------------------------------------------------------------------- the words

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<not_in>\bNOT\s+IN\s*\(\s*SELECT\s+value\s+FROM\s+json_each\(\s*(?P<of_not_in>\?\d*|:\w+)\s*\)\s*\))"""
    r"""|(?P<in>\bIN\s*\(\s*SELECT\s+value\s+FROM\s+json_each\(\s*(?P<of_in>\?\d*|:\w+)\s*\)\s*\))"""
    r"""|(?P<cast>::)|(?P<parameter>\?\d*|:[A-Za-z_]\w*)|(?P<percent>%)""",
    re.IGNORECASE,
)
_WORDS = (
    (re.compile(r"\bLIKE\b"), "ILIKE"),  # SQLite's folds ASCII, and so does ILIKE in the collation of our columns
    (re.compile(r"\b1 << 62\b"), str(1 << 62)),
    (re.compile(r"\bCAST\(\s*([\w.]+)\s+AS\s+INTEGER\s*\)"), r"leading_integer(\1)"),
    (re.compile(r"\bCROSS JOIN (\w+(?: \w+)?) ON\b"), r"JOIN \1 ON"),
    (re.compile(r"\bLIMIT -1\b"), "LIMIT ALL"),
    (re.compile(r" INDEXED BY \w+"), ""),
    (re.compile(r"\bIS NOT (?=\?|:\w)"), "IS DISTINCT FROM "),
)


class Translated:
    """A query as PostgreSQL takes it, and how its parameters are given."""

    __slots__ = ("lists", "numbered", "sql")

    def __init__(self, sql: str, numbered: bool, lists: frozenset[str | int]) -> None:
        self.sql = sql
        self.numbered = numbered
        """Parameters are named ``p1``, ``p2`` …"""
        self.lists = lists
        """Names or places of those that hold a JSON list."""

    def given(self, parameters: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """The parameters as this query wants them."""
        if isinstance(parameters, Mapping):
            if not self.lists:
                return parameters
            return {k: json.loads(v) if k in self.lists else v for k, v in parameters.items()}
        if self.numbered:
            return {f"p{n}": json.loads(v) if f"p{n}" in self.lists else v for n, v in enumerate(parameters, start=1)}
        if self.lists:
            return [json.loads(v) if n in self.lists else v for n, v in enumerate(parameters)]
        return parameters


@lru_cache(maxsize=4096)
def translated(sql: str) -> Translated:
    """A query that is written for SQLite in the words of PostgreSQL."""
    numbered = re.search(r"\?\d", sql) is not None
    lists: set[str | int] = set()
    place = 0
    parts: list[str] = []
    plain: list[str] = []

    def parameter(word: str, is_list: bool = False) -> str:
        nonlocal place
        if word.startswith(":"):
            name: str | int = word[1:]
        elif numbered:
            place = int(word[1:]) if len(word) > 1 else place + 1
            name = f"p{place}"
        else:
            name, place = place, place + 1
        if is_list:
            lists.add(name)
        return "%s" if isinstance(name, int) else f"%({name})s"

    def flush() -> None:
        if plain:
            parts.append("".join(plain))
            plain.clear()

    for pattern, word in _WORDS:
        sql = pattern.sub(word, sql)
    at = 0
    for found in _TOKEN.finditer(sql):
        plain.append(sql[at : found.start()])
        at = found.end()
        kind = found.lastgroup if found.lastgroup not in ("of_in", "of_not_in") else found.lastgroup[3:]
        if kind == "text":
            plain.append(found.group().replace("%", "%%"))
        elif kind == "percent":
            plain.append("%%")
        elif kind == "cast":
            plain.append("::")
        elif kind == "parameter":
            plain.append(parameter(found.group()))
        elif kind == "not_in":
            plain.append(f"<> ALL({parameter(found['of_not_in'], True)})")
        else:
            plain.append(f"= ANY({parameter(found['of_in'], True)})")
    plain.append(sql[at:])
    flush()
    return Translated("".join(parts), numbered, frozenset(lists))


# ---------------------------------------------------------------------------------------------------------- the values


class _Text(Loader):
    """JSON and dates as SQLite keeps them: as text."""

    def load(self, data: Any) -> str:
        return bytes(data).decode()


class _Number(Loader):
    """A sum of integers is an integer; what has decimals is a float, as on SQLite."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


def adapted(target: Any) -> Any:
    """Let a connection or a cursor give the values that SQLite would."""
    for name in ("json", "jsonb", "date"):
        target.adapters.register_loader(name, _Text)
    target.adapters.register_loader("numeric", _Number)
    return target


# ------------------------------------------------------------------------------------------------------ the connection
_OWN_IDS = re.compile(r"\s*INSERT\s+INTO\s+(\w+)\s*\(\s*id\s*,", re.I)

_INSERT_VALUES = re.compile(r"^(\s*INSERT\s+INTO\s.*?\sVALUES\s*)(\([^()]*\))(\s*(?:ON\s+CONFLICT\s.*)?)$", re.S | re.I)


class PostgresConnection:
    """A connection with the face of ``sqlite3.Connection`` that the application uses. In autocommit; see ``BEGIN``."""

    def __init__(self, raw: psycopg.Connection[Any], own: bool = True) -> None:
        self.raw = raw
        self._own = own
        if own:
            adapted(raw)

    @classmethod
    def open(cls, url: str) -> PostgresConnection:
        """Connect. Raises one of :data:`ERRORS`."""
        if _psycopg is None:
            raise RuntimeError("database.url needs the driver of PostgreSQL: pip install 'meterwan[postgresql]'")
        return cls(_psycopg.connect(url, autocommit=True, options=OPTIONS))

    @property
    def closed(self) -> bool:
        """Whether the server is gone from this connection."""
        return self.raw.closed or self.raw.broken

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.info.transaction_status != _psycopg.pq.TransactionStatus.IDLE

    def cursor(self) -> Any:
        """A cursor that binds parameters here, so that they need no types of their own."""
        cursor = _psycopg.ClientCursor(self.raw)
        return cursor if self._own else adapted(cursor)

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Run one statement; the cursor has ``fetchone``, ``fetchall``, ``rowcount`` and iterates over its rows."""
        query = translated(sql)
        return self.cursor().execute(query.sql, query.given(parameters))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> _Many:
        """Run a statement for each row. Plain inserts go as one statement for a thousand rows."""
        rows = list(rows)
        cursor = self.cursor()
        if not rows:
            return _Many(0)
        query = translated(sql)
        insert = _INSERT_VALUES.match(query.sql)
        if insert is None or "DO UPDATE" in insert[3].upper() or query.numbered:
            cursor.executemany(query.sql, [query.given(row) for row in rows])
            return _Many(cursor.rowcount)
        head, one, tail = insert.groups()
        done = _Many(sum(self._insert(cursor, head, one, tail, chunk) for chunk in _chunks(rows)))
        if own_ids := _OWN_IDS.match(head):
            self._count_on(own_ids[1])
        return done

    def _count_on(self, table: str) -> None:
        """Rows came with ids of their own: the next id of the table is after them, as on SQLite."""
        self.cursor().execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")

    @staticmethod
    def _insert(cursor: Any, head: str, one: str, tail: str, rows: list[Sequence[Any]]) -> int:
        values = ", ".join([one] * len(rows))
        cursor.execute(f"{head}{values}{tail}", [value for row in rows for value in row])
        return int(cursor.rowcount)

    def close(self) -> None:
        """Close it."""
        self.raw.close()


class _Many:
    """What ``executemany`` tells."""

    __slots__ = ("rowcount",)

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


def _chunks(rows: list[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        yield rows[start : start + ROWS_A_STATEMENT]

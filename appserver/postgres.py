"""PostgreSQL as the application's database: the same SQL, the same values, the same rules of locking as on SQLite.

Queries of the application are written once, in what both databases understand; :func:`translated` rewrites the few
words that differ. :class:`PostgresConnection` has the face of :class:`sqlite3.Connection` that the application uses,
and gives the values that SQLite would give: JSON and dates as text, sums as integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import chain, count, zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.ext.compiler import compiles

from appserver import postgres_rows

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
ROWS_AS_ARRAYS = 50
"""So many rows go as an array for each column."""

OPTIONS = f"-c lock_timeout={LOCK_TIMEOUT_S}s -c standard_conforming_strings=on"
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
    r"""|(?P<cast>::)|(?P<parameter>\?\d*|:[A-Za-z_]\w*)""",
    re.IGNORECASE,
)
_WORDS = (
    (re.compile(r"\bLIKE\b"), "ILIKE"),  # SQLite's folds ASCII, and so does ILIKE in the collation of our columns
    (re.compile(r"\b1 << 62\b"), str(1 << 62)),
    (re.compile(r"\bCAST\(\s*([\w.]+)\s+AS\s+INTEGER\s*\)"), r"leading_integer(\1)"),
    (re.compile(r"\bLIMIT -1\b"), "LIMIT ALL"),
    (re.compile(r" INDEXED BY \w+"), ""),
    (re.compile(r"\bIS NOT (?=\?|:\w)"), "IS DISTINCT FROM "),
)


class Translated:
    """A query as PostgreSQL takes it: the text between its parameters, and which of them goes where."""

    __slots__ = ("_keys", "_lists", "_texts")

    def __init__(self, texts: list[str], keys: list[str | int], lists: frozenset[str | int]) -> None:
        self._texts = texts
        self._keys = keys
        """Names, or places from 0."""
        self._lists = lists
        """Those that hold a JSON list."""

    def filled(self, parameters: Sequence[Any] | Mapping[Any, Any]) -> str:
        """The query with its parameters written out: so they need no types, and a thousand rows cost no more than that."""
        lists = self._lists
        words = [
            str(value)
            if type(value := parameters[key]) is int and value >= 0  # nearly all, where there are thousands
            else literal(json.loads(value) if key in lists else value)
            for key in self._keys
        ]
        return "".join(chain.from_iterable(zip_longest(self._texts, words, fillvalue="")))

    @property
    def is_plain(self) -> bool:
        """Whether each parameter is written once, in order, with a question mark."""
        return self._keys == list(range(len(self._keys))) and not self._lists


def literal(value: Any) -> str:
    """A value as PostgreSQL reads it, with ``standard_conforming_strings`` on. Raises ValueError for text with a NUL."""
    kind = type(value)
    if kind is int:
        return str(value) if value >= 0 else f"({value})"
    if value is None:
        return "NULL"
    if kind is str:
        if "\0" in value:
            raise ValueError("text with a NUL character cannot be kept")
        return "'" + value.replace("'", "''") + "'"
    if kind is bytes:
        return f"'\\x{value.hex()}'::bytea"
    if kind is bool:
        return "true" if value else "false"
    if kind is list:
        return f"ARRAY[{', '.join(map(literal, value))}]" if value else "'{}'"
    if isinstance(value, int | float | Decimal):
        return f"({value!s})"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        return literal(str(value))
    raise TypeError(f"{kind.__name__} cannot be a parameter of a query")


LONG = 4000
"""A query of more characters is a list of rows: few of the same length come again."""


def translated(sql: str) -> Translated:
    """A query that is written for SQLite in the words of PostgreSQL."""
    return _translated_long(sql) if len(sql) > LONG else _translated(sql)


def _translate(sql: str) -> Translated:
    lists: set[str | int] = set()
    texts: list[str] = []
    keys: list[str | int] = []
    plain: list[str] = []
    place = -1

    def parameter(word: str, is_list: bool = False) -> None:
        nonlocal place
        if word.startswith(":"):
            key: str | int = word[1:]
        else:
            key = place = int(word[1:]) - 1 if len(word) > 1 else place + 1
        if is_list:
            lists.add(key)
        keys.append(key)
        texts.append("".join(plain))
        plain.clear()

    for pattern, word in _WORDS:
        sql = pattern.sub(word, sql)
    sql = _in_order(sql)
    at = 0
    for found in _TOKEN.finditer(sql):
        plain.append(sql[at : found.start()])
        at = found.end()
        kind = found.lastgroup
        if kind == "parameter":
            parameter(found.group())
        elif kind in ("text", "cast"):
            plain.append(found.group())
        elif found["of_not_in"]:
            plain.append("<> ALL(")
            parameter(found["of_not_in"], True)
            plain.append(")")
        else:
            plain.append("= ANY(")
            parameter(found["of_in"], True)
            plain.append(")")
    texts.append("".join([*plain, sql[at:]]))
    return Translated(texts, keys, frozenset(lists))


_JOIN_IN_ORDER = re.compile(r"\bCROSS JOIN (\w+)(?: (\w+))? ON\b")
_AFTER_CONDITION = re.compile(
    r"[()']|\b(?:WHERE|GROUP BY|ORDER BY|LIMIT|UNION|(?:CROSS |LEFT |INNER )?JOIN)\b|$", re.IGNORECASE
)


def _in_order(sql: str) -> str:
    """``CROSS JOIN … ON`` asks SQLite to look rows up one after another, in the order written; the same is asked here."""
    while found := _JOIN_IN_ORDER.search(sql):
        table, alias = found[1], found[2] or found[1]
        end = _end_of_condition(sql, found.end())
        condition = sql[found.end() : end].strip()
        lookup = f"CROSS JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {condition} OFFSET 0) {alias} "
        sql = sql[: found.start()] + lookup + sql[end:]
    return sql


def _end_of_condition(sql: str, at: int) -> int:
    depth = 0
    while True:
        found = _AFTER_CONDITION.search(sql, at)
        assert found is not None
        at = found.end()
        if found[0] == "(":
            depth += 1
        elif found[0] == "'":
            at = sql.index("'", at) + 1
        elif found[0] == ")" and depth:
            depth -= 1
        elif not depth:
            return found.start()


_translated = lru_cache(maxsize=4096)(_translate)
_translated_long = lru_cache(maxsize=32)(_translate)


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


class _Flag(Loader):
    """True and false are 1 and 0."""

    def load(self, data: Any) -> int:
        return 1 if bytes(data) == b"t" else 0


def adapted(target: Any) -> Any:
    """Let a connection or a cursor give the values that SQLite would."""
    for name in ("json", "jsonb", "date"):
        target.adapters.register_loader(name, _Text)
    target.adapters.register_loader("numeric", _Number)
    target.adapters.register_loader("bool", _Flag)
    return target


# ------------------------------------------------------------------------------------------------------ the connection
_OWN_IDS = re.compile(r"\s*INSERT\s+INTO\s+(\w+)\s*\(\s*id\s*,", re.I)

_INSERT_VALUES = re.compile(r"^(\s*INSERT\s+INTO\s.*?\sVALUES\s*)(\([^()]*\))(\s*(?:ON\s+CONFLICT\s.*)?)$", re.S | re.I)


_STREAMS = count()


if _psycopg is not None:

    class RowsCursor(_psycopg.ClientCursor[Any]):
        """A cursor whose rows, which are all here when it has executed, are made at once: a third of the time."""

        def __iter__(self) -> Iterator[Any]:
            return iter(self.fetchall())


class PostgresConnection:
    """A connection with the face of ``sqlite3.Connection`` that the application uses. In autocommit; see ``BEGIN``."""

    def __init__(self, raw: psycopg.Connection[Any], own: bool = True) -> None:
        self.raw = raw
        self._own = own
        self._types: dict[str, dict[str, str]] = {}
        """Of the columns of tables that took many rows."""
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
        """A cursor that takes whole statements."""
        cursor = RowsCursor(self.raw)
        return cursor if self._own else adapted(cursor)

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Run one statement; the cursor has ``fetchone``, ``fetchall``, ``rowcount`` and iterates over its rows."""
        return self.cursor().execute(translated(sql).filled(parameters))

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a long query, block by block, while others run; within a transaction."""
        cursor = adapted(self.raw.cursor(f"stream_{next(_STREAMS)}"))
        with cursor:
            cursor.itersize = 10_000
            yield from cursor.execute(translated(sql).filled(()))

    def blobs(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query for integers and long bytes, which come as they are instead of in hexadecimal digits."""
        return self.raw.cursor(binary=True).execute(translated(sql).filled(parameters)).fetchall()  # type: ignore[no-any-return]

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> _Many:
        """Run a statement for each row. Inserts that do not touch one another go as one statement for a thousand rows."""
        rows = list(rows)
        if not rows:
            return _Many(0)
        insert = _INSERT_VALUES.match(sql)
        if insert is None or not translated(sql).is_plain or not _are_apart(insert, rows):
            query = translated(sql)
            return _Many(sum(self._run(chunk) for chunk in _chunks([query.filled(row) for row in rows])))
        done = sum(cursor.rowcount for cursor in self._inserted(insert, rows))
        if own_ids := _OWN_IDS.match(insert[1]):
            self._count_on(own_ids[1])
        return _Many(done)

    def insert_returning(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Insert rows that do not touch one another; what ``RETURNING`` tells of those that went in."""
        insert = _INSERT_VALUES.match(sql)
        assert insert is not None
        return [row for cursor in self._inserted(insert, rows) for row in cursor.fetchall()]

    def _inserted(self, insert: re.Match[str], rows: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """The cursors of the statements that take all rows: a few are written out, many go as arrays."""
        head, one, tail = insert.groups()
        tail = translated(tail).filled(())
        types = self._types_of(head) if len(rows) >= ROWS_AS_ARRAYS else None
        if types is not None:
            words = [word.strip() for word in one.strip("()").split(",")]
            into = head[: head.upper().rindex("VALUES")]
            for chunk in _chunks(rows):
                yield self.cursor().execute(f"{into}{postgres_rows.selection(words, types, chunk)}{tail}")
            return
        query = translated(one)
        for chunk in _chunks(rows):
            yield self.cursor().execute(f"{head}{', '.join(map(query.filled, chunk))}{tail}")

    def _types_of(self, head: str) -> list[str] | None:
        """The types of the columns that an insert names; None when it names none or has one that is unknown."""
        target = postgres_rows.target_of(head)
        if target is None:
            return None
        table, columns = target
        types = postgres_rows.types_of(columns, self._types.get(table, {}))
        if types is None:
            self._types[table] = dict(self.cursor().execute(postgres_rows.COLUMN_TYPES.format(table)).fetchall())
            types = postgres_rows.types_of(columns, self._types[table])
        return types

    def _run(self, statements: list[str]) -> int:
        """Statements that go together and are answered together."""
        cursor = self.cursor().execute(";".join(statements))
        done = max(cursor.rowcount, 0)
        while cursor.nextset():
            done += max(cursor.rowcount, 0)
        return done

    def _count_on(self, table: str) -> None:
        """Rows came with ids of their own: the next id of the table is after them, as on SQLite."""
        self.cursor().execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")

    def close(self) -> None:
        """Close it."""
        self.raw.close()


def _are_apart(insert: re.Match[str], rows: list[Sequence[Any]]) -> bool:
    """Whether one statement may take all rows: none of them would be changed by another."""
    target = re.search(r"ON\s+CONFLICT\s*\(([^)]*)\)\s*DO\s+UPDATE", insert[3], re.I)
    if target is None:
        return "DO UPDATE" not in insert[3].upper()
    columns = [name.strip() for name in insert[1][insert[1].index("(") + 1 : insert[1].rindex(")")].split(",")]
    places = [columns.index(name.strip()) for name in target[1].split(",")]
    if any(word != "?" for word in insert[2].strip("()").replace(" ", "").split(",")[: max(places) + 1]):
        return False
    return len({tuple(row[place] for place in places) for row in rows}) == len(rows)


class _Many:
    """What ``executemany`` tells."""

    __slots__ = ("rowcount",)

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        yield rows[start : start + ROWS_A_STATEMENT]

"""application.db: one SQLite file, or a PostgreSQL database in its place; many readers, one writer at a time.

Services use SQLModel sessions (:meth:`Database.reading`, :meth:`Database.writing`), the ingest and the balance use
plain connections (:meth:`Database.rows`, :meth:`Database.transaction`). All of it is synchronous; a call of a web
handler that takes longer than a few milliseconds belongs into :meth:`Database.run`. What PostgreSQL needs of its own is
in :mod:`appserver.postgres`.
"""

from __future__ import annotations

import asyncio
import fcntl
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel

import appserver.models  # noqa: F401  (fills the metadata)
from appserver import postgres
from appserver.postgres import PostgresConnection

postgres.widen(SQLModel.metadata)

P = ParamSpec("P")
T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 15_000

Connection = sqlite3.Connection | PostgresConnection
ERRORS: tuple[type[Exception], ...] = (sqlite3.Error, *postgres.ERRORS)
"""What a plain connection may raise."""
TEMPORARY_ERRORS: tuple[type[Exception], ...] = (sqlite3.OperationalError, *postgres.TEMPORARY_ERRORS)
"""Of these, what another try may do without."""

_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 16384",  # pages: a batch of a town writes thousands, all over the file
    "PRAGMA temp_store = MEMORY",
)


ROOMY_CACHE_KIB = 131_072
"""Of a connection that writes all over a large database: the inner pages of its tables and a batch's leaves stay in memory."""


def _prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # transactions are begun and ended by us, never by the driver
    connection.create_function("fold", 1, fold, deterministic=True)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def stream(connection: Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query over a whole table, without all of them in memory; within a transaction."""
    if isinstance(connection, PostgresConnection):
        return connection.stream(sql)
    return connection.execute(sql)


def blobs(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query for integers and long bytes."""
    if isinstance(connection, PostgresConnection):
        return connection.blobs(sql, parameters)
    return connection.execute(sql, parameters).fetchall()


ROWS_A_STATEMENT = 500


def insert_returning(connection: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Insert rows by ``INSERT INTO … VALUES (?, …) … RETURNING …``; what it returns of those that went in."""
    if isinstance(connection, PostgresConnection):
        return connection.insert_returning(sql, rows)
    head, one, tail = sql.partition(" VALUES ")[0], *_ONE_ROW.search(sql).groups()  # type: ignore[union-attr]
    told: list[tuple[Any, ...]] = []
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        chunk = rows[start : start + ROWS_A_STATEMENT]
        values = [value for row in chunk for value in row]
        told += connection.execute(f"{head} VALUES {', '.join([one] * len(chunk))}{tail}", values).fetchall()
    return told


_ONE_ROW = re.compile(r" VALUES (\([^()]*\))(.*)", re.S)


def fold(text: object) -> str:
    """Text without case, for searches: SQLite's own knows ASCII only."""
    return "" if text is None else str(text).casefold()


def like(text: str) -> str:
    """A LIKE pattern (``ESCAPE '\\'``) for a column that contains ``text``."""
    escaped = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def contains(text: str) -> str:
    """A LIKE pattern for a folded column that contains ``text``."""
    return like(fold(text))


def _engine(path: Path, url: str = "") -> Engine:
    if url:
        return _postgres_engine(url)
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        _prepare(connection)

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres_engine(url: str) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(address, pool_pre_ping=True, connect_args={"options": postgres.OPTIONS})

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        if connection.get_execution_options().get("immediate", False):
            connection.exec_driver_sql(postgres.LOCK)
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    return engine


def plain_connection(session: Session) -> Connection:
    """The plain connection under a session, within the same transaction."""
    session.flush()
    driver: Any = session.connection().connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else PostgresConnection(driver, own=False)


def broken_rule(error: IntegrityError) -> str:
    """What an IntegrityError says, ending with ``table.column, table.column`` where these must be unique together."""
    message = str(error.orig)
    diag = getattr(error.orig, "diag", None)
    key = re.search(r"Key \(([^)]*)\)=", getattr(diag, "message_detail", None) or "")
    if diag is None or key is None:
        return message
    return f"{diag.message_primary}: " + ", ".join(f"{diag.table_name}.{column}" for column in key[1].split(", "))


class Database:
    """The application's database. Open it with :func:`open_database`, which brings the schema up to date first."""

    def __init__(self, path: Path, url: str = "") -> None:
        self.path = path
        """The file; with ``url`` only the place beside which rules and other files of the application lie."""
        self.url = url
        """Of a PostgreSQL database, empty for SQLite."""
        self.engine = _engine(path, url)
        self._writer_engine = self.engine.execution_options(immediate=True)
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._opening = threading.Lock()

    def close(self) -> None:
        """Close every connection; the object must not be used afterwards."""
        self.engine.dispose()
        with self._opening:
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    # ---------------------------------------------------------------------------------------------- SQLModel sessions

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database. Objects stay usable after it."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock: committed at the end, rolled back by an exception."""
        with Session(self._writer_engine, expire_on_commit=False) as session:
            yield session
            session.commit()

    # ---------------------------------------------------------------------------------------------- plain connections

    @property
    def connection(self) -> Connection:
        """This thread's own plain connection, in autocommit."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if isinstance(connection, PostgresConnection) and connection.closed:
            connection = None  # the server was away; what was under way on it was rolled back
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._opening:
                self._opened = [one for one in self._opened if not getattr(one, "closed", False)]
                self._opened.append(connection)
        return connection

    def _connect(self) -> Connection:
        if self.url:
            return PostgresConnection.open(self.url)
        connection = sqlite3.connect(self.path, check_same_thread=False, cached_statements=256)
        _prepare(connection)
        return connection

    def make_room(self) -> None:
        """Give this thread's connection the cache of one that writes all over a large database; memory is taken as needed."""
        if not self.url and not getattr(self._local, "roomy", False):
            self.connection.execute(f"PRAGMA cache_size = -{ROOMY_CACHE_KIB}")
            self._local.roomy = True

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Several queries that see the same moment; within a transaction of this thread they see what it sees."""
        connection = self.connection
        if connection.in_transaction:
            yield connection
            return
        connection.execute(postgres.BEGIN_SNAPSHOT if self.url else "BEGIN")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The write lock on this thread's plain connection: committed at the end, rolled back by an exception."""
        connection = self.connection
        connection.execute("BEGIN" if self.url else "BEGIN IMMEDIATE")
        try:
            if self.url:
                connection.execute(postgres.LOCK)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a worker thread. Cancelled, it ends when the call has ended.

        A thread cannot be stopped, and whoever cancels may be about to close the database under it.
        """
        work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            work.exception()  # looked at: nobody else will
            raise


def migrate(path: Path, revision: str = "head", url: str = "") -> None:
    """Bring the schema of ``path`` (of the PostgreSQL database ``url``) to ``revision``, making what is not there.

    Held under a lock, so that two programs that start together do not both migrate.
    """
    if url:
        _migrate_postgres(url, revision)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".migrate.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _upgrade(_engine(path), revision)


def _upgrade(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
    finally:
        engine.dispose()


def _migrate_postgres(url: str, revision: str) -> None:
    with closing(PostgresConnection.open(url)) as lock:
        lock.execute(f"SELECT pg_advisory_lock({postgres.MIGRATION_LOCK})")
        for function in postgres.FUNCTIONS:
            lock.execute(function)
        engine = _engine(Path(), url).execution_options(immediate=True)
        _upgrade(engine, revision)
        for table, column, type_ in lock.execute(postgres.OTHER_COLLATIONS).fetchall():
            lock.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE {type_} COLLATE "C"')


def open_database(path: Path, url: str = "") -> Database:
    """Migrate and open application.db, or the PostgreSQL database ``url`` in its place."""
    migrate(path, url=url)
    return Database(path, url)

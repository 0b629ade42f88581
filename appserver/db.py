"""application.db: one SQLite file, many readers, one writer at a time.

Services use SQLModel sessions (:meth:`Database.reading`, :meth:`Database.writing`), the ingest and the balance use
plain ``sqlite3`` (:meth:`Database.rows`, :meth:`Database.transaction`). All of it is synchronous; a call of a web
handler that takes longer than a few milliseconds belongs into :meth:`Database.run`.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

P = ParamSpec("P")
T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 15_000

_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -8192",
    "PRAGMA temp_store = MEMORY",
)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # transactions are begun and ended by us, never by the driver
    connection.create_function("fold", 1, fold, deterministic=True)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


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


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        _prepare(connection)

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


class Database:
    """The application's database. Open it with :func:`open_database`, which brings the schema up to date first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine = _engine(path)
        self._writer_engine = self.engine.execution_options(immediate=True)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
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

    # --------------------------------------------------------------------------------------------------- plain sqlite

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's own plain connection, in autocommit."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, check_same_thread=False, cached_statements=256)
            _prepare(connection)
            self._local.connection = connection
            with self._opening:
                self._opened.append(connection)
        return connection

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several queries that see the same moment."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The write lock on this thread's plain connection: committed at the end, rolled back by an exception."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a worker thread."""
        return await asyncio.to_thread(function, *args, **kwargs)


def migrate(path: Path, revision: str = "head") -> None:
    """Bring the schema of ``path`` to ``revision``, making the file when there is none.

    Held under a lock file, so that two programs that start together do not both migrate.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".migrate.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        engine = _engine(path)
        try:
            with engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                connection.commit()
        finally:
            engine.dispose()


def open_database(path: Path) -> Database:
    """Migrate and open application.db."""
    migrate(path)
    return Database(path)

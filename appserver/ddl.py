"""What migrations say differently to SQLite and to PostgreSQL: triggers, and conditions of partial indexes."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import text

CHANGES = ("UPDATE", "DELETE")


def refuse_changes(table: str) -> None:
    """Make a table append-only: the database itself refuses to change or delete a row."""
    for verb in CHANGES:
        say = f"{table} is append-only: {verb} is refused"
        name = f"{table}_no_{verb.lower()}"
        if _is_postgres():
            _function(name, f"RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{say}';")
            op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        else:
            op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{say}'); END")


def after_insert(name: str, table: str, statement: str) -> None:
    """Run a statement for every row that comes into a table; it may say ``new.column``."""
    if _is_postgres():
        _function(name, f"{statement}; RETURN NULL;")
        op.execute(f"CREATE TRIGGER {name} AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
    else:
        op.execute(f"CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN {statement}; END")


def drop_trigger(name: str, table: str) -> None:
    """Undo :func:`after_insert`."""
    op.execute(f"DROP TRIGGER {name} ON {table}" if _is_postgres() else f"DROP TRIGGER {name}")


def only_where(condition: str) -> dict[str, Any]:
    """Arguments of an index over the rows that fulfil a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _function(name: str, body: str) -> None:
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")

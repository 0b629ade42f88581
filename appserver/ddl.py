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
        if is_postgres():
            _function(name, f"RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{say}';")
            op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        else:
            op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{say}'); END")


def refuse_updates_but(table: str, allowed: str) -> None:
    """The database refuses to change a row unless ``allowed``, which may say ``old.column`` and ``new.column``, holds."""
    name, say = f"{table}_no_update", f"{table} is append-only: UPDATE is refused"
    if is_postgres():
        refuse = f"RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{say}';"
        _function(name, f"IF NOT ({allowed}) THEN {refuse} END IF; RETURN NEW;")
        op.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
    else:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} WHEN NOT ({allowed})"
            f" BEGIN SELECT RAISE(ABORT, '{say}'); END"
        )


def after_insert(name: str, table: str, statement: str) -> None:
    """Run a statement for every row that comes into a table; it may say ``new.column``."""
    _after(name, table, "INSERT", statement)


def after_update(name: str, table: str, column: str, statement: str) -> None:
    """Run a statement for every row whose ``column`` is written anew."""
    _after(name, table, "UPDATE" if is_postgres() else f"UPDATE OF {column}", statement)


def after_change(name: str, table: str, verb: str, of_row: str, of_all: str) -> None:
    """Keep a count: ``of_row`` for every row on SQLite; on PostgreSQL ``of_all`` once, over the rows in ``changed``."""
    if not is_postgres():
        op.execute(f"CREATE TRIGGER {name} AFTER {verb} ON {table} BEGIN {of_row}; END")
        return
    _function(name, f"{of_all}; RETURN NULL;")
    rows = "NEW" if verb == "INSERT" else "OLD"
    op.execute(
        f"CREATE TRIGGER {name} AFTER {verb} ON {table} REFERENCING {rows} TABLE AS changed"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def drop_trigger(name: str, table: str) -> None:
    """Undo what made a trigger."""
    if is_postgres():
        op.execute(f"DROP TRIGGER {name} ON {table}")
        op.execute(f"DROP FUNCTION {name}()")
    else:
        op.execute(f"DROP TRIGGER {name}")


def only_where(condition: str) -> dict[str, Any]:
    """Arguments of an index over the rows that fulfil a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def is_postgres() -> bool:
    """Which of the two the migration runs on."""
    return op.get_bind().dialect.name == "postgresql"


def _after(name: str, table: str, event: str, statement: str) -> None:
    if is_postgres():
        _function(name, f"{statement}; RETURN NULL;")
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
    else:
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {statement}; END")


def _function(name: str, body: str) -> None:
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")

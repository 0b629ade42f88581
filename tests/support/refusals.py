"""A database that refuses, on either of the two: a full disk at will, and what append-only tables raise."""

from __future__ import annotations

import sqlite3

import psycopg

from appserver.db import Database

REFUSED = (sqlite3.IntegrityError, psycopg.errors.CheckViolation)
FAILED = (sqlite3.Error, psycopg.Error)


def fill_disk(db: Database, table: str, when: str = "") -> None:
    """From now on no row (for which ``NEW…`` holds) comes into a table: "disk full"."""
    condition = f"WHEN ({when})" if when else ""
    if not db.url:
        db.connection.execute(
            f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} {condition} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        return
    db.connection.execute(
        "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'disk full'; END $$"
    )
    db.connection.execute(
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION full_disk()"
    )


def empty_disk(db: Database, table: str) -> None:
    """Undo :func:`fill_disk`."""
    db.connection.execute("DROP TRIGGER full_disk" + (f" ON {table}" if db.url else ""))

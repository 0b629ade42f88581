"""Runs the migrations on the connection that ``appserver.db.migrate`` hands over."""

from typing import Any

from alembic import context
from sqlalchemy import BigInteger, Integer, Table, event
from sqlmodel import SQLModel

import appserver.models  # noqa: F401  (fills the metadata)


@event.listens_for(Table, "before_create")
def ids_are_wide(table: Table, connection: Any, **_: Any) -> None:
    """A SERIAL of four bytes would last a town of 100,000 meters for two years of hourly uplinks."""
    if connection.dialect.name == "postgresql":
        for column in table.primary_key:
            if isinstance(column.type, Integer):
                column.type = BigInteger()


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

"""The one table of meters, flats and modules: in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterwan.errors import Failure

if TYPE_CHECKING:
    from appserver.db import Database
    from appserver.exchange import ImportReport
    from internalapi.client import NetworkClient

SHOWN_ERRORS = 20


async def import_table(
    database: Database, network: NetworkClient, content: bytes, filename: str, dry_run: bool, now_us: int
) -> ImportReport:
    """Import a table, all of it or nothing. Raises Failure with one line for each wrong row."""
    from appserver.exchange import TableError, read_table, run

    try:
        table = read_table(content, filename)
    except TableError as error:
        raise Failure(f"{filename}: {error}") from None
    report = await run(database, network, table, dry_run, now_us)
    if report.errors:
        lines = [f"{filename}{f' row {error.row}' if error.row else ''}: {error.detail}" for error in report.errors]
        if len(lines) > SHOWN_ERRORS:
            lines[SHOWN_ERRORS:] = [f"… and {len(lines) - SHOWN_ERRORS} more errors"]
        raise Failure("\n".join(lines))
    return report

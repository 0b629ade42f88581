"""``meterwan registry``: every table of the registry, in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meterwan.commands.common import Config, DryRun, Set, group, say, settings
from meterwan.commands.metering import write_bytes
from meterwan.errors import Failure

book = group("All tables of the registry: an XLSX book with a sheet for each, or one table as CSV.")
Table = Annotated[str, typer.Option(help="The table of a CSV file: meters, seals, accounts …")]


@book.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="XLSX, or CSV with --table.")],
    table: Table = "",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Write what an import takes back."""
    from appserver.exchange.book_sheets import SHEETS
    from appserver.exchange.registry_book import export_book, export_csv
    from meterwan.application import opened

    if table and table not in SHEETS:
        raise Failure(f"--table {table}: there are {', '.join(SHEETS)}")
    with opened(settings(config, set_)) as database:
        write_bytes(file, export_csv(database, table) if table else export_book(database))


@book.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="XLSX with sheets of an export, or CSV with --table.")],
    table: Table = "",
    dry_run: DryRun = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Create and change everything that the tables name, or nothing."""
    from appserver.exchange import TableError
    from appserver.exchange.registry_book import import_book, read_book
    from appserver.registry import Note
    from meterwan.application import opened

    try:
        rows = read_book(file.read_bytes(), table)
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}") from None
    except TableError as error:
        raise Failure(f"{file}: {error}") from None
    with opened(settings(config, set_)) as database:
        report = import_book(database, rows, dry_run, Note("command line"))
    if report.errors:
        raise Failure("\n".join(f"{file.name} row {e.row}, {e.column}: {e.detail}" for e in report.errors[:20]))
    for done in ("created", "changed"):
        counts = ", ".join(f"{count} {name}" for name, count in getattr(report, done).items())
        say(f"{'would be ' if dry_run else ''}{done}: {counts or 'nothing'}")

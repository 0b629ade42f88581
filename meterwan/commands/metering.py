"""``meterwan meter`` and ``report``: the metering application from the command line."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from meterwan.commands.common import (
    Config,
    DryRun,
    Json,
    Network,
    Set,
    group,
    print_json,
    print_rows,
    say,
    settings,
    warn,
)
from meterwan.errors import Failure

if TYPE_CHECKING:
    from appserver.db import Database

meter = group("Meters with flats and modules: import, export.")


@meter.command("import")
def meter_import(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX with the columns of an export.")],
    dry_run: DryRun = False,
    config: Config = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Create and change everything a table names, or nothing."""
    from dataclasses import asdict

    from meterwan.application import now_us, opened
    from meterwan.metertable import import_table

    loaded = settings(config, set_)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}") from None
    with opened(loaded) as database, Network(loaded) as network:
        report = asdict(
            network.run(lambda client: import_table(database, client, content, file.name, dry_run, now_us()))
        )
    if json:
        print_json(report)
        return
    if dry_run:
        print_rows(report["changes"], ("row", "action", "kind", "what", "field", "before", "after"), False)
    verb = "would be " if dry_run else ""
    for done in ("created", "changed"):
        counts = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in report[done].items() if count)
        say(f"{verb}{done}: {counts or 'nothing'}")
    if report["ignored_columns"]:
        print(f"columns that are not ours: {', '.join(report['ignored_columns'])}", file=sys.stderr)
    warn(report["warnings"])


@meter.command("export")
def meter_export(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX by its ending; - is CSV on standard output.")],
    building: Annotated[int | None, typer.Option(help="Only this building's; its number.")] = None,
    language: Annotated[Literal["ru", "en"], typer.Option(help="Of the headings.")] = "ru",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Write the table that an import takes back, without keys."""
    from appserver.exchange import export_table
    from meterwan.application import opened

    loaded = settings(config, set_)
    with opened(loaded) as database, Network(loaded) as network:
        devices = {
            record.dev_eui: {"name": record.name, "profile": record.profile, "join_eui": record.join_eui}
            for record in network.all("devices")
        }
        kind: Literal["csv", "xlsx"] = "xlsx" if file.suffix.lower() == ".xlsx" else "csv"
        content = export_table(database, kind, building, language, devices)
    write_bytes(file, content)


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; ``-`` is standard output."""
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    temporary = file.with_name(f".{file.name}.new")
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def report(
    name: Annotated[str, typer.Argument(help="individual, house, balance or heat.")],
    building: Annotated[str, typer.Option(help="Its number, or a part of its address that no other has.")],
    period: Annotated[str, typer.Option(help="A month, 2026-10, or days, 2026-10-01..2026-10-15 (both included).")],
    form: Annotated[str, typer.Option("--format", help="xlsx, pdf, csv, html or json.")] = "xlsx",
    resource: Annotated[str, typer.Option(help="cold_water, hot_water …; needed when there are several.")] = "",
    step: Annotated[Literal["day", "month"], typer.Option(help="Periods of a balance.")] = "day",
    language: Annotated[Literal["ru", "en"], typer.Option(help="Of the statement.")] = "ru",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; - is standard output.")] = None,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Write a statement, the same bytes as the console's."""
    from appserver.errors import RegistryError
    from appserver.reports import FORMATS, make, render
    from meterwan.application import opened

    if form not in FORMATS:
        raise Failure(f"--format {form}: there are {', '.join(FORMATS)}")
    first, after = days_of(period)
    with opened(settings(config, set_)) as database:
        number = _building(database, building)
        try:
            statement = make(database, name, number, first, after, resource, step, language)
        except RegistryError as error:
            raise Failure(error.detail) from None
    target = output or Path(f"{name}-{number}-{period.replace('..', '_')}.{form}")
    write_bytes(target, render(statement, form))
    if str(target) != "-":
        say(str(target))


def days_of(period: str) -> tuple[date, date]:
    """First day, and the day after the last, of ``2026-10`` or ``2026-10-01..2026-10-15``. Raises Failure."""
    try:
        if ".." in period:
            begin, _, end = period.partition("..")
            first, last = date.fromisoformat(begin), date.fromisoformat(end)
            if first > last:
                raise Failure(f"--period {period}: it ends before it begins")
            return first, last + timedelta(days=1)
        first = date.fromisoformat(f"{period}-01")
    except ValueError:
        raise Failure(f"--period {period}: write it as 2026-10 or 2026-10-01..2026-10-15") from None
    return first, (first + timedelta(days=31)).replace(day=1)


def _building(database: Database, text: str) -> int:
    """The building with this number, or the only one whose address holds this text. Raises Failure."""
    buildings = [(int(number), str(address)) for number, address in database.rows("SELECT id, address FROM building")]
    if text.isdigit() and int(text) in dict(buildings):
        return int(text)
    found = [(number, address) for number, address in buildings if text.casefold() in address.casefold()]
    if len(found) == 1:
        return found[0][0]
    known = "; ".join(f"{number}: {address}" for number, address in (found or buildings)[:10])
    which = "several buildings have" if found else "no building has"
    raise Failure(f"{which} {text!r} in the address; there are {known or 'none'}")

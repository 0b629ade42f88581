"""``meterwan backup``, ``restore``, ``verify``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterwan.commands.common import Config, Json, Set, group, print_rows, say, settings
from meterwan.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterwan.backup import Progress
    from meterwan.settings import Loaded

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The backup, a folder.")]


def backup(
    target: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="New folder; by default backups/<time> in the data folder.")
    ] = None,
    with_kek: Annotated[bool, typer.Option("--with-kek", help="Also copy the key-encryption key.")] = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Copy all databases, also of a running server."""
    from meterwan.backup import back_up
    from meterwan.datadir import DataDir

    its = settings(config, set_).settings
    data = DataDir(its.data_dir)
    if its.database.url:
        print("the application's data are in PostgreSQL and not part of this backup: use pg_dump", file=sys.stderr)
    target = target or data.path / "backups" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with _progress() as progress:
        manifest = back_up(data, target, with_kek, progress)
    size = sum(file.get("bytes", 0) for file in manifest["files"].values())
    say(f"{target}: {', '.join(manifest['files'])}, {size / 1e6:.1f} MB")
    if with_kek:
        print("keep this folder secret: with its kek file it opens every device's keys", file=sys.stderr)
    else:
        print(
            f"without the key file the devices' keys cannot be read: keep a copy of {data.kek} elsewhere",
            file=sys.stderr,
        )


def verify(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="The backup, a folder; without it, the readings in use.")
    ] = None,
    json: Json = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Check a backup in a scratch folder, or the readings in use.

    Of a backup: checksums, SQLite's integrity check, the number of rows of every table, the readings. Of readings: the
    chain of daily seals and every row of every sealed day; what was changed is named with its day.
    """
    from dataclasses import asdict

    from meterwan.backup import verify

    if folder is None:
        _verify_readings(settings(config, set_), json)
        return
    findings = verify(folder)
    rows = [{**asdict(finding), "problem": finding.problem or "none"} for finding in findings]
    print_rows(rows, ("database", "rows", "problem"), json)
    if any(finding.problem for finding in findings):
        raise Failure(f"{folder} is damaged")


def _verify_readings(loaded: Loaded, json: bool) -> None:
    from appserver.metering.seals import verify as verify_seals
    from appserver.metering.seals import verify_file
    from meterwan.application import opened, url_without_password
    from meterwan.datadir import DataDir

    place = url_without_password(loaded.settings.database.url)
    if place:
        with opened(loaded) as database, database.snapshot() as connection:
            verdict = verify_seals(connection)
    else:
        file = DataDir(loaded.settings.data_dir).path / "application.db"
        place = str(file)
        if not file.exists():
            raise Failure(f"there is no {file}")
        found = verify_file(file)
        if found is None:
            raise Failure(f"{file} is of a version without seals; start the server once")
        verdict = found
    faults = [str(fault) for fault in verdict.faults]
    row = {
        "seals": verdict.seals,
        "rows": verdict.rows,
        "waiting": verdict.waiting,
        "root": verdict.root or "none",
        "problem": "; ".join(faults) or "none",
    }
    print_rows([row], tuple(row), json)
    if faults:
        raise Failure(f"{place}: {len(faults)} rows or days do not fit their seals")


def restore(
    folder: Folder,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Bring a backup back; the server is stopped.

    What was there before is kept beside it. Counters skip ahead at the next start.
    """
    from meterwan.backup import restore
    from meterwan.datadir import DataDir

    data = DataDir(settings(config, set_).settings.data_dir)
    with data.lock():
        old = restore(folder, data)
    say(f"{data.path}: restored from {folder}; counters skip ahead at the next start")
    if old:
        say(f"what was there before lies in {old}")


kek = group("The key-encryption key: change it.")


@kek.command()
def rotate(config: Config = None, set_: Set = None) -> None:
    """Seal all keys under a new key-encryption key; the server is stopped.

    Cut short, it is gone on with at the next start.
    """
    from meterwan.application import now_us
    from meterwan.datadir import DataDir
    from meterwan.rotation import rotate_kek

    data = DataDir(settings(config, set_).settings.data_dir)
    with data.lock(), data.role_lock("network"):
        sealed = rotate_kek(data, now_us())
    say(f"{data.kek}: a new key, {sealed} keys sealed under it")
    print("keep a copy of it apart from the backups; backups made before need the key of their time", file=sys.stderr)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A progress bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield show

"""Readings as files in a folder: another program puts a CSV there, it is taken, and lies in ``done`` or ``failed`` after.

Columns, in any order, separated by ``;``, ``,`` or a tab, in UTF-8 or CP1251: ``serial``, ``date`` (the building's clock, or
with an offset), ``value``; and if wanted ``register`` and ``kind`` (``archive`` or ``current``). A file with wrong rows goes to
``failed`` with a list of them beside it; its good rows are taken all the same, and dropping it again changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from appserver.db import Database
from appserver.metering.incoming import Incoming, Item, read_moment, read_value, take

log = structlog.get_logger("filedrop")

QUIET_S = 2.0
"""A file that changed more recently is still being written."""
EVERY_S = 10.0
MAX_BYTES = 64 << 20
DONE, FAILED = "done", "failed"
NAMES = {
    "serial": ("serial", "номер", "зав. №", "заводской номер", "№ пу", "номер пу"),
    "date": ("date", "measured_at", "дата", "дата и время", "время"),
    "value": ("value", "показание", "значение"),
    "register": ("register", "регистр"),
    "kind": ("kind", "вид"),
}
_HEADINGS = {heading: name for name, headings in NAMES.items() for heading in headings}
REQUIRED = ("serial", "date", "value")


def read_csv(data: bytes) -> tuple[list[tuple[int, Item]], list[tuple[int, str]]]:
    """Items with their line numbers, and what is wrong with the other lines. Raises ValueError for no such table."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1251", errors="replace")
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(";\t,", key=first.count))
    try:
        columns = [_HEADINGS.get(cell.strip().lower(), "") for cell in next(rows, [])]
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise ValueError(f"the first line names no column {', '.join(missing)}")
        items: list[tuple[int, Item]] = []
        errors: list[tuple[int, str]] = []
        for cells in rows:
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
            if not any(row.values()):
                continue
            try:
                items.append((rows.line_num, _item(row)))
            except ValueError as error:
                errors.append((rows.line_num, str(error)))
    except csv.Error as error:
        raise ValueError(f"it cannot be read as a table: {error}") from None
    return items, errors


def _item(row: dict[str, str]) -> Item:
    if not row.get("serial"):
        raise ValueError("the number of the meter is missing")
    kind = row.get("kind", "")
    if kind not in ("", "archive", "current"):
        raise ValueError(f"kind is {kind!r}; write archive or current")
    return Item(
        read_moment(row.get("date", "")),
        read_value(row.get("value", "")),
        serial=row["serial"],
        register_name=row.get("register", ""),
        archive=kind != "current",
    )


def take_file(db: Database, data: bytes, now_us: int, author: str) -> Incoming:
    """Take the readings of one file; errors carry line numbers. Raises ValueError for a file that is no table."""
    items, errors = read_csv(data)
    done = take(db, [item for _, item in items], "gprs", now_us, author)
    done.errors = sorted(errors + [(items[number][0], what) for number, what in done.errors])
    return done


def sweep(db: Database, folder: Path, now_us: int, now_s: float | None = None) -> list[Path]:
    """Take every finished ``*.csv`` of a folder; returns where the files went.

    The readings are committed before a file moves: cut short, the file is taken again and changes nothing.
    """
    moved = []
    now_s = time.time() if now_s is None else now_s
    for file in sorted(folder.glob("*.csv")):
        try:
            state = file.stat()
            if now_s - state.st_mtime < QUIET_S or not file.is_file():
                continue
            if state.st_size > MAX_BYTES:
                raise ValueError(f"it has {state.st_size} bytes; at most {MAX_BYTES} are read, split it")
            done = take_file(db, file.read_bytes(), now_us, f"file:{file.name}")
            problems = [f"line {line}: {what}" for line, what in done.errors]
        except ValueError as error:
            done, problems = Incoming(), [str(error)]
        except OSError as error:
            log.warning("file cannot be read; trying again", file=file.name, error=str(error))
            continue
        moved.append(_put_away(file, folder / (FAILED if problems else DONE), problems))
        log.info("file taken", file=file.name, new=done.new, known=done.known, wrong=len(problems))
    return moved


def _put_away(file: Path, folder: Path, problems: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    target = folder / file.name
    number = 1
    while target.exists():
        target = folder / f"{file.stem}.{number}{file.suffix}"
        number += 1
    if problems:
        target.with_name(target.name + ".errors.txt").write_text("\n".join(problems) + "\n", encoding="utf-8")
    return file.replace(target)


async def watch(db: Database, folder: Path, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Sweep the folder until ``stop``."""
    folder.mkdir(parents=True, exist_ok=True)
    while not stop.is_set():
        try:
            await db.run(sweep, db, folder, clock())
        except (sqlite3.Error, OSError) as error:
            log.warning("files cannot be taken; trying again", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)

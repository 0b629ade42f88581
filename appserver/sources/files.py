"""Readings as files in a folder: another program puts a CSV or XLSX there; taken, it lies in ``done`` or ``refused``.

A file with wrong rows goes to ``refused``; its good rows are taken all the same. A report lies beside each file. A file
that is still being written is left alone: one that somebody has open for writing, that changed a moment ago, or that is
named as unfinished (``.part``, ``.tmp``, a leading dot).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from appserver.db import ERRORS, Database
from appserver.errors import RegistryError
from appserver.metering.incoming import MAX_ERRORS
from appserver.sources.intake import Delivery, Receipt, deliver, digest_of
from appserver.sources.tables import read_readings

log = structlog.get_logger("filedrop")

QUIET_S = 2.0
"""A file that changed more recently may still be being written."""
EVERY_S = 10.0
MAX_BYTES = 50 << 20
SUFFIXES = (".csv", ".txt", ".xlsx")
DONE, REFUSED = "done", "refused"
REPORT = ".report.txt"
UNREADABLE: tuple[type[Exception], ...] = (*ERRORS, OSError)
"""What another look may do without."""


def is_finished(file: Path, now_s: float) -> bool:
    """Whether nobody writes to a file any more, as far as can be told. Raises OSError."""
    state = file.stat()
    if now_s - state.st_mtime < QUIET_S:
        return False
    descriptor = os.open(file, os.O_RDONLY)
    try:
        # A read lease is given only while nobody has the file open for writing.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False  # else: another owner's file, or a file system without leases; its age has to do
    finally:
        os.close(descriptor)
    return True


def waiting(folder: Path) -> list[Path]:
    """Files of a folder that are tables by their names, in the order of names."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith((".", "~")) and path.is_file()
    )


def sweep(db: Database, folder: Path, now_us: int, now_s: float | None = None) -> list[Path]:
    """Take every finished table of a folder; returns where the files went.

    The readings are committed before a file moves: cut short, the file is taken again and changes nothing.
    """
    moved = []
    now_s = time.time() if now_s is None else now_s
    for file in waiting(folder):
        try:
            if not is_finished(file, now_s):
                continue
            size = file.stat().st_size
            if size > MAX_BYTES:
                raise ValueError(f"it has {size} bytes; at most {MAX_BYTES} are read, split it")
            data = file.read_bytes()
            rows = read_readings(data)
            delivery = Delivery("file", f"file:{file.name}", rows, name=file.name, digest=digest_of(data))
            done = deliver(db, delivery, now_us)
            problems = [f"line {line}: {what}" for line, what in done.errors]
        except (ValueError, RegistryError) as error:
            done, problems = Receipt(None, 0, 0, []), [str(error)]
        except OSError as error:
            log.warning("file cannot be read; trying again", file=file.name, error=str(error))
            continue
        moved.append(_put_away(file, folder / (REFUSED if problems else DONE), done, problems))
        log.info("file taken", file=file.name, new=done.new, known=done.known, wrong=len(problems))
    return moved


def _put_away(file: Path, folder: Path, done: Receipt, problems: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    target = folder / file.name
    number = 1
    while target.exists():
        target = folder / f"{file.stem}.{number}{file.suffix}"
        number += 1
    lines = [f"new readings: {done.new}", f"known already: {done.known}", f"refused: {len(problems)}"]
    lines += problems[:MAX_ERRORS]
    if len(problems) > MAX_ERRORS:
        lines.append(f"… and {len(problems) - MAX_ERRORS} more")
    report = target.with_name(target.name + REPORT)
    unfinished = report.with_name("." + report.name)
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.replace(report)
    return file.replace(target)


async def watch(db: Database, folder: Path, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Sweep the folder until ``stop``."""
    folder.mkdir(parents=True, exist_ok=True)
    while not stop.is_set():
        try:
            await db.run(sweep, db, folder, clock())
        except UNREADABLE as error:
            log.warning("files cannot be taken; trying again", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)

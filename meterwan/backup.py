"""Backups: all databases of a running server as they were at one moment each, with a manifest to check them by.

A backup is a folder: the databases, ``manifest.json`` and, only when asked for, the key-encryption key. SQLite's own
backup interface copies a database while others write to it. The databases are copied in the order in which data flows
backwards (application first, network last), so that after a restore the network offers events again rather than the
application missing some. Frames move from the network's database to the months of the frame log, so these come after it:
what moved meanwhile is in both, and nothing in neither.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joinserver.file import epoch_of
from lns.store.embedded.journal import restores_of
from meterwan.datadir import DATABASES, FRAME_LOG, DataDir, is_database, sync_folder, write_secret
from meterwan.errors import Failure

MANIFEST = "manifest.json"
FORMAT = 1
ORDER = ("application.db", "join.db", "network.db")
PAGES_PER_STEP = 2048

Progress = Callable[[str, int, int], None]
"""Called with (database, pages done, pages in all)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of one database of a backup found."""

    database: str
    problem: str
    """Empty when all is well."""
    rows: int


def back_up(data: DataDir, target: Path, with_kek: bool, progress: Progress | None = None) -> dict[str, Any]:
    """Write a backup of ``data`` into the new folder ``target``; returns the manifest. Raises Failure."""
    if target.exists():
        raise Failure(f"{target} exists already; name a folder that does not")
    present = [name for name in ORDER if (data.path / name).exists()]
    if present:
        present += sorted(path.name for path in data.path.glob(FRAME_LOG))
    if not present:
        raise Failure(f"there is nothing to back up in {data.path}")
    if data.next_kek.exists():
        raise Failure("the key-encryption key is being changed; let that finish first: meterwan kek rotate, or a start")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": _version(),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "data_dir": str(data.path),
            "with_kek": with_kek,
            "files": {},
        }
        for name in present:
            _copy(data.path / name, unfinished / name, progress)
            manifest["files"][name] = describe(unfinished / name)
        if with_kek:
            write_secret(unfinished / "kek", data.read_kek())
            manifest["files"]["kek"] = {"sha256": sha256(unfinished / "kek")}
        _write_durably(unfinished / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        unfinished.replace(target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise Failure(f"the backup into {target} failed: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def verify(backup: Path) -> list[Finding]:
    """Check a backup by restoring it into a scratch folder: checksums, integrity, and the number of rows."""
    manifest = read_manifest(backup)
    findings = []
    with tempfile.TemporaryDirectory(prefix="meterwan-verify-") as folder:
        for name, expected in manifest["files"].items():
            if not is_database(name):
                problem = "" if sha256(backup / name) == expected["sha256"] else "its checksum differs"
                findings.append(Finding(name, problem, 0))
                continue
            if sha256(backup / name) != expected["sha256"]:
                findings.append(Finding(name, "its checksum differs from the manifest's", 0))
                continue
            scratch = Path(folder) / name
            shutil.copyfile(backup / name, scratch)
            try:
                found = describe(scratch)
            except sqlite3.Error as error:
                findings.append(Finding(name, str(error), 0))
                continue
            problem = _difference(found, expected)
            if not problem and name == "application.db":
                problem = broken_seals(scratch)
            findings.append(Finding(name, problem, sum(found["rows"].values())))
    return findings


def broken_seals(application_db: Path) -> str:
    """What in the readings does not fit the seals of their days; empty when all does, or when there are none yet."""
    from appserver.metering.seals import verify_file

    try:
        verdict = verify_file(application_db)
    except sqlite3.Error as error:
        return str(error)
    return "; ".join(map(str, verdict.faults)) if verdict is not None else ""


def restore(backup: Path, data: DataDir) -> Path | None:
    """Put a verified backup in place of a stopped server's databases; returns where the old ones went.

    The caller holds the folder's lock. Leaves a mark that makes counters skip ahead at the next start: what was sent
    after the backup is not known any more, and no counter may be used twice. Raises Failure.
    """
    problems = [f"{finding.database}: {finding.problem}" for finding in verify(backup) if finding.problem]
    if problems:
        raise Failure(f"{backup} is damaged and was not restored ({'; '.join(problems)})")
    manifest = read_manifest(backup)
    data.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    has_kek = "kek" in manifest["files"]
    if not has_kek and not data.kek.exists() and "join.db" in manifest["files"]:
        raise Failure(
            f"this backup has no key file; put the key-encryption key of that server at {data.kek} (mode 0600) first"
        )
    arriving = {name: data.path / f"{name}.restoring" for name in manifest["files"]}
    try:
        for name, temporary in arriving.items():
            shutil.copyfile(backup / name, temporary)
            temporary.chmod(0o600)
            _sync(temporary)
        _write_durably(data.unfinished_restore, f"{backup}\n".encode())
        # A second restore of this backup must not skip to where the first one did, so what was reached is kept.
        reached = max(data.replaced_epoch(), epoch_of(data.path / "join.db"))
        number = max(data.restore_number(), restores_of(data.path / "network.db")) + 1
        mark = {"made_at": manifest["made_at"], "replaced_epoch": reached, "number": number}
        _write_durably(data.restored, json.dumps(mark).encode() + b"\n")
        sync_folder(data.path)
        old = _set_aside(data, manifest)
        for name, temporary in arriving.items():
            temporary.replace(data.path / name)
        sync_folder(data.path)
        data.unfinished_restore.unlink()
    except OSError as error:
        raise Failure(f"the restore into {data.path} failed: {error}; run it again") from None
    finally:
        for temporary in arriving.values():
            temporary.unlink(missing_ok=True)
    return old


def read_manifest(backup: Path) -> dict[str, Any]:
    """The manifest of a backup. Raises Failure when there is none that this version understands."""
    try:
        manifest = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        known = manifest["format"] == FORMAT and all(
            (is_database(name) or name == "kek") and (backup / name).is_file() and "sha256" in files[name]
            for name in files
        )
    except OSError as error:
        raise Failure(f"{backup} is no backup: cannot read {MANIFEST} ({error.strerror})") from None
    except (ValueError, TypeError, KeyError):
        raise Failure(f"{backup / MANIFEST} is damaged") from None
    if not known:
        raise Failure(f"{backup} is incomplete, or was made by a newer version")
    return dict(manifest)


def describe(file: Path) -> dict[str, Any]:
    """Checksum, size and rows of every table of a database that nobody writes to. Raises sqlite3.Error if damaged."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"integrity check: {verdict}")
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
            )
        ]
        rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
    return {"sha256": sha256(file), "bytes": file.stat().st_size, "rows": rows}


def sha256(file: Path) -> str:
    """SHA-256 of a file's content in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _copy(source: Path, target: Path, progress: Progress | None) -> None:
    def step(_: int, remaining: int, total: int) -> None:
        if progress:
            progress(source.name, total - remaining, total)

    with closing(sqlite3.connect(source, timeout=30.0)) as live, closing(sqlite3.connect(target)) as copy:
        # One reading transaction around all steps: without it, every write of the server makes the copy start again.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        live.backup(copy, pages=PAGES_PER_STEP, progress=step, sleep=0.005)
        live.rollback()
        copy.execute("PRAGMA journal_mode = DELETE")
    target.chmod(0o600)
    _sync(target)


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    wrong = [
        f"{table} has {found['rows'].get(table, 'no')} rows, not {count}"
        for table, count in expected["rows"].items()
        if found["rows"].get(table) != count
    ]
    return "; ".join(wrong)


def _set_aside(data: DataDir, manifest: dict[str, Any]) -> Path | None:
    """Move the databases that would be covered into a folder beside them."""
    databases = [*DATABASES, *(path.name for path in data.path.glob(FRAME_LOG))]
    candidates = [name + suffix for name in databases for suffix in ("", "-wal", "-shm", "-journal")]
    names = [name for name in candidates if (data.path / name).exists()]
    if "kek" in manifest["files"] and data.kek.exists():
        names.append("kek")
    if not names:
        return None
    old = data.path / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    old.mkdir(mode=0o700)
    for name in names:
        (data.path / name).replace(old / name)
    return old


def _write_durably(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _sync(file)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version() -> str:
    from importlib.metadata import version

    return version("meterwan")

"""The folder of the user's own codecs: ``NAME.toml``, and a script beside it when the file names one.

What is in the folder is in the table of codecs; a file with a fault is not, and says why. Built-in names are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from appserver.codecs.base import Codec, Decoded
from appserver.codecs.declared import Record, RecordError, read_record, run_samples
from appserver.codecs.declared.faults import Fault
from appserver.codecs.declared.fields import Layout
from appserver.codecs.declared.record import MAX_SCRIPT, MAX_TEXT, script_name
from appserver.codecs.registry import BUILT_IN, CODECS
from appserver.codecs.sandbox import Sandbox

log = structlog.get_logger("codecs")

MAX_CODECS = 5000
LOOK_S = 10.0


@dataclass(frozen=True, slots=True)
class Broken:
    """A file of the folder that is no codec."""

    name: str
    reason: str


class Library:
    """The user's codecs. Reading and writing files, so call it from a worker thread."""

    def __init__(self, folder: Path, sandbox: Callable[[], Sandbox] = Sandbox) -> None:
        self.folder = folder
        self.broken: dict[str, Broken] = {}
        self.records: dict[str, Record] = {}
        self._codecs: dict[str, Codec] = {}
        self._make_sandbox = sandbox
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    def close(self) -> None:
        """Take the user's codecs out of the table and end the processes of scripts."""
        with self._lock:
            for name in list(self.records):
                self._forget(name)
            if self._sandbox is not None:
                self._sandbox.close()
                self._sandbox = None

    def load(self) -> None:
        """Read all files; what was there before and is gone now is forgotten."""
        with self._lock:
            self._seen = self._state()
            self.broken.clear()
            files = sorted(self.folder.glob("*.toml"))[:MAX_CODECS] if self.folder.is_dir() else []
            seen = set()
            for path in files:
                try:
                    text, script = read_files(path)
                    record = self._checked(text, script, path.name, path.stem)
                    self._enter(record)
                    seen.add(record.name)
                except (RecordError, OSError, UnicodeError) as error:
                    self.broken[path.stem] = Broken(path.stem, str(error))
                    log.warning("a codec's file is not taken", file=path.name, error=str(error)[:1000])
            for name in set(self.records) - seen:
                self._forget(name)

    def _state(self) -> dict[str, tuple[int, int]]:
        """Which files there are, when they were written and how long they are."""
        found = {}
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                if entry.name.endswith((".toml", ".js")):
                    stat = entry.stat()
                    found[entry.name] = (stat.st_mtime_ns, stat.st_size)
        return found

    def load_changed(self) -> bool:
        """Read the files again when somebody has changed them; whether that was so."""
        if self._state() == self._seen:
            return False
        self.load()
        return True

    def put(self, text: str, script: str | None = None) -> Record:
        """Check a codec, run its samples, write it and enter it. Raises RecordError."""
        with self._lock:
            record = self._checked(text, script, "codec.toml")
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{record.name}.toml"
            if not isinstance(record.body, Layout):
                self._refuse_foreign_script(record, record.body.file)
                _write(self.folder / record.body.file, script or "")
            _write(path, text)
            self.broken.pop(record.name, None)
            self._enter(record)
            self._seen = self._state()
            return record

    def check(self, text: str, script: str | None = None) -> Record:
        """Check a codec and run its samples, without writing it. Raises RecordError."""
        with self._lock:
            return self._checked(text, script, "codec.toml")

    def trial(self, record: Record, f_port: int, data: bytes, received_at_us: int) -> Decoded:
        """What a payload says by a codec that is not kept. Raises CodecError."""
        with self._lock:
            codec = self._codec(record)
        return codec.decode(f_port, data, received_at_us)

    def delete(self, name: str) -> bool:
        """Remove a codec and its script; False when there is none."""
        with self._lock:
            path = self.folder / f"{name}.toml"
            if name not in self.records and name not in self.broken:
                return False
            record = self.records.get(name)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            if record is not None and not isinstance(record.body, Layout):
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / record.body.file).unlink()
            self.broken.pop(name, None)
            self._forget(name)
            self._seen = self._state()
            return True

    def _checked(self, text: str, script: str | None, file: str, name: str = "") -> Record:
        record = read_record(text, file, script)
        if record.name in BUILT_IN:
            raise RecordError(file, [Fault(1, "name", f'"{record.name}" is a codec of the program; take another name')])
        if name and record.name != name:
            raise RecordError(file, [Fault(1, "name", f'is "{record.name}", so the file must be {record.name}.toml')])
        faults = run_samples(record.samples, self._codec(record))
        if faults:
            raise RecordError(file, [Fault(1, "test", fault) for fault in faults])
        return record

    def _codec(self, record: Record) -> Codec:
        if isinstance(record.body, Layout):
            return record.codec()
        if self._sandbox is None:
            self._sandbox = self._make_sandbox()
            self._sandbox.start()
        return record.codec(self._sandbox)

    def _refuse_foreign_script(self, record: Record, file: str) -> None:
        for other in self.records.values():
            if other.name != record.name and not isinstance(other.body, Layout) and other.body.file == file:
                text = f"{file} belongs to the codec {other.name}; give the script another name"
                raise RecordError("codec.toml", [Fault(1, "script", text)])

    def _enter(self, record: Record) -> None:
        self.records[record.name] = record
        self._codecs[record.name] = CODECS[record.name] = self._codec(record)

    def _forget(self, name: str) -> None:
        self.records.pop(name, None)
        codec = self._codecs.pop(name, None)
        if codec is not None and CODECS.get(name) is codec:
            del CODECS[name]


def read_files(path: Path) -> tuple[str, str | None]:
    """A codec's file and the script it names, if it is there. Raises OSError, UnicodeError, RecordError when too long."""
    if path.stat().st_size > MAX_TEXT:
        raise RecordError(path.name, [Fault(1, "the file", f"is longer than {MAX_TEXT // 1024} KiB")])
    text = path.read_text("utf-8")
    name = script_name(text)
    file = path.parent / name
    if not name or not file.is_file():
        return text, None
    if file.stat().st_size > MAX_SCRIPT:
        raise RecordError(
            path.name, [Fault(1, "script", f"names {name}, which is longer than {MAX_SCRIPT // 1024} KiB")]
        )
    return text, file.read_text("utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file so that it is whole at every moment."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


async def watch(library: Library, stop: asyncio.Event) -> None:
    """Read the folder again whenever somebody has changed it, until ``stop``."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)
            return
        if await asyncio.to_thread(library.load_changed):
            log.info("codecs are read again", codecs=len(library.records), broken=sorted(library.broken))

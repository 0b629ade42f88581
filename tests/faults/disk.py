"""A disk that loses what was not synced, fills up, and fails: a layer under SQLite, in this process.

SQLite reaches its files through a table of functions (https://www.sqlite.org/vfs.html). :class:`Disk` registers a copy of
the default table whose ``xOpen`` puts a copy of the file's own table in place, with ``xWrite``, ``xTruncate`` and
``xSync`` of its own. So every write and every sync of every database in the folder is seen, whoever makes it and whatever
``PRAGMA synchronous`` says: what counts as durable is what was really synced.
"""

from __future__ import annotations

import _sqlite3
import ctypes as c
import random
from collections.abc import Callable
from pathlib import Path

FULL, IOERR_WRITE, IOERR_FSYNC = 13, 10 | 3 << 8, 10 | 4 << 8
SECTOR = 512

_Open = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_int, c.POINTER(c.c_int))
_Delete = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, c.c_int)
_Write = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.c_int64)
_Truncate = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int64)
_Sync = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int)


class _Methods(c.Structure):
    _fields_ = (
        ("iVersion", c.c_int),
        ("xClose", c.c_void_p),
        ("xRead", c.c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        ("rest", c.c_void_p * 13),
    )


class _File(c.Structure):
    _fields_ = (("pMethods", c.POINTER(_Methods)),)


class _Vfs(c.Structure):
    _fields_ = (
        ("iVersion", c.c_int),
        ("szOsFile", c.c_int),
        ("mxPathname", c.c_int),
        ("pNext", c.c_void_p),
        ("zName", c.c_char_p),
        ("pAppData", c.c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        ("rest", c.c_void_p * 16),
    )


class _Image:
    """One file: what is safe, and what was written since."""

    __slots__ = ("pending", "synced")

    def __init__(self, content: bytes) -> None:
        self.synced = bytearray(content)
        self.pending: list[tuple[int, bytes | None]] = []
        """(offset, bytes), or (size, None) for a truncation."""

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, *change)
        self.pending.clear()

    def survives(self, rng: random.Random | None) -> bytes:
        """The file after a crash: of a process (None: the kernel keeps all), or of the power."""
        content = bytearray(self.synced)
        for at, data in self.pending:
            if rng is None:
                _apply(content, at, data)
            elif data is not None and rng.random() < 0.3:
                # Unsynced writes reach the platter in any order, or not, sector by sector.
                kept = rng.randrange(0, len(data) + SECTOR, SECTOR)
                _apply(content, at, data[:kept])
        return bytes(content)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        return
    if at > len(content):
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


class Disk:
    """The files below ``folder``. Use as a context manager: within, all SQLite connections of this process go through it.

    Numbered faults count calls from now: ``0`` hits the next one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = str(folder.resolve()).encode()
        self._images: dict[bytes, _Image] = {}
        self._open: dict[int, _Image] = {}
        self._tables: dict[int, _Methods] = {}
        self._library = c.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = c.POINTER(_Vfs)
        self.writes = self.syncs = 0
        self.full = False
        self.full_after: int | None = None
        """So many more writes succeed; then it is full until :meth:`make_room`."""
        self.fail_sync = False
        """The next sync fails, once."""
        self.crash_after: int | None = None
        """The machine (or process) stops at this write or sync: :attr:`wreck` then holds the files as they were."""
        self.wreck: dict[bytes, bytes] | None = None
        self.on_crash: Callable[[], random.Random | None] = lambda: None
        """Whether the power goes (a source of chance) or the process only (None)."""

    def __enter__(self) -> Disk:
        self._default = self._library.sqlite3_vfs_find(None)
        self._address = c.cast(self._default, c.c_void_p).value
        vfs = self._vfs = _Vfs.from_buffer_copy(self._default.contents)
        vfs.zName, vfs.pNext = b"faults", None
        self._default_open, self._default_delete = self._default.contents.xOpen, self._default.contents.xDelete
        vfs.xOpen, vfs.xDelete = _Open(self._x_open), _Delete(self._x_delete)
        self._library.sqlite3_vfs_register(c.byref(vfs), 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._library.sqlite3_vfs_unregister(c.byref(self._vfs))
        self._library.sqlite3_vfs_register(self._default, 1)

    # ------------------------------------------------------------------------------------------------- faults

    def make_room(self) -> None:
        self.full, self.full_after = False, None

    def copy(self) -> dict[bytes, bytes]:
        """All files as another process would see them now."""
        return {path: image.survives(None) for path, image in self._images.items()}

    def crash(self, power: random.Random | None) -> dict[bytes, bytes]:
        """All files as they are found after a crash now, or after the one that has happened."""
        if self.wreck is None:
            self._stop(power)
        wreck, self.wreck, self.crash_after = self.wreck, None, None
        assert wreck is not None
        return wreck

    def put_back(self, files: dict[bytes, bytes]) -> None:
        """Make the folder hold these files and no others. No connection may be open."""
        self._open.clear()
        self._images = {path: _Image(content) for path, content in files.items()}
        self.make_room()
        self.fail_sync = False
        for path in self.folder.iterdir():
            path.unlink()
        for name, content in files.items():
            Path(name.decode()).write_bytes(content)

    def _stop(self, power: random.Random | None) -> None:
        self.wreck = {path: image.survives(power) for path, image in self._images.items()}

    # ----------------------------------------------------------------------------------------- what SQLite calls

    def _x_open(self, vfs: int, name: int | None, file: int, flags: int, out: object) -> int:
        # The pointer itself goes on: SQLite keeps it, and names further files after it.
        text = c.string_at(name) if name else b""
        path = text if text.startswith(self._prefix) else None
        if path is not None and path not in self._images:
            there = Path(path.decode())
            self._images[path] = _Image(there.read_bytes() if there.exists() else b"")
        result: int = self._default_open(self._address, name, file, flags, out)
        if result == 0 and path is not None:
            opened = _File.from_address(file)
            if opened.pMethods:
                self._open[file] = self._images[path]
                opened.pMethods = c.pointer(self._table(opened.pMethods))
        return result

    def _table(self, pointer: c._Pointer[_Methods]) -> _Methods:
        """The file's own functions with three of ours in between."""
        at = c.addressof(pointer.contents)
        table = self._tables.get(at)
        if table is None:
            original = pointer.contents
            table = self._tables[at] = _Methods.from_buffer_copy(original)
            write, truncate, sync = original.xWrite, original.xTruncate, original.xSync
            table.xWrite = _Write(lambda file, data, size, offset: self._x_write(write, file, data, size, offset))
            table.xTruncate = _Truncate(lambda file, size: self._x_truncate(truncate, file, size))
            table.xSync = _Sync(lambda file, flags: self._x_sync(sync, file, flags))
        return table

    def _x_delete(self, vfs: int, name: bytes, sync_folder: int) -> int:
        self._images.pop(name, None)
        result: int = self._default_delete(self._address, name, sync_folder)
        return result

    def _x_write(self, write: Callable[..., int], file: int, data: int, size: int, offset: int) -> int:
        self.writes += 1
        if self._is_dead():
            return IOERR_WRITE
        if self.full_after is not None:
            self.full_after -= 1
            self.full = self.full or self.full_after < 0
        if self.full:
            return FULL
        image = self._open.get(file)
        if image is not None:
            image.pending.append((offset, c.string_at(data, size)))
        return write(file, data, size, offset)

    def _x_truncate(self, truncate: Callable[..., int], file: int, size: int) -> int:
        image = self._open.get(file)
        if image is not None:
            image.pending.append((size, None))
        return truncate(file, size)

    def _x_sync(self, sync: Callable[..., int], file: int, flags: int) -> int:
        self.syncs += 1
        if self._is_dead():
            return IOERR_FSYNC
        if self.fail_sync:
            self.fail_sync = False
            return IOERR_FSYNC
        image = self._open.get(file)
        if image is not None:
            image.sync()
        return 0  # the real file is a stage prop: nobody pulls the plug of this machine

    def _is_dead(self) -> bool:
        """Whether the crash has come; what is called afterwards happens in no world."""
        if self.wreck is None and self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self._stop(self.on_crash())
        return self.wreck is not None

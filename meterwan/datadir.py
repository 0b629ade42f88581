"""The data folder: its files, its secrets, and the locks that let only one server write there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import time
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType

from meterwan.errors import Failure

KEK_BYTES = 32
DATABASES = ("network.db", "join.db", "application.db")
FRAME_LOG = "frames-????-??.db"
"""The months of the frame log: as many as there are."""


def is_database(name: str) -> bool:
    """Whether a file of a data folder or a backup is one of our databases."""
    return name in DATABASES or fnmatchcase(name, FRAME_LOG)


class DataDir:
    """Paths of one data folder and the few things that may be done to it as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.run = self.path / "run"
        self.kek = self.path / "kek"
        self.next_kek = self.path / "kek.next"
        """Present while the key-encryption key is being changed."""
        self.token = self.path / "internal.token"
        self.restored = self.path / "restored"
        """Present after a restore until the next start: stores then skip their counters ahead."""
        self.unfinished_restore = self.path / "restore.unfinished"

    def create(self) -> None:
        """Make the folder and its secrets unless they exist. Raises Failure when that is not possible."""
        self._make_folders()
        if self.unfinished_restore.exists():
            source = self.unfinished_restore.read_text().strip()
            raise Failure(f"a restore into {self.path} was cut short; finish it: meterwan restore {source}")
        if not self.kek.exists():
            self._refuse_a_new_key_beside_old_data()
            write_secret(self.kek, secrets.token_bytes(KEK_BYTES))
        if not self.token.exists():
            write_secret(self.token, secrets.token_urlsafe(32).encode())
        self.read_kek()

    def _make_folders(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make the data folder {self.path}: {error.strerror}") from None

    def _refuse_a_new_key_beside_old_data(self) -> None:
        if (self.path / "join.db").exists():
            raise Failure(
                f"{self.kek} is missing, but {self.path / 'join.db'} holds keys wrapped under it; "
                "put the key file back from where you keep it (a backup does not contain it unless asked)"
            )

    def read_kek(self, file: Path | None = None) -> bytes:
        """The key-encryption key. Raises Failure when it is missing, damaged, a placeholder, or readable by others."""
        file = file or self.kek
        kek = self._read_secret(file)
        if len(kek) != KEK_BYTES or len(set(kek)) < 8:
            raise Failure(f"{file} must hold {KEK_BYTES} random bytes; it does not. Put the right file back")
        return kek

    def replaced_epoch(self) -> int:
        """Epoch of the ``join.db`` that restores since the last start have replaced; 0 when there was none."""
        try:
            return int(json.loads(self.restored.read_text())["replaced_epoch"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0

    def restore_number(self) -> int:
        """Which restore of this folder the next start is after; 0 when it is after none."""
        try:
            return int(json.loads(self.restored.read_text())["number"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, TypeError, KeyError):
            return 1

    def read_token(self) -> str:
        """The token of the internal API. Raises Failure when it is missing or readable by others."""
        token = self._read_secret(self.token).decode("ascii", "replace").strip()
        if len(token) < 32:
            raise Failure(f"{self.token} is too short to be a token; remove it, the next start makes a new one")
        return token

    def _read_secret(self, file: Path) -> bytes:
        try:
            with file.open("rb") as secret:
                if os.fstat(secret.fileno()).st_mode & 0o077:
                    raise Failure(f"{file} can be read by others; say: chmod 600 '{file}'")
                return secret.read()
        except OSError as error:
            raise Failure(f"cannot read {file}: {error.strerror}") from None

    def lock(self) -> Lock:
        """The lock of a whole server, also taken by commands that need the server stopped."""
        self._make_folders()
        return Lock(self.run / "server.lock", f"the data folder {self.path} is in use by another MeterWAN server")

    def role_lock(self, role: str) -> Lock:
        """The lock of one process: an orphan of a killed server and its successor never write together."""
        self._make_folders()
        return Lock(self.run / f"{role}.lock", f"another {role} process still works in {self.path}")

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"


def write_secret(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as secret:
        secret.write(content)
        secret.flush()
        os.fsync(secret.fileno())
    temporary.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """An exclusive lock that the kernel releases when its process ends, however it ends."""

    def __init__(self, file: Path, refusal: str) -> None:
        self._file = file
        self._refusal = refusal
        self._descriptor: int | None = None

    def acquire(self, wait_s: float = 0.0) -> Lock:
        """Take the lock, waiting up to ``wait_s``. Raises Failure that names the folder and the holder's pid."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    os.close(descriptor)
                    raise Failure(f"cannot lock {self._file}: {error.strerror}") from None
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                    os.close(descriptor)
                    raise Failure(f"{self._refusal} (pid {holder}); stop it first") from None
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Lock:
        return self if self._descriptor is not None else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

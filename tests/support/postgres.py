"""A real PostgreSQL server on a free port of this machine, in a folder of its own.

PostgreSQL refuses to run as root, so for root it runs as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.support.ports import free_port
from tests.support.scratch import scratch

DEBIAN = Path("/usr/lib/postgresql")
START_S = 60.0


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs: of the newest version that Debian has installed, else from the PATH."""
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))])
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} of PostgreSQL is not installed: apt-get install postgresql")
    return path


class PostgresServer:
    """A server until :meth:`stop`; a folder that is given stays, with its databases."""

    def __init__(self, folder: Path | None = None, durable: bool = False, **settings: str) -> None:
        self._temporary = folder is None
        self.folder = (
            Path(tempfile.mkdtemp(prefix="meterwan-pg-", dir=None if durable else scratch()))
            if folder is None
            else folder
        )
        self._user = self._another_user()
        self.port = free_port()
        self.url = f"postgresql://meterwan@127.0.0.1:{self.port}/postgres"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data = self.folder / "data"
        if self._user:
            os.chmod(self.folder, 0o755)
            if not self._data.exists():
                os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        if not (self._data / "PG_VERSION").exists():
            self._run(
                program("initdb"), "-D", str(self._data), "-U", "meterwan", "-A", "trust", "--locale=C", "-E", "UTF8",
                *(() if durable else ("--no-sync",)),
            )  # fmt: skip
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        if not durable:
            options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", str(self._data), *_options(options | settings)],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as_user(),
            )
        self._wait()

    def create(self, name: str, template: str = "template1") -> str:
        """A fresh database; returns its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url_of(self, name: str) -> str:
        return self.url.rpartition("/")[0] + f"/{name}"

    def exists(self, name: str) -> bool:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None

    def stop(self) -> None:
        """End it at once; a temporary folder goes."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _another_user() -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        return names.get("postgres") or names["nobody"]

    def _as_user(self) -> dict[str, object]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self._as_user())
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(
                        f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}"
                    ) from None
                time.sleep(0.05)


def _options(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

"""A real Mosquitto on a free port, with its store in a folder: it may be killed and started again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port

PROGRAM = "/usr/sbin/mosquitto"


class Broker:
    """Start it as a context; :meth:`stop` and :meth:`start` within."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None, user: tuple[str, str] | None = None) -> None:
        """``tls``: certificate and key of the broker; ``user``: the only one it lets in, with the password."""
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # Started by root it would become another user, who may not write here; anybody else stays who they are.
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\n{_tls(tls)}{_user(user, folder)}persistence true\n"
            f"persistence_location {folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nlog_type error\nlog_type warning\n"
        )
        self._scheme = "mqtts" if tls else "mqtt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)])
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "mosquitto does not start"
            assert time.monotonic() < until, "mosquitto does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


def _tls(tls: tuple[Path, Path] | None) -> str:
    return f"certfile {tls[0]}\nkeyfile {tls[1]}\n" if tls else ""


def _user(user: tuple[str, str] | None, folder: Path) -> str:
    if user is None:
        return "allow_anonymous true\n"
    subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "passwords", *user], check=True, capture_output=True)
    return f"allow_anonymous false\npassword_file {folder}/passwords\n"


@contextlib.contextmanager
def mosquitto(
    folder: Path, tls: tuple[Path, Path] | None = None, user: tuple[str, str] | None = None
) -> Iterator[Broker]:
    folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(folder, tls, user)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()

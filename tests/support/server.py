"""A whole server under test: ``meterwan serve`` in a folder of its own, spoken to over UDP and HTTP only."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorasim import house
from lorasim.scenario import Scenario

from tests.support.program import WITHIN_S, Program, make_program, wait_for

PARTS = ("network", "application")


class Server:
    """Starts, stops, kills, and asks over HTTP with a token."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: Any = None
        self._token = ""

    @property
    def udp(self) -> tuple[str, int]:
        host, port = self.program.udp.split(":")
        return host, int(port)

    @property
    def url(self) -> str:
        return f"http://{self.program.http}"

    def start(self) -> None:
        self._process = self.program.start("serve", *self.program.settings)
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_for(self.program, self._process, PARTS)

    def stop(self) -> int:
        """SIGTERM, as an operator or systemd does it; returns the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return int(self._process.wait(20))

    def kill_supervisor(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def pid(self, part: str) -> int | None:
        """The process that serves a part now, None while there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.program.data / "run" / f"{part}.pid").read_text())
            os.kill(pid, 0)
            return pid
        return None

    def is_well(self, part: str) -> bool:
        """True when this process answers that it serves."""
        address = self.program.metrics if part == "network" else self.program.http
        try:
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def kill(self, part: str) -> bool:
        """``kill -9`` one process; False when it was not there to be killed."""
        pid = self.pid(part)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def token(self) -> str:
        if not self._token:
            result = self.program.run("token", "create", "--role", "admin", "--name", "tests")
            assert result.code == 0, result.err
            self._token = result.out.split()[-1]
        return self._token

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One API call; returns the parsed JSON. Raises AssertionError with the problem document otherwise."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else None

    def every(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        separator = "&" if "?" in path else "?"
        cursor = ""
        while cursor is not None:
            page = self.ask("GET", f"{path}{separator}limit=1000" + (f"&cursor={cursor}" if cursor else ""))
            yield from page["items"]
            cursor = page["next_cursor"]

    def add_gateways(self, scenario: Scenario) -> None:
        for row in house.gateway_rows(scenario):
            self.ask("POST", "/gateways", {"gateway_eui": row["gateway_eui"], "name": row["name"]})

    def import_house(self, scenario: Scenario) -> None:
        """Register the house as an operator does: with the one table of meters."""
        rows = house.import_rows(scenario)
        path = Path(self.program.folder) / "house.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        result = self.program.run("meter", "import", str(path))
        assert result.code == 0, result.out + result.err


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A started server; it is stopped, and must end well, at the end."""
    server = Server(make_program(folder))
    try:
        server.start()
        yield server
        assert server.stop() == 0, server.program.output()
    finally:
        server.kill_supervisor()


def wait_until(condition: Any, within_s: float, what: str) -> None:
    """Poll a condition of another process that is to come true some time: ``within_s`` is of a machine with nothing else to do."""
    deadline = time.monotonic() + max(within_s, WITHIN_S)
    while not condition():
        assert time.monotonic() < deadline, f"not within {max(within_s, WITHIN_S):g} s: {what}"
        time.sleep(0.2)

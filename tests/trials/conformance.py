"""The whole conformance run against the built server: RU864 with several seeds, stations with TLS and tokens, other regions.

python -m tests.trials.conformance [--seeds 3] [--only US915]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorasim.conformance import command

from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.program import Program, make_program
from tests.support.server import Server


@dataclass(frozen=True)
class Trial:
    name: str
    region: str = "RU864"
    channels: str = "864"
    seed: int = 1
    stations: bool = False

    @property
    def good(self) -> set[str]:
        """A station does by itself, or does not forward, what some cases are about."""
        return {"pass", "not supported", "not provoked"} if self.stations else {"pass"}


OTHERS = [
    Trial("stations", stations=True),
    Trial("EU868", "EU868", "867"),
    Trial("US915", "US915", "2"),
    Trial("AU915", "AU915", "2"),
]


@dataclass
class Laid(Program):
    """A server laid out for a trial."""

    more: tuple[str, ...] = ()

    @property
    def settings(self) -> list[str]:
        return [*super().settings, *(word for setting in self.more for word in ("--set", setting))]


@contextlib.contextmanager
def laid_out(trial: Trial, folder: Path) -> Iterator[tuple[Server, list[str]]]:
    """A running server, and the words with which the run finds its way."""
    plain = make_program(folder / "server")
    more, words = [f"region={trial.region}", f"network.channels={trial.channels}"], []
    if trial.stations:
        authority, port = Authority(folder), free_port(socket.SOCK_STREAM)
        pem = authority.issue("lns.example.com")
        station = {
            "listen": f"127.0.0.1:{port}",
            "certificate": pem.certificate,
            "private_key": pem.private_key,
            "trust": authority.certificate,
            "open_to": "nobody",
        }
        more += [f"gateways.basicstation.{name}={value}" for name, value in station.items()]
        words = ["--station", f"wss://127.0.0.1:{port}", "--station-trust", str(authority.certificate)]
    server = Server(Laid(plain.folder, plain.http, plain.udp, plain.metrics, tuple(more)))
    try:
        server.start()
        yield server, words
        assert server.stop() == 0, server.program.output()
    finally:
        server.kill_supervisor()


def play(trial: Trial, folder: Path) -> list[str]:
    """What is not good."""
    with laid_out(trial, folder) as (server, words):
        os.environ[command.TOKEN] = server.token()
        words += ["--server", server.program.udp, "--api", server.url, "--seed", str(trial.seed), "--json"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = command.main([*words, "--region", trial.region, "--preset", trial.channels])
    if code == 2:
        return ["the run could not begin"]
    cases = json.loads(out.getvalue())["cases"]
    counts = Counter(one["verdict"] for one in cases)
    print(f"{trial.name}: {', '.join(f'{n} {verdict}' for verdict, n in counts.most_common())}", flush=True)
    return [f"{one['name']}: {one['reason']}" for one in cases if one["verdict"] not in trial.good]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="trials whose name begins so")
    arguments = parser.parse_args()
    bad = 0
    for trial in [*(Trial(f"RU864 seed {n}", seed=n) for n in range(1, arguments.seeds + 1)), *OTHERS]:
        if not trial.name.startswith(arguments.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for line in play(trial, Path(folder)):
                bad += 1
                print(f"    {line}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

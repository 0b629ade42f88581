"""The lab against the built server as a laboratory uses it: a scenario with assertions, a webhook, a verdict, an exit code.

While it runs, both processes are killed with SIGKILL; all must hold nevertheless.
"""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from lorasim import checker, course, scenario, sink
from lorasim.__main__ import main

from tests.support.ports import free_port
from tests.support.program import Program, make_program
from tests.support.server import Server

SECONDS = 20
SCENARIO = """
name = "verdict"
title = "A house under a server that dies twice"
region = "RU864"
preset = "default"
seed = 11

[clock]
days = 8
speed = 60000
lead_in_s = 7
zone = "Asia/Yekaterinburg"

[radio]
loss = 0.03
half_duplex = false

[backhaul]
delay_ms = 5
jitter_ms = 10
duplicate = 0.02

[[gateways]]
eui = "0016c001ff1e5a01"
name = "roof"

[[gateways]]
eui = "0016c001ff1e5a02"
name = "district"
forwarder = "1301"

[house]
organisation = "УК «Проверка»"
address = "г. Сатка, ул. Проверочная, д. 1"
flats = 6
entrances = 1
confirmed_devices = 4
deaf_devices = 1
join_spread_s = 5
report_spread_h = 20

[[assert]]
that = "joins.share == 1"

[[assert]]
that = "uplinks >= 60"
of = "house"

[[assert]]
that = "delivery >= 60 %"
note = "two kills, each of which costs a second or two of frames that are not acknowledged"

[[assert]]
that = "lost_acknowledged == 0"

[[assert]]
that = "duplicates == 0"

[[assert]]
that = "downlinks.heard >= 15"

[[assert]]
that = "downlinks.refused == 0"

[[assert]]
that = "latency.downlink.p99_ms <= 1000"
"""


class Open(Program):
    """A server that may call this machine."""

    @property
    def settings(self) -> list[str]:
        return [*super().settings, "--set", 'application.webhook_allow=["127.0.0.1"]']


def kill_both(server: Server) -> list[bool]:
    killed = []
    for part in ("network", "application"):
        time.sleep(6)
        killed.append(server.kill(part))
    return killed


@pytest.mark.slow
def test_all_holds_though_the_server_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = make_program(tmp_path / "server")
    server = Server(Open(plain.folder, plain.http, plain.udp, plain.metrics))
    path, events = tmp_path / "verdict.toml", tmp_path / "events.jsonl"
    path.write_text(SCENARIO, encoding="utf-8")
    plan = scenario.parse(SCENARIO)
    url = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}/"
    server.start()
    try:
        server.add_gateways(plan)
        server.import_house(plan)
        server.ask("POST", "/integrations", {"name": "lab", "url": url})
        killed: list[bool] = []
        killer = threading.Thread(target=lambda: killed.extend(kill_both(server)))
        killer.start()
        where = ["--server", server.program.udp, "--recording", str(tmp_path / "run.jsonl"), "--duration", str(SECONDS)]
        what = ["--sink", url, "--events", str(events), "--settle", "6", "--check"]
        files = ["--report", str(tmp_path / "report.html"), "--junit", str(tmp_path / "junit.xml")]
        code = main([str(path), *where, *what, *files])
        killer.join()
    finally:
        server.kill_supervisor()
    out, err = capsys.readouterr()
    assert killed == [True, True]
    assert code == 0, out + err
    assert "BROKEN" not in out and "checker: no invariant is broken" in out
    assert 'failures="0"' in (tmp_path / "junit.xml").read_text("utf-8")
    assert "all assertions hold" in (tmp_path / "report.html").read_text("utf-8")

    told = course.follow(course.lines_of(tmp_path / "run.jsonl"), sink.read(events))
    promised = [frame for frame in told.frames if frame.payload and frame.promised_us is not None]
    assert len(promised) > 50 and all(frame.events == 1 for frame in promised)

    # the same run, judged again, with one event that somebody took away
    lines = events.read_text("utf-8").splitlines(keepends=True)
    [address] = {frame.dev_addr for frame in promised[-1:]}
    taken = [line for line in lines if f'"{address}"' not in line]
    events.write_text("".join(taken), encoding="utf-8")
    assert main(["check", str(tmp_path / "run.jsonl"), "--events", str(events)]) == 1
    assert "lost acknowledged (INV-21) seed 11, 3 lines are enough" in capsys.readouterr().out
    assert len(checker.acknowledged(checker.read(tmp_path / "run.jsonl"))) >= len(promised)

"""The demo: fills a house, ends cleanly, starts afresh, and touches nothing that is not its own."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from importlib import resources
from pathlib import Path

from tests.support.program import Program, make_program

WITHIN_S = 60.0


def until(condition: Callable[[], object], program: Program, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}\n{program.output()}"
        time.sleep(0.05)


def pids(program: Program) -> list[int]:
    return [int(file.read_text()) for file in (program.data / "run").glob("*.pid") if file.stem != "server"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_demo_fills_a_house_ends_cleanly_and_starts_again(tmp_path: Path) -> None:
    program = make_program(tmp_path / "a folder")
    satka = (resources.files("lorasim") / "scenarios" / "satka.toml").read_text()
    small = satka.replace("flats = 60", "flats = 4\njoin_spread_s = 1.0").replace("lead_in_s = 24", "lead_in_s = 8")
    (program.folder / "small.toml").write_text(small)
    for turn in (1, 2):
        process = program.start("demo", "--scenario", "small.toml", "--speed", "100000", *program.settings)
        try:
            until(lambda turn=turn: program.output().count("MeterWAN is ready") == turn, program, "it is ready")
            assert program.output().count("one-time password") == turn

            def readings() -> int:
                with closing(sqlite3.connect(program.data / "application.db")) as connection:
                    return int(connection.execute("SELECT count(*) FROM reading").fetchone()[0])

            if turn == 1:
                until(lambda: readings() >= 10, program, "readings come")
            devices = json.loads(program.run("device", "list", "--json").out)
            assert len(devices) == 10 and {row["profile"] for row in devices} == {"karat-926lw", "vega-si-11"}
            children = pids(program)
            assert len(children) == 3
            process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN_S) == 0
            assert not any(map(alive, children))
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in program.output()


def test_the_demo_does_not_touch_a_real_servers_data(program: Program) -> None:
    program.data.mkdir()
    (program.data / "application.db").write_text("precious")
    result = program.run("demo", *program.settings)
    assert result.code == 1 and "holds the data of a real server" in result.err
    assert (program.data / "application.db").read_text() == "precious"


def test_the_demo_says_how_to_choose_another_port(program: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        host, port = taken.getsockname()
        result = program.run("demo", *program.settings, "--set", f"http.listen={host}:{port}")
    assert result.code == 1
    assert f'choose another: make demo DEMO="--listen 127.0.0.1:{port + 1}"' in result.err

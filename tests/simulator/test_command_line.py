"""``python -m lorasim``: what it prints and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lorasim.__main__ import main

ALONE = '[[gateways]]\neui = "0016c001ff1e5a01"\n[[devices]]\ninterval_s = 1\n'


def test_runs_a_file_and_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "alone.toml"
    path.write_text('name = "alone"\n' + ALONE, encoding="utf-8")
    recording = str(tmp_path / "r.jsonl")
    code = main([str(path), "--server", "127.0.0.1:9", "--duration", "1.2", "--recording", recording, "--check"])
    out, err = capsys.readouterr()
    assert code == 0
    assert "joined  0 of 1 (1 requests)" in out
    assert "joined 0/1" in err


def test_a_server_that_talks_nonsense_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "alone.toml"
    path.write_text('name = "alone"\n' + ALONE, encoding="utf-8")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def answer() -> None:
            _, address = server.recvfrom(4096)
            server.sendto(b"nonsense", address)

        thread = threading.Thread(target=answer)
        thread.start()
        address, recording = f"127.0.0.1:{server.getsockname()[1]}", str(tmp_path / "r.jsonl")
        code = main([str(path), "--server", address, "--duration", "0.5", "--recording", recording, "--check"])
        thread.join()
    assert code == 1
    assert "datagram:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["nowhere"], 2, "no scenario 'nowhere'"),
        (["satka", "--server", "somewhere"], 2, "is not HOST:PORT"),
        (["satka", "--check"], 2, "--check needs --recording"),
        (["satka", "--server", "127.0.0.1:99999"], 2, "is not HOST:PORT"),
        (["satka", "--speed", "0"], 2, "--speed 0: time would stand still"),
        (["satka", "--speed", "nan"], 2, "nan is not a number of 0 or more"),
        (["satka", "--duration", "inf"], 2, "inf is not a number of 0 or more"),
        (["satka", "--settle", "x"], 2, "x is not a number of 0 or more"),
        (["satka", "--report", "/there/is/none/x.html"], 2, "/there/is/none/x.html: there is no such folder"),
    ],
)
def test_wrong_use(arguments: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended = main(arguments)
    except SystemExit as stop:
        ended = int(stop.code or 0)
    assert ended == code
    assert complaint in capsys.readouterr().err


def asserted(tmp_path: Path, *tables: str) -> str:
    path = tmp_path / "asserted.toml"
    path.write_text(
        'name = "asserted"\n' + ALONE + "".join(f"[[assert]]\n{table}\n" for table in tables), encoding="utf-8"
    )
    return str(path)


def test_assertions_decide_how_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = ["--server", "127.0.0.1:9", "--duration", "1.2"]
    assert main([asserted(tmp_path, 'that = "joins == 0"'), *nobody]) == 0
    assert "holds" in capsys.readouterr().out
    junit = tmp_path / "junit.xml"
    broken = asserted(tmp_path, 'that = "joins.requests >= 1"', 'that = "joins == 1"')
    assert main(["run", broken, *nobody, "--junit", str(junit)]) == 1
    out = capsys.readouterr().out
    assert "BROKEN  joins == 1" in " ".join(out.split(" ")) and "holds   joins.requests >= 1" in out
    assert 'failures="1"' in junit.read_text("utf-8")


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        (['that = "joinz == 0"'], "did you mean joins"),
        (['that = "joins == 0"\nof = "flat"'], "which the scenario does not have: there are 'devices'"),
    ],
)
def test_an_assertion_that_cannot_be_meant(
    tmp_path: Path, tables: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([asserted(tmp_path, *tables), "--server", "127.0.0.1:9", "--duration", "0.1"]) == 2
    assert complaint in capsys.readouterr().err


def test_ctrl_c_ends_the_run_and_it_is_judged(tmp_path: Path) -> None:
    path = asserted(tmp_path, 'that = "joins.requests >= 1"', 'that = "joins == 1"')
    command = [sys.executable, "-m", "lorasim", path, "--server", "127.0.0.1:9", "--duration", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().lstrip().startswith("2 s"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "holds   joins.requests >= 1" in out and "BROKEN  joins == 1" in out


def test_events_are_those_of_this_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(
        '{"t": 1, "type": "event", "event": "up", "dev_eui": "01", "f_cnt": 1, "f_port": 1}\n', encoding="utf-8"
    )
    path = asserted(tmp_path, 'that = "foreign_events == 0"')
    nobody = ["--server", "127.0.0.1:9", "--duration", "0.3", "--settle", "0"]
    assert main([path, *nobody, "--events", str(events)]) == 1  # somebody else's file
    assert main([path, *nobody, "--events", str(events), "--sink", "http://127.0.0.1:0/"]) == 0
    assert "events are taken at http://127.0.0.1:" in capsys.readouterr().err
    assert main([path, *nobody, "--sink", "http://127.0.0.1:0/"]) == 0  # and without a file to keep
    assert main([path, *nobody, "--sink", "nowhere"]) == 2


def test_a_reader_may_go_away() -> None:
    """``… | head``: no traceback."""
    command = [sys.executable, "-m", "lorasim", "keys"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1

"""``python -m lorasim``: what it prints and how it ends."""

from __future__ import annotations

import socket
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
        (["nowhere"], 1, "no scenario 'nowhere'"),
        (["satka", "--server", "somewhere"], 2, "is not HOST:PORT"),
        (["satka", "--check"], 2, "--check needs --recording"),
    ],
)
def test_wrong_use(arguments: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended = main(arguments)
    except SystemExit as stop:
        ended = int(stop.code or 0)
    assert ended == code
    assert complaint in capsys.readouterr().err

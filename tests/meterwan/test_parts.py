"""Small parts: ports, tables, logs, and what a process does about itself."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from meterwan import log, ports, tables
from meterwan.errors import Failure


@pytest.mark.parametrize("udp", [False, True])
def test_a_taken_port_is_named_with_the_way_out(udp: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if not udp:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure) as refused:
            ports.claim("some.listen", f"127.0.0.1:{port}", udp)
    text = str(refused.value)
    assert (
        f"{'UDP' if udp else 'TCP'} port {port} is taken" in text and f"--set some.listen=127.0.0.1:{port + 1}" in text
    )


def test_port_0_becomes_a_real_one() -> None:
    host, port = ports.split(ports.claim("x", "127.0.0.1:0"))
    assert host == "127.0.0.1" and port > 1023


def test_a_strange_address_is_a_failure() -> None:
    with pytest.raises(Failure, match=r"cannot listen on 192\.0\.2\.1:80"):
        ports.claim("x", "192.0.2.1:80")


def test_addresses_split_and_join() -> None:
    assert ports.split("[::1]:80") == ("::1", 80) and ports.join("::1", 80) == "[::1]:80"
    assert ports.split(":80") == ("0.0.0.0", 80)


TABLE = [
    {"name": "=cmd()", "value": "-5.25", "note": "a;b"},
    {"name": "Кв. 12", "value": "", "note": 'he said "no"\nand left'},
]


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_a_table_comes_back_as_it_went(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"table{ending}"
    assert tables.write(file, ["name", "value", "note"], TABLE) == 2
    rows = [row for _, row in tables.read(file)]
    expected = [dict(row) for row in TABLE]
    if ending == ".csv":
        expected[0]["name"] = "'=cmd()"
    assert rows == expected
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter_is_read(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"A{delimiter} b \n\n1{delimiter}2\n", encoding="utf-8-sig")
    assert list(tables.read(file)) == [(3, {"a": "1", "b": "2"})]


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a workbook", b"", b"\x00" * 100])
def test_a_broken_workbook_is_a_failure(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.xlsx"
    file.write_bytes(content)
    with pytest.raises(Failure, match="cannot read"):
        list(tables.read(file))


def test_text_that_is_not_utf8_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("имя\n".encode("cp1251"))
    with pytest.raises(Failure, match="not UTF-8"):
        list(tables.read(tmp_path / "t.csv"))


def test_a_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("old")

    def rows() -> object:
        yield {"a": "1"}
        raise OSError(28, "No space left on device")

    with pytest.raises(Failure, match="No space left"):
        tables.write(file, ["a"], rows())  # type: ignore[arg-type]
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


LOGGING = """
import logging, structlog
from meterwan import log
log.configure("network", "info", "json")
structlog.get_logger("a").info("joined", dev_eui="70b3", app_key="00112233", password="hunter2", token="t0ken")
logging.getLogger("b").warning("from the %s library", "standard", extra={"app_s_key": "0011"})
structlog.get_logger("a").debug("not this")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("a").exception("failed")
"""


def test_logs_in_a_pipe_are_json_without_secrets() -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert first["event"] == "joined" and first["dev_eui"] == "70b3" and first["role"] == "network"
    assert first["timestamp"].endswith("Z") and first["level"] == "info"
    assert second["event"] == "from the standard library" and second["level"] == "warning"
    assert "ZeroDivisionError" in third["exception"]
    for secret in ("00112233", "hunter2", "t0ken", '"0011"'):
        assert secret not in done.stderr
    assert done.stdout == ""


def test_names_of_secrets_are_hidden_whatever_their_case() -> None:
    event = log.hide_secrets(None, "info", {"AppKey": "x", "nwk_s_key": "y", "monkey_business": 1})
    assert event == {"AppKey": "********", "nwk_s_key": "********", "monkey_business": 1}

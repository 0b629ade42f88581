"""The load generator: valid frames, the asked rate, and an honest count of what came back."""

from __future__ import annotations

import base64
import json
import socket
import threading
from pathlib import Path

import pytest
from lorasim import crypto, load
from lorasim.crypto import SessionKeys
from lorasim.load import LoadSession


class Sink(threading.Thread):
    """Acknowledges all but every tenth PUSH_DATA and answers confirmed uplinks of its first gateway."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.address = self.socket.getsockname()
        self.packets: list[tuple[bytes, dict]] = []
        self.tx_acks = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                data, address = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if data[3] == 5:
                self.tx_acks += 1
            if data[3] != 0:
                continue
            [packet] = json.loads(data[12:])["rxpk"]
            self.packets.append((data[4:12], packet))
            if len(self.packets) % 10:
                self.socket.sendto(data[:3] + b"\x01", address)
            if base64.b64decode(packet["data"])[0] == 0x80 and data[4:12] == self.packets[0][0]:
                txpk = json.dumps({"txpk": {"tmst": (packet["tmst"] + 1_000_000) % 2**32}}).encode()
                self.socket.sendto(b"\x02\x01\x02\x03" + txpk, address)


@pytest.fixture
def sink():
    thread = Sink()
    thread.start()
    yield thread
    thread.stopped.set()
    thread.join()
    thread.socket.close()


def test_sessions_are_kept_as_json_lines(tmp_path: Path) -> None:
    sessions = load.make_sessions(5, seed=3)
    load.write_sessions(tmp_path / "s.jsonl", sessions)
    assert load.read_sessions(tmp_path / "s.jsonl") == sessions
    first = json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0])
    assert set(first) == {"dev_eui", "dev_addr", "nwk_s_key", "app_s_key"}
    assert len({s.dev_addr for s in sessions}) == len({s.nwk_s_key for s in sessions}) == 5
    assert load.make_sessions(5, seed=4) != sessions


@pytest.mark.parametrize("processes", [1, 2])
def test_every_frame_is_valid_and_in_turn(tmp_path: Path, processes: int) -> None:
    sessions = load.make_sessions(20)
    path = tmp_path / "f.txt"
    assert load.build_frames(sessions, path, frames=3, first_f_cnt=0xFFFE, processes=processes) == 60
    lines = path.read_bytes().splitlines()
    for n, line in enumerate(lines):
        check_frame(sessions[n % 20], load.phy_of(line), 0xFFFE + n // 20)


def check_frame(session: LoadSession, phy: bytes, f_cnt: int) -> None:
    keys = SessionKeys.of_1_0(bytes.fromhex(session.nwk_s_key), bytes.fromhex(session.app_s_key))
    dev_addr = int(session.dev_addr, 16)
    assert phy[1:5] == dev_addr.to_bytes(4, "little")
    assert phy[6:8] == (f_cnt & 0xFFFF).to_bytes(2, "little")
    assert crypto.uplink_mic(keys, dev_addr, f_cnt, phy[:-4]) == phy[-4:]
    assert crypto.crypt_payload(keys.app_s_key, True, dev_addr, f_cnt, phy[9:-4])[:3].hex() == "85020f"


def test_blast_counts_what_comes_back(tmp_path: Path, sink: Sink) -> None:
    sessions = load.make_sessions(100)
    path = tmp_path / "f.txt"
    load.build_frames(sessions, path, frames=2, confirmed=True, processes=1)
    with path.open("rb") as file:
        result = load.blast(file, sink.address, [1, 2, 3], rate=400, linger_s=0.5)
    assert (result.frames, result.datagrams) == (200, 600)
    assert 0.45 <= result.elapsed_s < 3
    assert len(sink.packets) == 600
    assert result.push_acks == 540 == sum(result.acknowledged)
    assert len(result.acknowledged) == 200 == result.acknowledged_frames
    assert result.pull_resps == 200 == sink.tx_acks == len(result.decision_us)
    report = result.report()
    assert 0 < report["ack_ms"]["p50"] <= report["ack_ms"]["max"] < 500
    copies = {}
    for gateway, packet in sink.packets:
        copies.setdefault(packet["data"], set()).add((gateway, packet["rssi"]))
    assert len(copies) == 200 and all(len(copy) == 3 for copy in copies.values())


def test_unacknowledged_frames_are_known(sink: Sink) -> None:
    sessions = load.make_sessions(50)
    lines = [load._rxpk_tail(load.FrameBuilder(s).frame(0, 5, bytes(17), False), 0) for s in sessions]
    result = load.blast(lines, sink.address, [7], rate=500, linger_s=0.3)
    assert [n for n, count in enumerate(result.acknowledged) if not count] == [9, 19, 29, 39, 49]


def test_command_line(tmp_path: Path, sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sessions, frames = str(tmp_path / "s.jsonl"), str(tmp_path / "f.txt")
    assert load.main(["sessions", "--count", "8", "--out", sessions]) == 0
    assert load.main(["frames", "--sessions", sessions, "--out", frames, "--frames", "2"]) == 0
    server = f"127.0.0.1:{sink.address[1]}"
    assert (
        load.main(["blast", "--frames", frames, "--server", server, "--gateway", "0016c001ff1e5a01", "--rate", "200"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["frames"] == 16

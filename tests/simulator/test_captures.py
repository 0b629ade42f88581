"""Captures of gateways' traffic, made here with scapy: read whatever came over them, shown as LoRaWAN, sent again."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lorasim import crypto, gwmp
from lorasim.__main__ import main
from lorasim.captures import CaptureError
from lorasim.captures.keys import KeyRing
from lorasim.captures.replay import Timing, plan
from lorasim.captures.semtech import Message, messages, phy_of
from lorasim.captures.show import show
from lorasim.captures.udp import Captured, read
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import CookedLinux, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgWriter, PcapWriter, wrpcap

from lorawan.frames import DataFrame
from lorawan.identifiers import DevAddr
from tests.simulator.conftest import T0, Lab, MakeLab

SERVER, GATEWAY = ("10.0.0.1", 1700), ("10.0.0.2", 40000)
EUI = 0x0016C001FF1E5A01


def packet(data: bytes, t: int, source: tuple[str, int] = GATEWAY, target: tuple[str, int] = SERVER) -> Packet:
    ip = IPv6(src=source[0], dst=target[0]) if ":" in source[0] else IP(src=source[0], dst=target[0], id=t & 0xFFFF)
    made = (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip / UDP(sport=source[1], dport=target[1]) / Raw(data)
    )
    return at(made, t)


def at(made: Packet, t: int) -> Packet:
    made.time = t / 1e6
    return made


def captured_lab(lab: Lab, seconds: float) -> list[Packet]:
    """Both directions between the lab's gateways and its server, as tcpdump beside the server would see them."""
    seen: list[Packet] = []
    original = lab.network.receive
    ports: dict[Any, int] = {}

    def both(datagram: bytes, address: Any, now: int) -> list[tuple[Any, bytes]]:
        answers = original(datagram, address, now)
        here = ("10.0.0.2", ports.setdefault(address, 40_000 + len(ports)))
        seen.append(packet(datagram, now, here))
        for to, answer in answers:
            there = ("10.0.0.2", ports.setdefault(to, 40_000 + len(ports)))
            seen.append(packet(answer, now + 300, SERVER, there))
        return answers

    lab.network.receive = both  # type: ignore[method-assign]
    lab.run(seconds)
    lab.network.receive = original  # type: ignore[method-assign]
    return seen


def written(tmp_path: Path, packets: Sequence[Packet], name: str = "a.pcap") -> Path:
    path = tmp_path / name
    wrpcap(str(path), list(packets))
    return path


def push(tmst: int, t: int, size: int = 20, **more: Any) -> bytes:
    data = bytes([0x40]) + random.Random(tmst).randbytes(size - 1)
    return gwmp.push_data(
        tmst & 0xFFFF, EUI, {"rxpk": [gwmp.rxpk(tmst, 868_900_000, "SF7BW125", -80, 5.0, data, 0, **more)]}
    )


def pushes(path: Path) -> list[Message]:
    return [one for one in messages(read(path)) if one.kind == gwmp.PUSH_DATA]


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("form", ["pcap", "pcapng", "gzip", "cooked", "vlan", "ipv6", "raw"])
def test_every_way_in_which_it_may_have_been_taken(tmp_path: Path, form: str) -> None:
    data, path = push(1000, T0), tmp_path / "capture"
    ends = (("fd00::2", 40000), ("fd00::1", 1700)) if form == "ipv6" else (GATEWAY, SERVER)
    made = packet(data, T0, *ends)
    inner = made.payload
    if form == "cooked":
        made = at(CookedLinux(proto=0x0800) / inner, T0)
    elif form == "vlan":
        made = at(Ether() / Dot1Q(vlan=7) / inner, T0)
    elif form == "raw":
        made = at(inner, T0)
    if form == "pcapng":
        with PcapNgWriter(str(path)) as writer:
            writer.write(made)
    elif form == "gzip":
        plain = written(tmp_path, [made])
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        path = written(tmp_path, [made])
    assert list(read(path)) == [Captured(T0, *ends, data, True)]
    [message] = pushes(path)
    assert message.gateway == EUI and len(message.packets) == 1 and not message.fault


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_are_put_together_in_any_order(tmp_path: Path, version: int) -> None:
    data = push(5, T0, size=3000)
    ends = (("fd00::2", 40000), ("fd00::1", 1700)) if version == 6 else (GATEWAY, SERVER)
    made = packet(data, T0, *ends)
    if version == 4:
        pieces = fragment(made, fragsize=800)
    else:
        whole = (
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            / IPv6(src=ends[0][0], dst=ends[1][0])
            / IPv6ExtHdrFragment(id=9)
            / made[UDP]
        )
        pieces = fragment6(whole, 1280)
    assert len(pieces) >= 4
    pieces = [at(piece, T0 + n) for n, piece in enumerate(reversed(pieces))]
    other = packet(push(7, T0), T0 + 2)
    path = written(tmp_path, [*pieces[:2], other, *pieces[2:]])
    found = list(read(path))
    assert [len(one.data) for one in found] == [len(push(7, T0)), len(data)]
    assert found[1].data == data and found[1].whole
    assert [one.data for one in read(written(tmp_path, pieces[1:], "hole.pcap"))] == []  # one is missing: no datagram


def test_captures_that_are_cut_short(tmp_path: Path) -> None:
    packets = [packet(push(n, T0), T0 + n * 1000) for n in range(3)]
    snapped = tmp_path / "snap.pcap"
    with PcapWriter(str(snapped), linktype=1) as writer:
        writer.write_header(packets[0])
        for made in packets:
            raw = bytes(made)
            seconds, micros = divmod(round(float(made.time) * 1e6), 1_000_000)
            writer.write_packet(raw[:96], sec=seconds, usec=micros, caplen=96, wirelen=len(raw))
    found = pushes(snapped)
    assert len(found) == 3 and {one.fault for one in found} == {"cut short by the capture"}
    assert plan(found, Timing(), T0) == ([], 3)
    assert all("cut short" in line for line in show(found, KeyRing()) if "PUSH_DATA" in line)
    whole = written(tmp_path, packets).read_bytes()
    for length in range(30, len(whole), 7):
        path = tmp_path / "cut.pcap"
        path.write_bytes(whole[:length])
        assert len(list(read(path))) <= 3  # it ends where the file ends
    assert len(pushes(written(tmp_path, packets))) == 3


def test_garbage_is_no_error(tmp_path: Path) -> None:
    rng = random.Random(4)
    bodies = [b"", b"\x02", b"\x02\0\0\0", gwmp.push_data(1, EUI, {})[:-1], gwmp.push_data(1, EUI, {"rxpk": 7})]
    bodies += [
        gwmp.push_data(1, EUI, {"rxpk": [{"data": "!"}, 5, {}]}),
        b"\x02\0\0\x05" + bytes(8) + b"[]",
        b"\x02\0\0\x03{}",
    ]
    bodies += [rng.randbytes(rng.randrange(60)) for _ in range(200)]
    bodies += [b"\x02\0\0" + bytes([rng.randrange(6)]) + rng.randbytes(rng.randrange(40)) for _ in range(200)]
    bodies += [
        gwmp.push_data(1, EUI, {"rxpk": [gwmp.rxpk(1, 1, "SF7BW125", 0, 0, rng.randbytes(n), 0)]}) for n in range(40)
    ]
    path = written(tmp_path, [packet(body, T0 + n) for n, body in enumerate(bodies)])
    found = list(messages(read(path)))
    assert len(found) > 200
    assert len(list(show(found, KeyRing()))) >= len(found)
    plan(found, Timing(), T0)
    for name, text in (("no.pcap", b"nonsense"), ("empty.pcap", b"")):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(CaptureError, match="neither pcap nor pcapng"):
            read(tmp_path / name)


def test_what_to_do_without_scapy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("scapy.error", "scapy.utils", "scapy.layers"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["pcap", "show", str(tmp_path / "x.pcap")]) == 2
    err = capsys.readouterr().err
    assert "pip install 'meterwan[pcap]'" in err and "GPL-2.0" in err


# ------------------------------------------------------------------------------------------------------------- showing


@pytest.mark.parametrize("version", ["1.0.2", "1.0.4", "1.1"])
def test_a_capture_of_the_lab_is_told_as_the_lab_lived_it(make_lab: MakeLab, tmp_path: Path, version: str) -> None:
    lab = make_lab(f'mac_version = "{version}"\nconfirmed = true', interval_s=10)
    packets = captured_lab(lab, 25)
    lab.queue(f_port=7, data=b"hello")
    lab.queue(f_opts=bytes([0x06]))
    packets += captured_lab(lab, 30)
    lines, path = lab.lines(), written(tmp_path, packets)
    [device] = lab.lines("device")
    nwk_key = f":{device['nwk_key']}" if version == "1.1" else ""
    ring = KeyRing.of([f"{device['dev_eui']}:{device['app_key']}{nwk_key}  # the device"])
    text = list(show(messages(read(path)), ring))
    joined = next(line for line in lines if line["type"] == "joined")
    asked = next(line for line in lines if line["type"] == "join_request")
    said = "\n".join(text)
    assert f"join-request of {device['dev_eui']}, JoinEUI {device['join_eui']}, DevNonce {asked['dev_nonce']}\n" in said
    assert (
        f"join-accept for {device['dev_eui']}: DevAddr {joined['dev_addr']}, JoinNonce {joined['join_nonce']}" in said
    )
    for line in lab.lines("uplink"):
        assert f"confirmed uplink of {line['dev_addr']}, FCnt {line['f_cnt']}, port {line['f_port']}, ADR" in said
        assert f"  {len(line['data']) // 2} bytes: {line['data']}" in said or not line["data"]
    assert f"5 bytes: {b'hello'.hex()}" in said and "DevStatusReq" in said and "DevStatusAns: " in said
    assert "wrong MIC" not in said and "encrypted" not in said
    assert " TX_ACK " in said and " PULL_DATA " in said and "stat rxnb=" in said
    blind = "\n".join(show(messages(read(path)), KeyRing()))
    assert "join-accept, encrypted" in blind and "bytes, encrypted: " in blind and b"hello".hex() not in blind
    assert ("DevStatusReq" in blind) == (version != "1.1")  # FOpts of 1.0.x are in the clear
    wrong = "\n".join(show(messages(read(path)), KeyRing.of([f"{joined['dev_addr']}:{'00' * 16}:{'00' * 16}"])))
    assert "wrong MIC" in wrong


def test_session_keys_and_a_counter_that_has_rolled_over() -> None:
    keys = crypto.SessionKeys.of_1_0(bytes(range(16)), bytes(range(16, 32)))
    ring = KeyRing.of([f"01020304:{keys.f_nwk_s_int_key.hex()}:{keys.app_s_key.hex()}", "", "# nothing"])
    for f_cnt in (65_535, 65_536, 200_000):
        sealed = crypto.crypt_payload(keys.app_s_key, True, 0x01020304, f_cnt, b"payload")
        frame = DataFrame(True, False, DevAddr(0x01020304), f_cnt=f_cnt & 0xFFFF, f_port=9, frm_payload=sealed)
        phy = frame.encode_without_mic()
        phy += crypto.uplink_mic(keys, 0x01020304, f_cnt, phy)
        opened = ring.open(phy, frame)
        assert opened is not None and (opened.f_cnt, opened.payload) == (f_cnt, b"payload")


@pytest.mark.parametrize("line", ["01020304", "01020304:00:00", "zz:00", f"0102:{'00' * 16}"])
def test_keys_that_are_none(line: str) -> None:
    with pytest.raises(CaptureError, match="key 2: write DevAddr:NwkSKey:AppSKey or DevEUI:AppKey") as error:
        KeyRing.of(["", line])
    assert line not in str(error.value)


# ------------------------------------------------------------------------------------------------------------- sending


def tmst_of(data: bytes) -> int:
    return int(json.loads(data[12:])["rxpk"][0]["tmst"])


def planned(times: Sequence[tuple[int, int]], timing: Timing, start_us: int = T0) -> list[tuple[int, int]]:
    """(time of sending, tmst) for datagrams of (time of capture, tmst)."""
    datagrams = [Captured(t, GATEWAY, SERVER, push(tmst, t)) for t, tmst in times]
    found, left_out = plan(messages(datagrams), timing, start_us)
    assert left_out == 0
    return [(one.at_us, tmst_of(one.data)) for one in found if not one.pull]


def test_the_counter_runs_with_the_new_timing() -> None:
    """Three frames 10 s apart; the second waited 2 ms in its gateway, the counter wraps before the third."""
    near = 2**32 - 15_000_000
    times = [(T0, near), (T0 + 10_000_000, near + 9_998_000), (T0 + 20_000_000, (near + 20_000_000) % 2**32)]
    assert planned(times, Timing()) == [(t - T0, tmst) for t, tmst in times]
    half = planned(times, Timing(speed=2))
    assert half == [(0, near), (5_000_000, near + 4_998_000), (10_000_000, near + 10_000_000)]
    slow = planned(times, Timing(speed=0.5))
    assert slow == [(0, near), (20_000_000, (near + 19_998_000) % 2**32), (40_000_000, (near + 40_000_000) % 2**32)]
    even = planned(times, Timing(per_second=4))
    assert even == [(0, near), (250_000, near + 248_000), (500_000, near + 500_000)]
    assert planned(times, Timing(at_once=True)) == [(0, near), (0, near - 2_000), (0, near)]


def test_a_gateway_that_was_silent_for_days_and_one_that_restarted() -> None:
    day = 86_400_000_000
    [_, (_, tmst)] = planned([(T0, 5), (T0 + 3 * day, (5 + 3 * day) % 2**32)], Timing(per_second=1))
    assert tmst == 1_000_005
    times = [(T0, 4_000_000_000), (T0 + 10_000_000, 1_000_000), (T0 + 12_000_000, 3_000_000)]
    [_, (_, first), (_, second)] = planned(times, Timing(speed=2))
    assert second - first == 1_000_000  # after the jump it runs on with the new timing, too


def test_wall_clocks_move_along() -> None:
    then = {"time": "2020-01-01T00:00:05.000000Z", "tmms": 1_261_872_023_000}
    captured = Captured(1_577_836_805_100_000, GATEWAY, SERVER, push(1, 0, **then))
    start_us = 1_790_000_000_000_000
    found, _ = plan(messages([captured]), Timing(), start_us)
    [packet_] = json.loads(found[-1].data[12:])["rxpk"]
    assert packet_["time"] == "2026-09-21T14:13:19.900000Z"  # 100 ms before it is sent, as then
    assert packet_["tmms"] - then["tmms"] == (start_us - captured.t) // 1000


def test_pull_data_is_made_anew_for_each_gateway() -> None:
    times = [Captured(T0 + n * 5_000_000, GATEWAY, SERVER, push(n * 5_000_000, 0)) for n in range(6)]
    times.append(Captured(T0 + 1, GATEWAY, SERVER, gwmp.pull_data(3, EUI)))
    times.append(Captured(T0 + 2, GATEWAY, SERVER, gwmp.tx_ack(3, EUI)))
    found, _ = plan(messages(times), Timing(), T0)
    assert [(one.at_us, one.data[3]) for one in found if one.pull] == [
        (n * 10_000_000, gwmp.PULL_DATA) for n in range(3)
    ]
    assert found[0].pull and sum(not one.pull for one in found) == 6
    assert plan(messages(times), Timing(), T0, gateways=[1]) == ([], 0)


class _Server(asyncio.DatagramProtocol):
    """Acknowledges, and asks for one downlink."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append(data)
        if data[3] == gwmp.PUSH_DATA:
            self.transport.sendto(data[:3] + b"\x01", addr)
        elif data[3] == gwmp.PULL_DATA:
            txpk = {"imme": True, "freq": 869.1, "datr": "SF12BW125", "data": base64.b64encode(b"x").decode()}
            self.transport.sendto(b"\x02\x05\x06\x03" + json.dumps({"txpk": txpk}).encode(), addr)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_replay_over_udp(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    packets = [packet(push(n * 1000, 0), T0 + n * 1000) for n in range(300)]
    path = written(tmp_path, packets)
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    transport, server = await loop.create_datagram_endpoint(_Server, local_addr=(host, 0), family=family)
    port = transport.get_extra_info("sockname")[1]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    code = await asyncio.to_thread(main, ["pcap", "replay", str(path), "--server", address, "--rate", "1000"])
    transport.close()
    out = capsys.readouterr().out
    assert (
        code == 0 and "300 PUSH_DATA with 300 frames" in out and "acknowledged  300" in out and "PULL_RESP  1," in out
    )
    sent = [data for data in server.got if data[3] == gwmp.PUSH_DATA]
    assert [tmst_of(data) for data in sent] == [n * 1000 for n in range(300)]
    [ack] = [data for data in server.got if data[3] == gwmp.TX_ACK]
    assert ack[1:3] == b"\x05\x06" and int.from_bytes(ack[4:12], "big") == EUI


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [packet(push(1, 0), T0), packet(b"dns", T0 + 1, ("10.0.0.9", 53))])
    assert main(["pcap", "show", str(path), "--port", "1700"]) == 0
    assert f"{EUI:016x} → PUSH_DATA" in capsys.readouterr().out
    assert main(["pcap", "show", str(path), "--gateway", "0000000000000001"]) == 0
    assert "no Semtech UDP in this capture" in capsys.readouterr().err
    assert main(["pcap", "replay", str(path), "--gateway", "0000000000000001"]) == 2
    assert main(["pcap", "replay", str(path), "--server", "nowhere"]) == 2
    assert main(["pcap", "show", str(tmp_path / "none.pcap")]) == 2
    with pytest.raises(SystemExit) as stop:
        main(["pcap", "replay", str(path), "--rate", "0"])
    assert stop.value.code == 2


def test_a_payload_that_is_no_base64_has_no_frame() -> None:
    assert phy_of({"data": "A"}) is None and phy_of({}) is None and phy_of({"data": "QAE"}) == b"@\x01"

"""A device that is npm's lora-packet and a gateway that is a bare socket: nothing here shares our code.

It joins, sends and acknowledges over UDP against the built program; every MIC and every decryption is lora-packet's.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import lora_packet
from tests.support.server import Server, wait_until
from tests.support.wire_gateway import WireGateway

GATEWAY = "0016c001ff1e5aaa"
JOIN_EUI = "70b3d5e75f0000ff"


@pytest.fixture(scope="module")
def gateway(server: Server) -> Iterator[WireGateway]:
    server.ask("POST", "/gateways", {"gateway_eui": GATEWAY, "name": "bare socket"})
    one = WireGateway(server.udp, GATEWAY)
    one.pull()
    yield one
    one.close()


def ask(operation: str, **question: Any) -> dict[str, Any]:
    return lora_packet.ask([{"op": operation, **question}])[0]


class Device:
    """A 1.0.3 device whose wire is lora-packet."""

    def __init__(self, server: Server, dev_eui: str) -> None:
        self.dev_eui = dev_eui
        self.app_key = random.Random(dev_eui).randbytes(16).hex()
        self.session: dict[str, str] = {}
        self.dev_addr = ""
        server.ask(
            "POST",
            "/devices",
            {
                "dev_eui": dev_eui,
                "join_eui": JOIN_EUI,
                "name": "lora-packet",
                "profile": "lorawan-1.0.3",
                "app_key": self.app_key,
            },
        )

    def join_request(self, dev_nonce: int) -> str:
        answer = ask(
            "build_join_request",
            join_eui=JOIN_EUI,
            dev_eui=self.dev_eui,
            dev_nonce=f"{dev_nonce:04x}",
            key=self.app_key,
        )
        return str(answer["phy"])

    def take_accept(self, phy: str, dev_nonce: int) -> dict[str, Any]:
        accept = ask("read_join_accept", phy=phy, key=self.app_key, mic_key=self.app_key, dev_nonce=f"{dev_nonce:04x}")
        assert accept["mic"] == accept["expected_mic"]
        self.session, self.dev_addr = accept["session"], accept["dev_addr"]
        return accept

    def uplink(self, f_cnt: int, payload: str, confirmed: bool, f_opts: str = "") -> str:
        answer = ask(
            "build_data",
            m_type=4 if confirmed else 2,
            dev_addr=self.dev_addr,
            adr=False,
            bit_6=False,
            ack=False,
            bit_4=False,
            f_cnt=f_cnt,
            f_opts=f_opts,
            f_port=5,
            payload=payload,
            app_s_key=self.session["AppSKey"],
            f_nwk_s_int_key=self.session["NwkSKey"],
        )
        return str(answer["phy"])

    def read(self, phy: str, f_cnt: int) -> dict[str, Any]:
        frame = ask(
            "read_data",
            phy=phy,
            f_cnt=f_cnt,
            app_s_key=self.session["AppSKey"],
            nwk_s_enc_key=self.session["NwkSKey"],
            f_nwk_s_int_key=self.session["NwkSKey"],
        )
        assert frame["mic"] == phy[-8:], "lora-packet computes another MIC"
        return frame


def joined(server: Server, gateway: WireGateway, dev_eui: str) -> Device:
    device = Device(server, dev_eui)
    token = gateway.push(device.join_request(7), freq=869.1)
    assert gateway.acknowledged(token)
    txpk = gateway.downlink()
    assert txpk["tmst"] == (gateway.tmst + 5_000_000) % (1 << 32)
    assert (txpk["freq"], txpk["datr"], txpk["ipol"]) == (869.1, "SF7BW125", True)
    accept = device.take_accept(txpk["phy"], 7)
    assert (accept["rx_delay"], accept["rx1_dr_offset"], accept["rx2_dr"], accept["cflist"]) == (1, 0, 0, "")
    return device


def test_join_uplinks_and_downlinks_of_both_directions(server: Server, gateway: WireGateway) -> None:
    device = joined(server, gateway, "00000000000a0001")
    # Queued before the uplink, sent in its RX1 together with ACK and LinkCheckAns.
    queued = server.ask("POST", f"/devices/{device.dev_eui}/queue", {"f_port": 9, "data": "aGVsbG8="})
    token = gateway.push(device.uplink(0, "c0ffee", confirmed=True, f_opts="02"))
    assert gateway.acknowledged(token)
    txpk = gateway.downlink()
    # RX1, or RX2 when the machine was too busy for the first
    assert txpk["tmst"] in {(gateway.tmst + after_us) % (1 << 32) for after_us in (1_000_000, 2_000_000)}
    frame = device.read(txpk["phy"], 0)
    assert (frame["ack"], frame["f_port"], bytes.fromhex(frame["payload"])) == (True, 9, b"hello")
    assert frame["f_opts"].startswith("0210"), "LinkCheckAns: 16 dB above SF7's floor of -7.5 dB"

    def item() -> dict[str, Any]:
        items = server.ask("GET", f"/devices/{device.dev_eui}/queue")["items"]
        return next(one for one in items if one["id"] == queued["id"])

    wait_until(lambda: item()["state"] == "sent", 5, "the queue shows the item as sent")
    events = list(server.every(f"/events?dev_eui={device.dev_eui}"))
    ups = [one for one in events if one["type"] == "up"]
    assert [base64.b64decode(_body(one)["data"]).hex() for one in ups] == ["c0ffee"]


def test_a_repeated_confirmed_frame_is_acknowledged_again_without_a_second_event(
    server: Server, gateway: WireGateway
) -> None:
    device = joined(server, gateway, "00000000000a0002")
    phy = device.uplink(0, "01", confirmed=True)
    gateway.push(phy)
    first = gateway.downlink()
    second = repeat_until_answered(gateway, phy, first["tmst"])
    counters = [int.from_bytes(bytes.fromhex(one["phy"])[6:8], "little") for one in (first, second)]
    assert counters[1] > counters[0], "a counter is never used twice"
    for one, f_cnt in zip((first, second), counters, strict=True):
        assert device.read(one["phy"], f_cnt)["ack"]
    ups = [one for one in server.every(f"/events?dev_eui={device.dev_eui}") if one["type"] == "up"]
    assert len(ups) == 1


def repeat_until_answered(gateway: WireGateway, phy: str, window_tmst: int) -> dict[str, Any]:
    """Transmit a confirmed frame again behind the receive windows, a few times, as a device that has heard no ACK does.

    On a busy machine the server may find that a window can no longer be reached: then it is silent, and that is right.
    """
    for attempt in range(4):
        wait_until(
            lambda after=window_tmst + 1_500_000: _later(gateway, after), 5, "the device's receive windows are over"
        )
        gateway.push(phy)
        window_tmst = (gateway.tmst + 1_000_000) % (1 << 32)
        try:
            return gateway.downlink(within_s=2.5)
        except TimeoutError:
            assert attempt < 3, "four transmissions of a confirmed frame and no answer"
    raise AssertionError


@pytest.fixture
def idle_gateway(server: Server) -> Iterator[WireGateway]:
    """One that is promised for nothing: an accept of another test, five seconds ahead, would leave RX2 no room."""
    server.ask("POST", "/gateways", {"gateway_eui": "0016c001ff1e9902", "name": "idle socket"})
    one = WireGateway(server.udp, "0016c001ff1e9902")
    one.pull()
    yield one
    one.close()


def answered_in_rx1(gateway: WireGateway, device: Device) -> dict[str, Any]:
    """Send confirmed frames until the answer to one is for RX1, as on a machine that is not too busy the first is."""
    for f_cnt in range(4):
        gateway.push(device.uplink(f_cnt, "01", confirmed=True))
        answer = gateway.downlink(answer=False)
        if answer["tmst"] == (gateway.tmst + 1_000_000) % (1 << 32):
            return answer
        gateway.send(5, token=answer["token"])
        over = answer["tmst"] + 2_000_000
        wait_until(lambda over=over: _later(gateway, over), 5, "the device's receive windows are over")
    raise AssertionError("four confirmed frames, and none was answered in RX1")


def test_a_refused_rx1_goes_out_in_rx2_with_the_same_bytes(server: Server, idle_gateway: WireGateway) -> None:
    gateway = idle_gateway
    device = joined(server, gateway, "00000000000a0003")
    rx1 = answered_in_rx1(gateway, device)
    gateway.send(5, b'{"txpk_ack":{"error":"COLLISION_PACKET"}}', token=rx1["token"])
    rx2 = gateway.downlink()
    assert rx2["phy"] == rx1["phy"]
    assert rx2["tmst"] == (rx1["tmst"] + 1_000_000) % (1 << 32)
    assert (rx2["freq"], rx2["datr"]) == (869.1, "SF12BW125")


def test_a_replayed_join_request_gets_no_second_accept(server: Server, gateway: WireGateway) -> None:
    device = joined(server, gateway, "00000000000a0004")
    token = gateway.push(device.join_request(7), freq=869.1)
    assert gateway.acknowledged(token)
    with pytest.raises(TimeoutError):
        gateway.downlink(within_s=1.5)


def test_garbage_is_survived_and_unknown_gateways_are_listed(server: Server, gateway: WireGateway) -> None:
    rng = random.Random(5)
    for _ in range(300):
        gateway._socket.send(rng.randbytes(rng.randrange(0, 80)))
        gateway.send(rng.choice([0, 0, 5, 7]), rng.randbytes(rng.randrange(0, 60)))
        gateway.send(0, b'{"rxpk":' + b"[" * rng.randrange(1, 5000))
    stranger = WireGateway(server.udp, "dead0000dead0000")
    stranger.send(2)
    stranger.send(0, b'{"stat":{}}')
    with pytest.raises(TimeoutError):
        stranger.receive(4, 0.5)
    stranger.close()
    assert "dead0000dead0000" in {one["gateway_eui"] for one in server.ask("GET", "/gateways/unknown")["items"]}
    gateway.pull()
    device = joined(server, gateway, "00000000000a0005")
    assert gateway.acknowledged(gateway.push(device.uplink(0, "02", confirmed=False)))


def _later(gateway: WireGateway, tmst: int) -> bool:
    return (time.monotonic_ns() // 1000 - tmst) % (1 << 32) < 1 << 31


def _body(event: dict[str, Any]) -> dict[str, Any]:
    return event.get("body", event)

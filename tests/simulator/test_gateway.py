"""A gateway's queue and datagrams against the margins and answers of the real forwarders (facts: docs/simulator.md)."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lorasim.gateway import Gateway, GatewayConfig
from lorasim.gwmp import FromServer, parse, parse_txpk
from lorasim.radio import Datagram, Downlink, Note, Reception

from lorawan.errors import FrameError

EUI = 0x0016C001FF1E5A01
T0 = 1_790_000_000_000_000
PHY = bytes(range(20))


def gateway(**config: Any) -> Gateway:
    made = Gateway(GatewayConfig(EUI, channels_hz=(868_900_000, 869_100_000), **config), random.Random(1))
    made.start(T0)
    return made


def pull_resp(**txpk: Any) -> bytes:
    body = {
        "freq": 869.1,
        "datr": "SF7BW125",
        "powe": 14,
        "modu": "LORA",
        "codr": "4/5",
        "ipol": True,
        "ncrc": True,
        "size": len(PHY),
        "data": base64.b64encode(PHY).decode(),
    }
    return b"\x02\x34\x12\x03" + json.dumps({"txpk": body | txpk}).encode()


def drain(made: Gateway) -> list[Datagram | Downlink | Note]:
    effects = []
    while (effect := made.next_effect()) is not None:
        effects.append(effect)
    return effects


def tx_acks(made: Gateway) -> list[str]:
    """Outcomes told to the server so far."""
    found = []
    for effect in drain(made):
        if isinstance(effect, Datagram) and effect.data[3] == 5:
            assert effect.pull and effect.data[:3] == b"\x02\x34\x12" and effect.data[4:12] == EUI.to_bytes(8, "big")
            ack = json.loads(effect.data[12:])["txpk_ack"] if effect.data[12:] else {"error": "NONE"}
            found.append(ack.get("error") or f"{ack['warn']} {ack['value']}")
    return found


def ask(made: Gateway, ahead_us: int, now: int = T0, **txpk: Any) -> list[str]:
    drain(made)
    made.receive(pull_resp(tmst=(made.tmst(now) + ahead_us) % 2**32, **txpk), now)
    return tx_acks(made)


@pytest.mark.parametrize(
    ("forwarder", "ahead_us", "outcome"),
    [
        ("1301", 32_500, "TOO_LATE"),
        ("1301", 32_501, "NONE"),
        ("1302", 42_500, "TOO_LATE"),
        ("1302", 42_501, "NONE"),
        ("1302", 0, "TOO_LATE"),
        ("1302", -1, "TOO_EARLY"),
        ("1302", 512_000_000, "NONE"),
        ("1302", 512_000_001, "TOO_EARLY"),
    ],
)
def test_margins(forwarder: str, ahead_us: int, outcome: str) -> None:
    """sx1302_hal and packet_forwarder jitqueue.c: late, early, and the past, which is early because unsigned."""
    assert ask(gateway(forwarder=forwarder), ahead_us) == [outcome]


def test_counter_wraps() -> None:
    made = gateway(tmst_offset_us=2**32 - 500_000)
    assert made.tmst(T0) == 2**32 - 500_000
    assert made.tmst(T0 + 600_000) == 100_000
    assert ask(made, 1_000_000) == ["NONE"]
    made.handle_timer(T0 + 1_000_000)
    [downlink] = [e for e in drain(made) if isinstance(e, Downlink)]
    assert (downlink.start_us, downlink.phy) == (T0 + 1_000_000, PHY)


def test_overlap_is_refused() -> None:
    """SF7, 20 bytes, no CRC: 51 456 µs on the air; 41.5 ms before and 1 ms beside it stay free."""
    made = gateway()
    assert ask(made, 1_000_000) == ["NONE"]
    assert ask(made, 1_000_000 + 51_456 + 42_500) == ["COLLISION_PACKET"]
    assert ask(made, 1_000_000 + 51_456 + 42_501) == ["NONE"]
    assert ask(made, 1_000_000 - 51_456 - 42_500) == ["COLLISION_PACKET"]
    assert ask(made, 1_000_000 - 51_456 - 42_501) == ["NONE"]


def test_queue_holds_32() -> None:
    made = gateway()
    assert [ask(made, 200_000 * n)[0] for n in range(1, 34)] == ["NONE"] * 32 + ["COLLISION_PACKET"]


@pytest.mark.parametrize(
    ("forwarder", "txpk", "outcome"),
    [
        ("1301", {"powe": 15}, "TX_POWER"),
        ("1302", {"powe": 30}, "TX_POWER 27"),
        ("1302", {"powe": 14}, "NONE"),
        ("1302", {"freq": 915.0}, "TX_FREQ"),
        ("1302", {"tmst": None, "tmms": 1_000}, "GPS_UNLOCKED"),
    ],
)
def test_refusals(forwarder: str, txpk: dict[str, Any], outcome: str) -> None:
    made = gateway(forwarder=forwarder)
    drain(made)
    made.receive(pull_resp(**{"tmst": made.tmst(T0 + 1_000_000)} | txpk), T0)
    assert tx_acks(made) == [outcome]


@pytest.mark.parametrize(("forwarder", "delay_us"), [("1301", 1_000_000), ("1302", 80_000)])
def test_immediate(forwarder: str, delay_us: int) -> None:
    made = gateway(forwarder=forwarder)
    drain(made)
    made.receive(pull_resp(imme=True), T0)
    made.receive(pull_resp(imme=True), T0)
    assert tx_acks(made) == ["NONE", "NONE"]
    made.handle_timer(T0 + 5_000_000)
    first, second = (e for e in drain(made) if isinstance(e, Downlink))
    assert first.start_us == T0 + delay_us
    assert second.start_us > first.end_us


def test_silence() -> None:
    """A data rate it cannot send, a forwarder without TX_ACK, and garbage: no answer."""
    assert ask(gateway(), 1_000_000, datr="SF13BW125") == []
    assert ask(gateway(), 1_000_000, size=7) == []
    assert ask(gateway(tx_ack=False), 1_000_000) == []


def test_refuses_on_demand() -> None:
    made = gateway()
    made.refuse.extend(["COLLISION_BEACON", "UNKNOWN"])
    assert [ask(made, 1_000_000 * n)[0] for n in (1, 2, 3)] == ["COLLISION_BEACON", "UNKNOWN", "NONE"]


def test_frames_of_one_round_share_a_datagram() -> None:
    made = gateway()
    drain(made)
    for n in range(9):
        made.hear(Reception(PHY, 868_900_000, "SF9BW125", -101.6, -3.27, T0, T0 + 1_000 + n), T0 + 1_000 + n)
    made.handle_timer(T0 + 10_000)
    made.handle_timer(T0 + 20_000)
    pushed = [e for e in drain(made) if isinstance(e, Datagram) and e.data[3] == 0]
    bodies = [json.loads(p.data[12:])["rxpk"] for p in pushed]
    assert [len(body) for body in bodies] == [8, 1]
    assert all(not p.pull and p.data[4:12] == EUI.to_bytes(8, "big") for p in pushed)
    first = bodies[0][0]
    assert first["tmst"] == made.tmst(T0 + 1_000)
    assert (first["freq"], first["datr"], first["rssi"], first["lsnr"], first["chan"]) == (
        868.9,
        "SF9BW125",
        -102,
        -3.3,
        0,
    )
    assert base64.b64decode(first["data"]) == PHY and first["size"] == len(PHY) and first["stat"] == 1


def test_keepalive_and_stat() -> None:
    made = gateway(latitude=55.04, longitude=59.0)
    sent = {"pull": 0, "stat": 0}
    while (due := made.timer()) is not None and due <= T0 + 60_000_000:
        made.handle_timer(due)
        for effect in drain(made):
            if isinstance(effect, Datagram):
                sent["pull"] += effect.data[3] == 2
                if effect.data[3] == 0:
                    stat = json.loads(effect.data[12:])["stat"]
                    assert stat["lati"] == 55.04 and stat["time"].endswith("GMT")
                    sent["stat"] += 1
    assert sent == {"pull": 7, "stat": 2}


def test_restart_loses_the_queue_and_moves_the_counter() -> None:
    made = gateway()
    assert ask(made, 1_000_000) == ["NONE"]
    before = made.tmst(T0 + 500_000)
    made.restart(T0 + 500_000)
    assert made.tmst(T0 + 500_000) != before
    made.handle_timer(T0 + 2_000_000)
    assert not [e for e in drain(made) if isinstance(e, Downlink)]


def test_deaf_while_transmitting() -> None:
    made = gateway()
    ask(made, 1_000_000)
    made.handle_timer(T0 + 1_000_000)
    assert made.busy(T0 + 990_000, T0 + 1_001_000)
    assert not made.busy(T0 + 1_051_457, T0 + 1_060_000)
    assert not gateway(half_duplex=False).busy(T0, T0 + 9_000_000)


@given(st.binary(max_size=64))
def test_garbage_never_escapes(data: bytes) -> None:
    made = gateway()
    made.receive(data, T0)
    made.receive(b"\x02\0\0\x03" + data, T0)
    try:
        message = parse(data)
    except FrameError:
        return
    assert isinstance(message, FromServer)


@given(
    st.dictionaries(
        st.sampled_from(["freq", "datr", "data", "size", "tmst", "tmms", "imme", "powe", "ipol"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.lists(st.integers(), max_size=2),
    )
)
def test_nonsense_in_txpk_is_a_frame_error(txpk: dict[str, Any]) -> None:
    """Whatever a field of an otherwise good request holds, the gateway answers or is silent."""
    made = gateway()
    datagram = pull_resp(tmst=made.tmst(T0 + 1_000_000), **txpk) if "tmst" not in txpk else pull_resp(**txpk)
    with contextlib.suppress(FrameError):
        parse_txpk(datagram[4:])
    made.receive(datagram, T0)
    assert len(tx_acks(made)) <= 1

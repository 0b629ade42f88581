"""The protocol's state without a socket, on the whole server: who is answered, when, and what is counted."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lns.gateways.gateway import UNKNOWN_LIMIT
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.vectors import Row, load, params

UDP = {row["id"]: row for row in load("lns_scenarios.json")["udp"]}
VECTOR_EUI = "0102030405060708"


def vector_gateway(lab: Lab) -> Any:
    gateway = lab.gateway()
    lab.call("gateway_put", gateway_eui=VECTOR_EUI)
    gateway.eui = VECTOR_EUI
    return gateway


class Wire:
    """Everything the server puts on the wire, raw."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.sent: list[tuple[bytes, tuple[Any, ...]]] = []
        monkeypatch.setattr(lab.engine.gwmp, "_send", lambda datagram, address: self.sent.append((datagram, address)))
        monkeypatch.setattr(lab, "_send", lambda datagram, address: self.sent.append((datagram, address)))

    def answers(self, datagram: bytes) -> list[bytes]:
        self.sent.clear()
        self.lab.receive(datagram, ("10.1.2.3", 999))
        assert all(address == ("10.1.2.3", 999) for _, address in self.sent)
        return [datagram for datagram, _ in self.sent]


@pytest.fixture
def wire(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Wire:
    lab.call("gateway_put", gateway_eui=VECTOR_EUI)
    return Wire(lab, monkeypatch)


@pytest.mark.parametrize("row", params([UDP["pull-data"], UDP["pull-data-123"]], "id"))
def test_pull_data_vectors(wire: Wire, row: Row) -> None:
    assert wire.answers(bytes.fromhex(row["send"]["hex"])) == [bytes.fromhex(row["expect"]["hex"])]


@pytest.mark.parametrize("row", params([row for row in UDP.values() if "header_hex" in (row["send"] or {})], "id"))
def test_push_data_vectors_are_acknowledged(wire: Wire, row: Row) -> None:
    datagram = bytes.fromhex(row["send"]["header_hex"]) + json.dumps(row["send"]["json"]).encode()
    assert wire.answers(datagram) == [bytes.fromhex(row["expect"]["push_ack_hex"])]


@pytest.mark.parametrize(
    "row", params([row for row in UDP.values() if "json" in (row["send"] or {}) and "uplinks" in row["expect"]], "id")
)
def test_rxpk_vectors_count(wire: Wire, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many receptions reach the engine: one for each antenna."""
    taken: list[Any] = []
    monkeypatch.setattr(wire.lab.engine, "uplink", lambda rx, now: taken.append(rx))
    (ack,) = wire.answers(b"\x02\x00\x01\x00" + bytes.fromhex(VECTOR_EUI) + json.dumps(row["send"]["json"]).encode())
    assert ack == b"\x02\x00\x01\x01"
    expected = row["expect"]
    assert len(taken) == expected["uplinks"]
    if row["id"] == "push-rsig":
        found = [[getattr(rx, name) for rx in taken] for name in ("rssi_dbm", "snr_db", "antenna", "channel")]
        assert found == [expected[name] for name in ("rssi", "snr", "antenna", "channel")]
    if row["id"] == "push-gps":
        assert taken[0].board == 2


@pytest.mark.parametrize("row", params([UDP["push-data-stat"], UDP["push-data-stat-noloc"]], "id"))
def test_stat_vectors(wire: Wire, row: Row) -> None:
    wire.answers(bytes.fromhex(row["send"]["header_hex"]) + json.dumps(row["send"]["json"]).encode())
    record = wire.lab.call("gateway", key=VECTOR_EUI)
    assert record.stat == row["send"]["json"]["stat"]
    location = row["expect"]["stats"]["location"]
    assert (record.latitude, record.longitude, record.altitude_m) == tuple(location or (None, None, None))


def test_location_of_the_operator_stays(wire: Wire) -> None:
    wire.lab.call("gateway_put", gateway_eui=VECTOR_EUI, latitude=55.0, longitude=58.9)
    body = {"stat": {"lati": 1.0, "long": 2.0, "alti": 3}}
    wire.answers(b"\x02\x00\x01\x00" + bytes.fromhex(VECTOR_EUI) + json.dumps(body).encode())
    record = wire.lab.call("gateway", key=VECTOR_EUI)
    assert (record.latitude, record.longitude) == (55.0, 58.9)


def test_version_1_is_answered_in_its_version(wire: Wire) -> None:
    assert wire.answers(b"\x01\x12\x34\x02" + bytes.fromhex(VECTOR_EUI)) == [b"\x01\x12\x34\x04"]


@pytest.mark.parametrize("identifier", [1, 3, 4, 6, 255])
def test_what_a_gateway_never_sends(wire: Wire, identifier: int) -> None:
    assert wire.answers(b"\x02\x00\x01" + bytes((identifier,)) + bytes.fromhex(VECTOR_EUI) + b"{}") == []
    assert wire.lab.counters["bad_datagrams"] == 1


def test_unknown_gateways_are_listed_and_not_answered(wire: Wire) -> None:
    lab = wire.lab
    for eui in ("70b3d50000000099", "70b3d50000000098"):
        for head in (b"\x02\x00\x01\x00", b"\x02\x00\x01\x02", b"\x02\x00\x01\x05"):
            assert wire.answers(head + bytes.fromhex(eui) + b'{"stat":{}}') == []
        lab.advance(SECOND_US)
    listed = lab.call("gateways_unknown").items
    assert [(one.gateway_eui, one.address, one.datagrams) for one in listed] == [
        ("70b3d50000000098", "10.1.2.3:999", 2),
        ("70b3d50000000099", "10.1.2.3:999", 2),
    ]
    assert listed[0].last_seen_us == lab.wall_us - SECOND_US
    lab.call("gateway_put", gateway_eui="70b3d50000000099")
    assert [one.gateway_eui for one in lab.call("gateways_unknown").items] == ["70b3d50000000098"]
    assert wire.answers(b"\x02\x00\x01\x02" + bytes.fromhex("70b3d50000000099")) == [b"\x02\x00\x01\x04"]
    lab.call("gateway_delete", key="70b3d50000000099")
    assert wire.answers(b"\x02\x00\x01\x02" + bytes.fromhex("70b3d50000000099")) == []


def test_list_of_unknown_gateways_is_bounded(wire: Wire) -> None:
    for number in range(UNKNOWN_LIMIT + 500):
        wire.lab.advance(5_000)
        wire.answers(b"\x02\x00\x01\x02" + number.to_bytes(8, "big"))
    listed = wire.lab.call("gateways_unknown").items
    assert len(listed) == UNKNOWN_LIMIT
    assert listed[0].gateway_eui == f"{UNKNOWN_LIMIT + 499:016x}"


def test_frames_of_an_unknown_gateway_do_nothing(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.eui = "70b3d50000000077"
    token = gateway.hear(node.up(b"\x01"))
    lab.advance(WINDOW_US)
    assert not gateway.acknowledged(token) and lab.events() == []


def test_crc_status(lab: Lab) -> None:
    """-1 is a broken frame; 0 is "no CRC", which some forwarders write for good ones: the MIC decides."""
    gateway, node = lab.gateway(), lab.abp()
    phy = node.up(b"\x01")
    assert gateway.acknowledged(gateway.hear(phy, stat=-1))
    lab.advance(WINDOW_US)
    assert lab.ups() == [] and lab.counters["bad_crc"] == 1
    lab.uplink(phy, stat=0)
    assert lab.ups() == [(0, b"\x01")]


@pytest.mark.parametrize(
    "fields",
    [{"tmst": -1}, {"tmst": 1 << 32}, {"freq": 0}, {"freq": -868.9}, {"freq": 1e11}, {"data": ""},
     {"data": base64.b64encode(bytes(256)).decode()}],
)  # fmt: skip
def test_impossible_values(lab: Lab, fields: Row) -> None:
    gateway, node = lab.gateway(), lab.abp()
    assert gateway.acknowledged(gateway.hear(node.up(), **fields))
    lab.advance(WINDOW_US)
    assert lab.events() == [] and lab.counters["bad_frames"] == 1


def test_acknowledgement_waits_for_the_disk(lab: Lab) -> None:
    """INV-40: none while the commit fails; it recovers by itself, and nothing is lost."""
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 11)]
    lab.disk_full = True
    tokens = []
    for node in nodes:
        tokens.append(gateway.hear(node.up(b"\x01", confirmed=True)))
        lab.advance(SECOND_US)
    tokens.append(gateway.push({"stat": {"rxnb": 1}}))
    assert gateway.push_acks == [] and lab.events() == [] and lab.air == []
    assert gateway.acknowledged(gateway.pull()) is False and gateway.pull_acks
    lab.disk_full = False
    lab.advance(SECOND_US)
    lab.pump()
    assert gateway.push_acks == tokens
    assert [event.dev_eui for event in lab.events("up")] == [node.dev_eui for node in nodes]
    lab.kill()
    assert len(lab.events("up")) == 10


def test_memory_is_bounded_while_the_disk_is_full(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lns.engine.MAX_BATCH", 50)
    gateway, node = lab.gateway(), lab.abp()
    lab.disk_full = True
    gateway.hear(node.up())
    for _ in range(100):
        gateway.push({"stat": {}})
    for _ in range(100):
        gateway.hear(node.up())
    assert len(lab.state.batch.acks) <= 51
    assert lab.counters["overload"] >= 100
    lab.disk_full = False
    lab.pump()
    assert gateway.acknowledged(gateway.hear(node.up()))
    lab.advance(WINDOW_US)
    assert lab.ups()[-1][0] == 101


def test_garbage_never_raises_and_never_gets_more_than_one_answer(wire: Wire) -> None:
    rng = random.Random(4)
    eui = bytes.fromhex(VECTOR_EUI)
    for _ in range(3000):
        size = rng.choice((0, 1, 4, 11, 12, 13, 30, 200, 1500))
        datagram = rng.randbytes(size)
        if rng.random() < 0.8:
            datagram = bytes((rng.choice((1, 2)), 0, 1, rng.randrange(7))) + eui + datagram
        assert len(wire.answers(datagram)) <= 1
    assert wire.lab.counters["internal_errors"] == 0


def test_64_kib(wire: Wire) -> None:
    eui = bytes.fromhex(VECTOR_EUI)
    for body in (
        b"{" * 65_495,
        b'{"stat":{"a":"' + b"x" * 65_470 + b'"}}',
        bytes(65_495),
        b'{"rxpk":[' + b"{}," * 21_000 + b"{}]}",
    ):
        assert len(wire.answers(b"\x02\x00\x01\x00" + eui + body[:65_495])) <= 1
    stat = wire.lab.call("gateway", key=VECTOR_EUI).stat
    assert len(str(stat)) < 10_000


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_datagrams(wire: Wire, data: st.DataObject) -> None:
    """A good datagram with bytes changed, cut out, doubled."""
    phy = base64.b64encode(bytes.fromhex("4001000001000000010e5a5a5a5a")).decode()
    entry = {"tmst": 1, "freq": 868.9, "datr": "SF9BW125", "stat": 1, "rssi": -90, "lsnr": 5.0, "size": 14, "data": phy}
    good = b"\x02\x00\x01\x00" + bytes.fromhex(VECTOR_EUI) + json.dumps({"rxpk": [entry]}).encode()
    datagram = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(datagram) - 1))
        kind = data.draw(st.sampled_from(("set", "cut", "double")))
        if kind == "set":
            datagram[at] = data.draw(st.integers(0, 255))
        elif kind == "cut" and len(datagram) > 20:
            del datagram[at : at + data.draw(st.integers(1, 20))]
        else:
            datagram[at:at] = datagram[at : at + 20]
    assert len(wire.answers(bytes(datagram))) <= 1
    wire.lab.advance(WINDOW_US)

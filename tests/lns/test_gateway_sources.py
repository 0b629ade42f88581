"""Who may speak for a gateway, how much, and what a stranger gets (SEC-07, SEC-08, SEC-09, SEC-11)."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from internalapi import messages as m
from lns.api.errors import Refused
from lns.clock import Now
from lns.gateways.gateway import UNKNOWN_LIMIT
from lns.gateways.sources import SOURCES_LIMIT, Binding, Bucket, Sources, parse_networks
from lns.settings import UdpSettings
from tests.support.fake_gateway import FakeGateway
from tests.support.lab import SECOND_US, WINDOW_US, Lab

THIEF = ("203.0.113.66", 4000)


class Wires:
    """Everything that leaves the server, with its address."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[bytes, tuple[Any, ...]]] = []
        deliver = lab._send

        def note(datagram: bytes, address: tuple[Any, ...]) -> None:
            self.sent.append((datagram, address))
            deliver(datagram, address)

        monkeypatch.setattr(lab.engine.gwmp, "_send", note)
        monkeypatch.setattr(lab, "_send", note)

    def to(self, address: tuple[Any, ...], identifier: int | None = None) -> list[bytes]:
        return [one for one, where in self.sent if where == address and identifier in (None, one[3])]


@pytest.fixture
def wires(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(lab, monkeypatch)


def pull(lab: Lab, eui: str, address: tuple[Any, ...], token: bytes = b"\x77\x77") -> None:
    lab.receive(b"\x02" + token + b"\x02" + bytes.fromhex(eui), address)


def push(lab: Lab, gateway: FakeGateway, phy: bytes, address: tuple[Any, ...], **fields: Any) -> None:
    body = json.dumps({"rxpk": [gateway.rxpk(phy, **fields)]}).encode()
    lab.receive(b"\x02\x78\x78\x00" + bytes.fromhex(gateway.eui) + body, address)


def known(lab: Lab, gateway: FakeGateway) -> Any:
    return lab.state.gateways.get(int(gateway.eui, 16))


# ------------------------------------------------------------------------------------------------------------ SEC-07


def test_sec_07_second_source_steals_no_downlinks(lab: Lab, wires: Wires) -> None:
    gateway, node = lab.gateway(), lab.abp()
    for _ in range(20):
        pull(lab, gateway.eui, THIEF)
        gateway.pull()
        pull(lab, gateway.eui, THIEF)
        (sent,) = lab.uplink(node.up(confirmed=True))
        assert sent.gateway == gateway.eui
        lab.advance(5 * SECOND_US)
    assert wires.to(THIEF) == []
    assert known(lab, gateway).disputed == lab.counters["disputed_source"] == 40
    claim = lab.call("gateway", key=gateway.eui).claim
    assert (claim.address, claim.datagrams) == (THIEF[0], 40)


def test_sec_07_the_operator_is_told_once_an_hour(lab: Lab) -> None:
    gateway = lab.gateway()
    for _ in range(100):
        gateway.pull()
        pull(lab, gateway.eui, THIEF)
        lab.advance(30 * SECOND_US)
        lab.engine.keeper.tend(lab.now)
        lab.pump()
    told = [event for event in lab.events("gateway") if event.code == "GATEWAY_SOURCE"]
    assert len(told) == 1 and told[0].gateway_eui == gateway.eui and THIEF[0] in told[0].text


def test_sec_07_after_a_rebinding_of_the_nat_all_is_well_within_60_s(lab: Lab, wires: Wires) -> None:
    """The router got a new address. Frames are never lost; downlinks come back with the first PULL_DATA after the hold."""
    gateway, node = lab.gateway(), lab.abp()
    assert len(lab.uplink(node.up(confirmed=True))) == 1
    moved = (("198.51.100.9", 5000), ("198.51.100.9", 5001))
    heard = 0
    for second in range(0, 70, 10):
        pull(lab, gateway.eui, moved[1])
        push(lab, gateway, node.up(b"\x05"), moved[0])
        lab.advance(WINDOW_US)
        heard += 1
        assert len(lab.ups()) == heard + 1
        lab.advance(10 * SECOND_US - WINDOW_US)
        if second >= 60:
            break
    assert len(wires.to(moved[0], 1)) == heard
    assert known(lab, gateway).pull_address == moved[1]
    wires.sent.clear()
    push(lab, gateway, node.up(confirmed=True), moved[0])
    lab.advance(WINDOW_US)
    assert len(wires.to(moved[1], 3)) == 1


def test_sec_07_other_port_of_the_same_address_is_normal(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.port = 43_210
    gateway.pull()
    assert len(lab.uplink(node.up(confirmed=True))) == 1
    assert lab.counters["disputed_source"] == 0


def test_sec_07_disputed_frames_are_taken_without_their_circumstances(lab: Lab) -> None:
    """The MIC proves the frame; nothing proves its signal, its time or its gateway's place."""
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up())
    before = known(lab, gateway)
    clock, uplinks = before.clock._offset_us, before.uplinks
    push(lab, gateway, node.up(b"\x09", confirmed=True), THIEF, tmst=123, rssi=-1, lsnr=30.0, tmms=10**12)
    body = b'{"stat":{"lati":1.5,"long":2.5,"alti":3,"ackr":0.0}}'
    lab.receive(b"\x02\x00\x01\x00" + bytes.fromhex(gateway.eui) + body, THIEF)
    lab.advance(WINDOW_US)
    event = lab.events("up")[-1]
    assert event.data == b"\x09"
    (reception,) = event.receptions
    assert (reception.rssi_dbm, reception.snr_db, reception.tmst) == (None, None, None)
    assert lab.air == []
    assert (before.clock._offset_us, before.uplinks, before.stat, before.position) == (clock, uplinks, {}, None)


def test_sec_07_forged_tx_ack_of_65536_tokens(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui)
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up())
    eui = bytes.fromhex(gateway.eui)
    for number in range(65_536):
        lab.mono_us += 10_000 // 200  # within nobody's budget
        lab.engine.receive(b"\x02" + number.to_bytes(2, "big") + b"\x05" + eui, THIEF, lab.now)
    lab.pump()
    assert lab.item(item).state == "scheduled"
    lab.mono_us -= 65_536 * 50  # the real answer came all the same in time
    gateway.answer(sent.token)
    lab.pump()
    assert lab.item(item).state == "sent"


def test_sec_07_tx_ack_of_the_right_address_with_a_wrong_token(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui)
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up())
    for number in range(300):
        token = ((int.from_bytes(sent.token, "big") + 1 + number) % 65_536).to_bytes(2, "big")
        gateway.answer(token)
    lab.pump()
    assert lab.item(item).state == "scheduled" and lab.counters["stray_tx_ack"] == 300


def test_sec_07_gateway_of_another_protocol_is_not_taken_over(lab: Lab, wires: Wires) -> None:
    gateway, node = lab.gateway(pulls=False), lab.abp()
    front = object()
    known(lab, gateway).front = front
    pull(lab, gateway.eui, THIEF)
    push(lab, gateway, node.up(b"\x02"), THIEF)
    lab.advance(WINDOW_US)
    assert known(lab, gateway).front is front and known(lab, gateway).pull_address is None
    assert wires.to(THIEF, 4) == [] and lab.ups() == [(0, b"\x02")]


@pytest.mark.parametrize("hold_s", [0, 5, 300])
def test_sec_07_hold_is_a_setting(tmp_path: Path, hold_s: int) -> None:
    lab = Lab(tmp_path, gateways={"udp": {"gateway_source_hold_s": hold_s}})
    gateway = lab.gateway()
    lab.advance(max(0, hold_s * SECOND_US - 1))
    pull(lab, gateway.eui, THIEF)
    assert (known(lab, gateway).pull_address == THIEF) is (hold_s == 0)
    lab.advance(1)
    pull(lab, gateway.eui, THIEF)
    assert known(lab, gateway).pull_address == THIEF
    lab.close()


def test_sec_08_nothing_is_sent_to_an_address_that_fell_silent(lab: Lab, wires: Wires) -> None:
    gateway = lab.gateway()
    front, known_one = lab.engine.gwmp, known(lab, gateway)
    lab.advance(901 * SECOND_US)
    assert front.transmit(known_one, [], None, lab.now) is False


# ---------------------------------------------------------------------------------------------------- allowed networks


def test_networks_of_one_gateway(lab: Lab, wires: Wires) -> None:
    gateway, node = lab.gateway(), lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, allowed_sources=["10.0.0.0/24", "fd00::/8"])
    assert len(lab.uplink(node.up(confirmed=True))) == 1
    lab.advance(100 * SECOND_US)
    pull(lab, gateway.eui, THIEF)
    push(lab, gateway, node.up(b"\x01"), THIEF)
    lab.advance(WINDOW_US)
    assert wires.to(THIEF) == [] and len(lab.ups()) == 1 and lab.counters["forbidden_source"] == 2
    pull(lab, gateway.eui, ("fd00::7", 999, 0, 0))
    assert known(lab, gateway).pull_address == ("fd00::7", 999, 0, 0)
    lab.call("gateway_put", gateway_eui=gateway.eui, allowed_sources=["10.0.0.1"])
    assert known(lab, gateway).pull_address is None
    lab.kill()
    assert lab.call("gateway", key=gateway.eui).allowed_sources == ["10.0.0.1/32"]
    with pytest.raises(Refused, match=r"10\.0\.0\.0/33"):
        lab.call("gateway_put", gateway_eui=gateway.eui, allowed_sources=["10.0.0.0/33"])


def test_networks_of_all_gateways(tmp_path: Path) -> None:
    lab = Lab(tmp_path, gateways={"udp": {"allowed_sources": ["10.0.0.0/8"]}})
    gateway = lab.gateway()
    assert gateway.pull_acks
    pull(lab, "70b3d50000000099", THIEF)
    assert lab.counters["forbidden_source"] == 1 and lab.call("gateways_unknown").items == []
    lab.close()


def test_a_socket_for_both_families_shows_ipv4_in_ipv6(tmp_path: Path) -> None:
    """``listen = "[::]:1700"`` takes IPv4 too, and the kernel writes its addresses as ::ffff:a.b.c.d."""
    lab = Lab(tmp_path, gateways={"udp": {"allowed_sources": ["10.0.0.0/8"]}})
    gateway = lab.gateway(pulls=False)
    lab.call("gateway_put", gateway_eui=gateway.eui, allowed_sources=["10.0.0.0/24"])
    pull(lab, gateway.eui, ("::ffff:10.0.1.7", 999, 0, 0))
    pull(lab, gateway.eui, ("::ffff:203.0.113.66", 999, 0, 0))
    assert lab.counters["forbidden_source"] == 2 and known(lab, gateway).pull_address is None
    pull(lab, gateway.eui, ("::ffff:10.0.0.7", 999, 0, 0))
    assert known(lab, gateway).pull_address == ("::ffff:10.0.0.7", 999, 0, 0)
    lab.close()


@pytest.mark.parametrize("wrong", ["", "10.0.0.0/33", "gateway", "10.0.0", "::/129"])
def test_wrong_networks_are_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not an address or network"):
        parse_networks([wrong])
    with pytest.raises(ValueError, match="is not an address or network"):
        UdpSettings(allowed_sources=[wrong])


def test_families_are_not_mixed() -> None:
    binding = Binding()
    binding.limit(["0.0.0.0/0"])
    assert binding.takes("192.0.2.1", 0, Now(0, 0)) and not binding.takes("2001:db8::1", 0, Now(1, 1))
    assert Binding().takes("fe80::1%eth0", 0, Now(0, 0))


# ----------------------------------------------------------------------------------------------- SEC-08, SEC-09, SEC-11


def test_sec_08_no_answer_is_larger_than_its_question(lab: Lab, wires: Wires) -> None:
    gateway = lab.gateway()
    rng, eui = random.Random(8), bytes.fromhex(gateway.eui)
    for number in range(20_000):
        lab.mono_us += 10_000
        size = rng.choice((0, 1, 3, 4, 11, 12, 13, 40, 300))
        datagram = rng.randbytes(size)
        if number % 2:
            datagram = bytes((rng.choice((1, 2)), 0, 1, rng.randrange(7))) + eui + datagram
        wires.sent.clear()
        lab.engine.receive(datagram, ("10.0.0.1", 1000), lab.now)
        lab.pump()
        assert sum(len(one) for one, _ in wires.sent) <= len(datagram) and len(wires.sent) <= 1
    assert lab.counters["internal_errors"] == 0


def test_sec_09_a_flood_costs_others_nothing(lab: Lab) -> None:
    """50,000 datagrams a second from one address, of unknown and of stolen EUIs: every frame of the others is taken."""
    gateways = [lab.gateway(number) for number in (1, 2)]
    node = lab.abp()
    rng = random.Random(9)
    flood = [b"\x02\x00\x01\x02" + rng.randbytes(8) for _ in range(500)]
    flood += [b"\x02\x00\x01\x00" + bytes.fromhex(gateways[0].eui) + b'{"rxpk":[{"x":' + b"1" * 900 for _ in range(500)]
    begin = time.process_time()
    for _ in range(50):
        for datagram in flood:
            lab.mono_us += 20
            lab.engine.receive(datagram, THIEF, lab.now)
        phy = node.up(b"\x01")
        tokens = [gateway.hear(phy) for gateway in gateways]
        lab.advance(WINDOW_US)
        assert all(gateway.acknowledged(token) for gateway, token in zip(gateways, tokens, strict=True))
    assert len(lab.ups()) == 50
    assert lab.counters["over_budget"] > 40_000
    assert lab.counters["bad_datagrams"] + lab.counters["unknown_gateway"] < 50 * 100 + 1000
    assert time.process_time() - begin < 10


def test_sec_09_budget_of_a_registered_gateway_is_its_own(lab: Lab) -> None:
    """One that runs wild behind the same NAT silences itself, not its neighbour."""
    wild, quiet = lab.gateway(1), lab.gateway(2)
    for _ in range(1000):
        wild.push({"stat": {}})
    assert len(wild.push_acks) == 400
    assert quiet.acknowledged(quiet.push({"stat": {}}))
    lab.advance(SECOND_US)
    for _ in range(1000):
        wild.push({"stat": {}})
    assert len(wild.push_acks) == 600


def test_budgets_can_be_set_and_switched_off(tmp_path: Path) -> None:
    for per_s, expected in ((0, 1000), (10, 20)):
        folder = tmp_path / str(per_s)
        folder.mkdir()
        lab = Lab(folder, gateways={"udp": {"datagrams_per_s": per_s, "datagrams_burst": 20}})
        gateway = lab.gateway()
        lab.advance(10 * SECOND_US)
        for _ in range(1000):
            gateway.push({"stat": {}})
        assert len(gateway.push_acks) == expected
        lab.close()


def test_bucket_fills_up_and_no_further() -> None:
    bucket = Bucket(4, 0)
    assert [bucket.take(2, 4, 0) for _ in range(5)] == [True] * 4 + [False]
    assert [bucket.take(2, 4, 500_000) for _ in range(2)] == [True, False]
    assert [bucket.take(2, 4, 60_000_000) for _ in range(5)] == [True] * 4 + [False]


def test_sec_11_lists_of_strangers_are_bounded_and_nothing_of_theirs_is_parsed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lns.gateways.gwmp.codec.push_data", lambda datagram: pytest.fail("JSON of a stranger was read")
    )
    for number in range(SOURCES_LIMIT + 1000):
        address = (f"198.18.{number >> 8}.{number & 255}", 1)
        lab.receive(b"\x02\x00\x01\x00" + number.to_bytes(8, "big") + b'{"rxpk":[]}', address)
    assert len(lab.call("gateways_unknown").items) == UNKNOWN_LIMIT
    assert len(lab.engine.gwmp._sources._buckets) == SOURCES_LIMIT
    monkeypatch.undo()
    (newest, *_) = lab.call("gateways_unknown").items
    assert isinstance(newest, m.UnknownGateway) and newest.address.startswith("198.18.")
    lab.call("gateway_put", gateway_eui=newest.gateway_eui, name="adopted")
    assert len(lab.call("gateways_unknown").items) == UNKNOWN_LIMIT - 1


def test_an_address_that_was_forgotten_begins_anew() -> None:
    sources = Sources(1, 2, ())
    assert [sources.admits("192.0.2.1", 0) for _ in range(3)] == [True, True, False]
    for number in range(SOURCES_LIMIT):
        assert sources.admits(f"10.1.{number >> 8}.{number & 255}", 0)
    assert sources.admits("192.0.2.1", 0)

"""Gateways behind MQTT on the laboratory's engine: no broker, no socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chirpstack_api import gw

from lns.gateways.mqtt.front import MqttFront
from tests.support.lab import SECOND_US, Lab

EUI = "0016c001ff1e5a01"


class Forwarder:
    """A gateway with the MQTT Forwarder, on ``chirpstack-api``'s messages."""

    def __init__(self, lab: Lab, eui: str = EUI) -> None:
        self.lab = lab
        self.eui = eui
        self.heard: list[gw.DownlinkFrame] = []
        self.statuses: list[list[int]] = []
        """What it answers next, one list a downlink; none is silence, an empty plan takes the first item."""
        self.broker_is_there = True
        self.front = MqttFront(lab.engine, "ru864/", self._publish, "broker:1883")

    def _publish(self, topic: str, payload: bytes) -> bool:
        if not self.broker_is_there:
            return False
        assert topic == f"ru864/gateway/{self.eui}/command/down"
        down = gw.DownlinkFrame.FromString(payload)
        self.heard.append(down)
        statuses = self.statuses.pop(0) if self.statuses else [gw.OK] + [gw.IGNORED] * (len(down.items) - 1)
        if statuses:
            self.ack(down.downlink_id, statuses)
        return True

    def ack(self, downlink_id: int, statuses: list[int], eui: str = "") -> None:
        ack = gw.DownlinkTxAck(gateway_id=self.eui, downlink_id=downlink_id)
        for status in statuses:
            ack.items.add(status=status)
        self.later = ("event/ack", ack.SerializeToString(), eui)
        self.deliver()

    def deliver(self) -> None:
        """The acknowledgement arrives behind the command, not within it."""
        kind, payload, eui = self.later
        self.lab.state.batch.after.append(lambda now: self.say(kind, payload, eui))

    def say(self, kind: str, payload: bytes, eui: str = "", retained: bool = False) -> None:
        self.front.receive(f"ru864/gateway/{eui or self.eui}/{kind}", payload, self.lab.now, retained)

    def hear(self, phy: bytes, context: bytes = b"\x00\x0f\x42\x40") -> None:
        frame = gw.UplinkFrame(phy_payload=phy)
        frame.tx_info.frequency = 868_900_000
        frame.tx_info.modulation.lora.bandwidth = 125_000
        frame.tx_info.modulation.lora.spreading_factor = 9
        frame.rx_info.gateway_id, frame.rx_info.context = self.eui, context
        frame.rx_info.rssi, frame.rx_info.snr, frame.rx_info.crc_status = -90, 6.0, gw.CRC_OK
        self.say("event/up", frame.SerializeToString())
        self.lab.pump()
        self.lab.advance(200_000)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def forwarder(lab: Lab) -> Forwarder:
    lab.call("gateway_put", gateway_eui=EUI)
    return Forwarder(lab)


def test_an_uplink_is_handed_over_and_acknowledged_by_a_downlink(lab: Lab, forwarder: Forwarder) -> None:
    node = lab.abp()
    forwarder.hear(node.up(b"\x07", confirmed=True))
    assert lab.ups() == [(0, b"\x07")]
    (down,) = forwarder.heard
    assert [item.tx_info.timing.delay.delay.ToMicroseconds() for item in down.items] == [SECOND_US, 2 * SECOND_US]
    assert {bytes(item.phy_payload) for item in down.items} == {bytes(down.items[0].phy_payload)}
    assert node.read(down.items[0].phy_payload).ack
    assert all(item.tx_info.context == b"\x00\x0f\x42\x40" for item in down.items)
    (gateway,) = lab.call("gateways").items
    assert (gateway.uplinks, gateway.downlinks, gateway.tx_outcomes) == (1, 1, {"NONE": 1})


def test_the_second_window_is_booked_when_the_gateway_chose_it(lab: Lab, forwarder: Forwarder) -> None:
    node = lab.abp()
    lab.queue(node.dev_eui, b"\x01")
    forwarder.statuses = [[gw.COLLISION_PACKET, gw.OK]]
    forwarder.hear(node.up())
    (row,) = lab.call("frames", type="down").items
    assert row.outcome.startswith("sent") and row.frequency_hz == 869_100_000
    used = {band.min_hz: band.used_ms for band in lab.call("gateway", key=EUI).sub_bands if band.used_ms}
    assert len(used) == 1 and next(iter(used.values())) > 800, "RX2 is SF12"


def test_no_item_taken_means_back_to_the_queue(lab: Lab, forwarder: Forwarder) -> None:
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x01")
    forwarder.statuses = [[gw.TOO_LATE, gw.DUTY_CYCLE_OVERFLOW]]
    forwarder.hear(node.up())
    item = lab.item(id)
    assert item.state == "queued" and "DUTY_CYCLE_OVERFLOW" in item.reason
    forwarder.hear(node.up())
    assert lab.item(id).state == "sent"
    counters = [node.read(down.items[0].phy_payload).f_cnt for down in forwarder.heard]
    assert counters == [0, 1], "every try under a counter of its own"


def test_sec_07_an_acknowledgement_of_another_gateway_is_ignored(lab: Lab, forwarder: Forwarder) -> None:
    lab.call("gateway_put", gateway_eui="0016c001ff1e5a02")
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x01")
    forwarder.statuses = [[]]
    forwarder.hear(node.up())
    forwarder.ack(forwarder.heard[0].downlink_id, [gw.OK], eui="0016c001ff1e5a02")
    lab.pump()
    assert lab.item(id).state == "scheduled" and lab.counters["stray_tx_ack"] == 1
    forwarder.ack(forwarder.heard[0].downlink_id, [gw.OK])
    lab.pump()
    assert lab.item(id).state == "sent"


def test_without_a_broker_there_is_no_path(lab: Lab, forwarder: Forwarder) -> None:
    node = lab.abp()
    id = lab.queue(node.dev_eui, b"\x01")
    forwarder.broker_is_there = False
    forwarder.hear(node.up())
    assert lab.item(id).state == "queued" and "no path" in lab.item(id).reason


def test_birth_and_last_will(lab: Lab, forwarder: Forwarder) -> None:
    gateway = lab.state.gateways.get(int(EUI, 16))
    assert gateway is not None
    online, offline = (gw.ConnState(state=state).SerializeToString() for state in (1, 0))
    forwarder.say("state/conn", online, retained=True)
    assert gateway.front is forwarder.front and not gateway.is_online(lab.now), "retained: of who knows when"
    forwarder.say("state/conn", online)
    assert gateway.is_online(lab.now)
    forwarder.say("state/conn", offline)
    assert gateway.front is None
    forwarder.say("event/stats", gw.GatewayStats(rx_packets_received=3).SerializeToString())
    assert gateway.front is forwarder.front and gateway.stat["rxnb"] == 3
    forwarder.front.disconnected()
    assert gateway.front is None


def test_strangers_are_listed_and_garbage_is_counted(lab: Lab, forwarder: Forwarder) -> None:
    forwarder.say("event/up", b"\xff\xff", eui="00000000000000aa")
    assert [one.gateway_eui for one in lab.call("gateways_unknown").items] == ["00000000000000aa"]
    forwarder.say("event/up", b"\xff\xff")
    forwarder.say("event/up", b"")
    assert lab.counters["bad_datagrams"] >= 1 and not lab.events("up")


def test_a_gateway_that_writes_json_is_answered_in_json(lab: Lab, forwarder: Forwarder) -> None:
    from google.protobuf import json_format

    said: list[bytes] = []
    front = MqttFront(lab.engine, "ru864/", lambda topic, payload: said.append(payload) is None, "broker:1883")
    node = lab.abp()
    frame = gw.UplinkFrame(phy_payload=node.up(b"\x05", confirmed=True))
    frame.tx_info.frequency = 868_900_000
    frame.tx_info.modulation.lora.bandwidth, frame.tx_info.modulation.lora.spreading_factor = 125_000, 9
    frame.rx_info.context = b"\0\0\0\1"
    front.receive(f"ru864/gateway/{EUI}/event/up", json_format.MessageToJson(frame).encode(), lab.now)
    lab.pump()
    lab.advance(200_000)
    assert node.read(json_format.Parse(said[0], gw.DownlinkFrame()).items[0].phy_payload).ack


def test_inv_21_killed_before_the_commit_the_broker_gives_the_frame_again(lab: Lab, forwarder: Forwarder) -> None:
    node = lab.abp()
    phy = node.up(b"\x09")
    with lab.dying("commit"):
        forwarder.hear(phy)
    assert lab.ups() == []
    again = Forwarder(lab)  # the broker gives what was not acknowledged
    again.hear(phy)
    again.hear(phy)
    assert lab.ups() == [(0, b"\x09")]

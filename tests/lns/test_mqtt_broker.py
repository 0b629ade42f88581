"""Gateways behind a real broker, the network process without its process."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import gw
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from internalapi.client import NetworkClient
from lns.network import Network
from lns.settings import MqttGatewaySettings
from tests.support.live_network import EUI, registered, server, until
from tests.support.mosquitto import Broker, mosquitto


class Forwarder:
    """The MQTT Forwarder of one gateway, publishing with QoS 1."""

    def __init__(self, broker: Broker) -> None:
        self.commands: queue.SimpleQueue[gw.DownlinkFrame] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="forwarder")
        self._client.will_set(f"ru864/gateway/{EUI}/state/conn", self._state(0), qos=1, retain=True)
        self._client.on_message = self._command
        self._client.on_connect = self._connected
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    @staticmethod
    def _state(state: Any) -> bytes:
        return bytes(gw.ConnState(gateway_id=EUI, state=state).SerializeToString())

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe(f"ru864/gateway/{EUI}/command/down", 1)
        client.publish(f"ru864/gateway/{EUI}/state/conn", self._state(1), qos=1, retain=True)

    def _command(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        down = gw.DownlinkFrame.FromString(message.payload)
        ack = gw.DownlinkTxAck(gateway_id=EUI, downlink_id=down.downlink_id)
        ack.items.add(status=gw.OK)
        client.publish(f"ru864/gateway/{EUI}/event/ack", ack.SerializeToString(), qos=1)
        self.commands.put(down)

    def hear(self, phy: bytes) -> None:
        frame = gw.UplinkFrame(phy_payload=phy)
        frame.tx_info.frequency = 868_900_000
        frame.tx_info.modulation.lora.bandwidth = 125_000
        frame.tx_info.modulation.lora.spreading_factor = 9
        frame.rx_info.gateway_id, frame.rx_info.crc_status = EUI, gw.CRC_OK
        frame.rx_info.context = b"\x00\x0f\x42\x40"
        self._client.publish(f"ru864/gateway/{EUI}/event/up", frame.SerializeToString(), qos=1).wait_for_publish(10)

    def is_connected(self) -> bool:
        return self._client.is_connected()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def forwarder(broker: Broker) -> Iterator[Forwarder]:
    forwarder = Forwarder(broker)
    yield forwarder
    forwarder.close()


def behind(broker: Broker) -> dict[str, Any]:
    return {"gateways": {"udp": {"listen": "127.0.0.1:0"}, "mqtt": {"server": broker.url}}}


async def online(network: Network, client: NetworkClient) -> None:
    await until(lambda: (gateway := network.state.gateways.get(int(EUI, 16))) is not None and gateway.front is not None)


async def payloads(client: NetworkClient) -> list[bytes]:
    result = await client.events(limit=100)
    return [event.data for event in result.events if event.type == "up"]


async def test_up_and_down_through_a_broker(folder: Path, broker: Broker, forwarder: Forwarder) -> None:
    async with server(folder, **behind(broker)) as (_, client, _):
        node = await registered(client)
        await client.queue_put(dev_eui=node.dev_eui, f_port=10, data=b"\x33")
        forwarder.hear(node.up(b"\x01"))

        async def handed_over() -> bool:
            return await payloads(client) == [b"\x01"]

        await until(handed_over)
        await until(lambda: not forwarder.commands.empty())
        down = forwarder.commands.get()
        assert node.read(down.items[0].phy_payload).data == b"\x33"

        async def sent() -> bool:
            return (await client.queue(key=node.dev_eui)).items[0].state == "sent"

        await until(sent)


async def test_what_was_published_while_the_server_was_away_is_not_lost(
    folder: Path, broker: Broker, forwarder: Forwarder
) -> None:
    async with server(folder, **behind(broker)) as (_, client, _):
        node = await registered(client)
        forwarder.hear(node.up(b"\x01"))

        async def first() -> bool:
            return await payloads(client) == [b"\x01"]

        await until(first)
    forwarder.hear(node.up(b"\x02"))
    async with server(folder, **behind(broker)) as (_, client, _):

        async def both() -> bool:
            return await payloads(client) == [b"\x01", b"\x02"]

        await until(both)


async def test_a_broker_that_goes_and_comes_back(folder: Path, broker: Broker, forwarder: Forwarder) -> None:
    async with server(folder, **behind(broker)) as (network, client, _):
        node = await registered(client)
        await online(network, client)
        broker.stop()
        await until(lambda: network.state.gateways.get(int(EUI, 16)).front is None)  # type: ignore[union-attr]
        broker.start()
        await until(forwarder.is_connected, 15)
        forwarder.hear(node.up(b"\x04"))

        async def handed_over() -> bool:
            return await payloads(client) == [b"\x04"]

        await until(handed_over, 15)


@pytest.mark.parametrize(
    "fields",
    [
        {"server": "broker:1883"},
        {"server": "http://broker"},
        {"server": "mqtt://"},
        {"server": "mqtt://broker:99999"},
        {"server": "mqtt://user:word@broker"},
        {"server": "mqtt://broker/path"},
        {"server": "mqtt://broker", "qos": 2},
        {"server": "mqtt://broker", "client_id": ""},
    ],
)
def test_bad_settings(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"broker|client_id|qos|username"):
        MqttGatewaySettings(**fields)


@pytest.mark.parametrize(("given", "prefix"), [(None, "ru864/"), ("", ""), ("a/b/", "a/b/"), ("eu868", "eu868/")])
def test_topic_prefix(given: str | None, prefix: str) -> None:
    assert MqttGatewaySettings(topic_prefix=given).prefix("RU864") == prefix

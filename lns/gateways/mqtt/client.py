"""The connection to the MQTT broker: as thin as it can be.

paho's own thread keeps it and comes back after every loss. A message is acknowledged to the broker only when what it brought is
durable, so with QoS 1 from the gateway to here the broker gives again what a crash has cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any
from urllib.parse import urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from lns.clock import system_now
from lns.gateways.mqtt.front import MqttFront
from lns.network import Network
from lns.settings import MqttGatewaySettings

KEEPALIVE_S = 30
RECONNECT_S = (1, 30)

log = structlog.get_logger("mqtt")


class MqttGateways:
    """Gateways behind one broker."""

    def __init__(self, network: Network, settings: MqttGatewaySettings) -> None:
        """Raises OSError or ValueError with what is wrong with the certificates of ``settings``."""
        url = urlsplit(settings.server)
        self._network = network
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._host, self._port = url.hostname or "", url.port or (8883 if url.scheme == "mqtts" else 1883)
        self.address = f"{self._host}:{self._port}"
        self.connected = False
        self._stopping = False
        self.front = MqttFront(network.engine, settings.prefix(network.settings.region), self._publish, self.address)
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=settings.client_id, clean_session=False, manual_ack=True
        )
        if settings.username:
            self._client.username_pw_set(settings.username, settings.password)
        if url.scheme == "mqtts":
            self._client.tls_set_context(_tls(settings))
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background; a broker that is not there yet is tried again and again."""
        self._client.connect_async(self._host, self._port, KEEPALIVE_S)
        self._client.loop_start()

    async def stop(self) -> None:
        self._stopping = True
        self._client.disconnect()
        await self._loop.run_in_executor(None, self._client.loop_stop)

    # -------------------------------------------------------------------------------------------- in paho's thread

    def _to_loop(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(self, client: Client, userdata: Any, flags: ConnectFlags, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            log.error("the MQTT broker refuses this server", broker=self.address, why=str(reason))
            return
        qos: int = self._settings.qos
        client.subscribe([(topic, qos) for topic in self.front.subscriptions])
        self._to_loop(self._connected)

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._to_loop(self._lost, "cannot be reached")

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._to_loop(self._lost, str(reason))

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._to_loop(self._message, message)

    # ------------------------------------------------------------------------------------------------- in the loop

    def _connected(self) -> None:
        self.connected = True
        log.info("gateways are served through an MQTT broker", broker=self.address)

    def _lost(self, why: str) -> None:
        if not self._stopping and (self.connected or why == "cannot be reached"):
            log.warning("the MQTT broker is gone; trying again", broker=self.address, why=why)
        self.connected = False
        self.front.disconnected()

    def _message(self, message: MQTTMessage) -> None:
        network, now = self._network, system_now()
        if network.engine.is_overloaded:
            return  # not acknowledged: with QoS 1 the broker keeps it
        network.guarded(self.front.receive, message.topic, message.payload, now, message.retain)
        if message.qos:
            mid, qos = message.mid, message.qos
            network.state.batch.after.append(lambda now: self._acknowledge(mid, qos))
        network.pump()

    def _acknowledge(self, mid: int, qos: int) -> None:
        self._client.ack(mid, qos)

    def _publish(self, topic: str, payload: bytes) -> bool:
        if not self.connected:
            return False
        self._client.publish(topic, payload, qos=self._settings.qos)
        return True


def _tls(settings: MqttGatewaySettings) -> ssl.SSLContext:
    """TLS to the broker: the system's certificate authorities, or the one of the settings."""
    context = ssl.create_default_context(cafile=settings.ca_certificate or None)
    if settings.certificate:
        context.load_cert_chain(settings.certificate, settings.key or None)
    return context

"""How one event gets to a sink: an HTTP request, or a message to an MQTT broker that acknowledges it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from paho.mqtt.client import Client, ConnectFlags

from appserver.integrations import chirpstack
from appserver.integrations.addresses import AddressRefused, AllowList, check_url
from appserver.integrations.metering import METERING_TYPES
from appserver.mqtt import Broker, BrokerClient, check_broker

TIMEOUT_S = 10.0
ANSWER_BYTES = 65_536
TEMPORARY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Target:
    """A sink as the worker sees it."""

    id: int
    url: str
    headers: dict[str, str]
    events: frozenset[str]
    cursor: int
    broker: Broker | None = None
    """None for a webhook."""


@dataclass(frozen=True, slots=True)
class Item:
    """An event on its way to one sink."""

    outbox_id: int
    dev_eui: str
    type: str
    time_us: int
    body: str
    delivery_id: int | None = None
    """Row of ``delivery`` when it waits there already."""
    attempts: int = 0

    @property
    def topic(self) -> str:
        """The MQTT topic: metering's own events carry theirs, a device's is ChirpStack's."""
        if self.type in METERING_TYPES:
            return str(json.loads(self.body)["topic"])
        return chirpstack.topic(self.type, self.dev_eui)


class Refused(Exception):
    """The sink does not want this event, and will not later."""


class Unavailable(Exception):
    """The sink could not take it now."""


async def post_webhook(session: aiohttp.ClientSession, allow: AllowList, target: Target, item: Item) -> None:
    """One POST. Raises Refused or Unavailable."""
    if problem := check_url(target.url, allow):
        raise Refused(f"url: {problem}")
    parts = urlsplit(target.url)
    query = f"{parts.query}&" if parts.query else ""
    url = urlunsplit(parts._replace(query=query + urlencode({"event": item.type}), fragment=""))
    headers = {**target.headers, "Content-Type": "application/json"}
    try:
        async with session.post(url, data=item.body.encode(), headers=headers, allow_redirects=False) as response:
            await response.content.read(ANSWER_BYTES)
            status = response.status
    except AddressRefused as error:
        raise Refused(str(error)) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise Refused(f"url: {error}") from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, AddressRefused):
            raise Refused(str(error.os_error)) from error
        raise Unavailable(f"no connection: {error.os_error}") from error
    except TimeoutError as error:
        raise Unavailable(f"no answer within {TIMEOUT_S:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    if 200 <= status < 300:
        return
    if status in TEMPORARY or status >= 500:
        raise Unavailable(f"answered {status}")
    raise Refused(f"answered {status}")


class Publisher:
    """A connection that publishes with QoS 1, one message at a time. A failure ends it: make another.

    What the broker acknowledged is its own; what it did not is offered again, so that a message may come twice.
    """

    def __init__(self, broker: Broker, allow: AllowList) -> None:
        """Raises Refused for a broker that cannot be called."""
        self.broker = broker
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._acknowledged: dict[int, asyncio.Future[None]] = {}
        if problem := check_broker(broker.url, broker.ca, allow):
            raise Refused(f"url: {problem}")
        try:
            self._client = BrokerClient(broker, allow, f"meterwan-{secrets.token_hex(7)}", clean_session=True)
        except ssl.SSLError as error:
            raise Refused(f"certificate authority: {error}") from error
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.loop_start()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait until the broker has it. Raises Unavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.shield(self._connected)
                info = self._client.publish(topic, payload, qos=1)
                acknowledged = self._acknowledged.setdefault(info.mid, self._loop.create_future())
                await acknowledged
                del self._acknowledged[info.mid]
        except TimeoutError:
            raise Unavailable(self._client.refusal or f"no answer within {TIMEOUT_S:.0f} s") from None

    async def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        await self._loop.run_in_executor(None, self._client.loop_stop)
        for future in (self._connected, *self._acknowledged.values()):
            future.cancel()

    # -------------------------------------------------------------------------------------------- in paho's thread

    def _to_loop(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _on_connect(self, client: Client, userdata: Any, flags: ConnectFlags, reason: Any, properties: Any) -> None:
        self._to_loop(self._settle_connection, f"the broker refuses: {reason}" if reason.is_failure else "")

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._to_loop(self._settle_connection, self._client.refusal or "the broker cannot be reached")

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._to_loop(self._lost, f"the connection broke: {reason}")

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        self._to_loop(self._settle, mid)

    # ------------------------------------------------------------------------------------------------- in the loop

    def _settle_connection(self, problem: str) -> None:
        if self._connected.done():
            return
        if problem:
            self._connected.set_exception(Unavailable(problem))
            self._connected.exception()  # looked at: nobody may be waiting
        else:
            self._connected.set_result(None)

    def _lost(self, why: str) -> None:
        self._settle_connection(why)
        for future in self._acknowledged.values():
            if not future.done():
                future.set_exception(Unavailable(why))
        if self._connected.done() and not self._connected.cancelled() and self._connected.exception() is None:
            self._connected = self._loop.create_future()
            self._settle_connection(why)

    def _settle(self, mid: int) -> None:
        future = self._acknowledged.setdefault(mid, self._loop.create_future())  # it may be sooner than publish()
        if not future.done():
            future.set_result(None)

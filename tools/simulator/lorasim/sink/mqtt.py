"""A subscriber: takes the events that a network server publishes at a broker."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import SplitResult, unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

DEFAULT_TOPICS = ("application/+/device/+/event/+", "v3/+/devices/+/#", "metering/#")
"""ChirpStack's and MeterWAN's, The Things Stack's, and MeterWAN's own."""
WITHIN_S = 10.0


@contextlib.asynccontextmanager
async def subscribed(url: SplitResult, take: Callable[[bytes, str, str], None]) -> AsyncIterator[None]:
    """Subscribe with QoS 1 to the topic that the URL's path names (``+`` and ``#`` as they are), else to all known ones.

    Connects again by itself, and subscribes again. Raises SinkError when the broker does not take it within ten seconds.
    """
    from lorasim.sink import SinkError

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    path = unquote(url.path).strip("/")
    topics = (path,) if path else DEFAULT_TOPICS

    def finish(problem: str | None) -> None:
        if not ready.done():
            ready.set_result(None) if problem is None else ready.set_exception(SinkError(problem))

    def connected(client: paho.Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        if reason.is_failure:
            loop.call_soon_threadsafe(finish, f"the broker at {url.hostname} refuses: {reason}")
        else:
            client.subscribe([(topic, 1) for topic in topics])

    def acknowledged(_: paho.Client, __: Any, ___: int, reasons: list[ReasonCode], ____: Any) -> None:
        refused = [topic for topic, reason in zip(topics, reasons, strict=False) if reason.is_failure]
        loop.call_soon_threadsafe(finish, f"the broker refuses the topic {refused[0]}" if refused else None)

    def message(_: paho.Client, __: Any, received: paho.MQTTMessage) -> None:
        event = received.topic.rsplit("/", 1)[-1]
        loop.call_soon_threadsafe(take, received.payload, event, "mqtt")

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect, client.on_subscribe, client.on_message = connected, acknowledged, message
    if url.username:
        client.username_pw_set(unquote(url.username), unquote(url.password or ""))
    if url.scheme == "mqtts":
        client.tls_set_context(ssl.create_default_context())
    port = url.port or (8883 if url.scheme == "mqtts" else 1883)
    try:
        client.connect_async(url.hostname or "", port, keepalive=30)
        client.loop_start()
        async with asyncio.timeout(WITHIN_S):
            await ready
        yield
    except TimeoutError as error:
        raise SinkError(f"no broker answers at {url.hostname}:{port} within {WITHIN_S:.0f} s") from error
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)

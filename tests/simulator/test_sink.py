"""The event sink: webhook and MQTT, in the forms of ChirpStack, The Things Stack and MeterWAN."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import paho.mqtt.publish as publish
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lorasim import sink
from lorasim.__main__ import main
from lorasim.sink import FormatError, line_of

from tests.support.mosquitto import mosquitto
from tests.support.ports import free_port

UP = {
    "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
    "time": "2026-11-23T01:35:09.775023242+00:00",
    "deviceInfo": {"devEui": "0101010101010101"},
    "devAddr": "00189440",
    "fCnt": 0,
    "fPort": 2,
    "confirmed": False,
    "data": "qg==",
    "rxInfo": [{"gatewayId": "aa555a0000001302"}, {"gatewayId": "aa555a0000000001"}],
}
THINGS = {
    "end_device_ids": {"device_id": "dev1", "dev_eui": "0004A30B001C0530", "dev_addr": "00BCB929"},
    "correlation_ids": ["gs:x", "as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"],
    "received_at": "2020-02-12T15:15:46.01Z",
    "uplink_message": {
        "f_port": 1,
        "frm_payload": "gkHe",
        "rx_metadata": [{"gateway_ids": {"gateway_id": "g", "eui": "9C5C8E00001A05C4"}}],
    },
}
INCIDENT = {"topic": "metering/7/incident", "time": "2026-01-12T00:00:00Z", "incident": {"id": 5, "devEui": "01"}}


def of(body: dict[str, Any], event: str = "") -> dict[str, Any]:
    return line_of(json.dumps(body).encode(), event)


def test_chirpstack_and_meterwan() -> None:
    line = of(UP, "up")
    assert line == of(UP)  # a body says itself what it is
    assert (line["event"], line["dev_eui"], line["dev_addr"], line["f_cnt"]) == (
        "up",
        "0101010101010101",
        "00189440",
        0,
    )
    assert (line["f_port"], line["data"], line["id"]) == (2, "aa", UP["deduplicationId"])
    assert line["at_us"] == 1_795_397_709_775_023
    assert line["gateways"] == ["aa555a0000000001", "aa555a0000001302"]
    device = {"deviceInfo": {"devEui": "01" * 8}}
    join = of(device | {"devAddr": "00189440"}, "join")
    assert (join["event"], join["dev_addr"]) == ("join", "00189440")
    ack = of(device | {"acknowledged": True, "fCntDown": 3, "queueItemId": "q"}, "ack")
    assert (ack["acked"], ack["f_cnt_down"], ack["item"]) == (True, 3, "q")
    log = of(device | {"level": "ERROR", "code": "UPLINK_MIC", "description": "text"}, "log")
    assert (log["code"], log["text"]) == ("UPLINK_MIC", "text")
    incident = of(INCIDENT)
    assert (incident["event"], incident["form"], incident["dev_eui"], incident["id"]) == (
        "incident",
        "meterwan",
        "01",
        "5",
    )


def test_the_things_stack_leaves_zeros_out() -> None:
    line = of(THINGS)
    assert (line["event"], line["dev_eui"], line["dev_addr"]) == ("up", "0004a30b001c0530", "00bcb929")
    assert (line["f_cnt"], line["f_port"], line["data"], line["confirmed"]) == (0, 1, "8241de", False)
    assert line["id"] == "as:up:01E0WZGT6Y7657CPFPE5WEYDSQ" and line["gateways"] == ["9c5c8e00001a05c4"]
    ids = {"end_device_ids": THINGS["end_device_ids"]}
    assert of(ids | {"join_accept": {"session_key_id": "x"}})["dev_addr"] == "00bcb929"
    assert of(ids | {"downlink_nack": {"f_cnt": 3}})["event"] == "nack"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"\xff", "not JSON"),
        (b"[]", "no object"),
        (b"{}", "none of deviceInfo, end_device_ids, topic"),
        (b'{"deviceInfo": {}}', "KeyError: 'devEui'"),
        (json.dumps(UP | {"data": "!"}).encode(), "Error"),
        (json.dumps(UP | {"time": "yesterday"}).encode(), "ValueError"),
    ],
)
def test_what_is_no_event(body: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        line_of(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*UP, *THINGS, "topic", "fCnt"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*UP, *THINGS, "topic"]), _JSON), st.sampled_from(["", "up", "ack", "log", "x"]))
def test_nothing_else_than_a_format_error_escapes(body: dict[str, Any], event: str) -> None:
    try:
        line = of(body, event)
    except FormatError:
        return
    assert isinstance(line["event"], str) and isinstance(line["dev_eui"], str)


async def test_a_webhook_is_answered_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with sink.listening("http://127.0.0.1:0/hook", path) as listening, aiohttp.ClientSession() as client:
        async with client.post(listening.address + "?event=up", json=UP) as answer:
            assert answer.status == 204
        [line] = sink.read(path)
        assert (line["type"], line["event"], line["f_cnt"], line["way"]) == ("event", "up", 0, "webhook")
        async with client.post(listening.address.rstrip("/"), json=THINGS) as answer:
            assert answer.status == 204
        async with client.post(listening.address + "uplink", data=b"nonsense") as answer:
            assert answer.status == 204  # a server that is told 400 would go on sending it
        async with client.get(listening.address) as answer:
            assert answer.status == 405
        assert (listening.events.count, listening.events.unread) == (3, 1)
    lines = sink.read(path)
    assert (
        lines[1]["form"] == "the-things-stack"
        and lines[2]["body"] == b"nonsense".hex()
        and "not JSON" in lines[2]["unread"]
    )
    async with sink.listening("http://127.0.0.1:0/", path) as listening, aiohttp.ClientSession() as client:
        await client.post(listening.address, json=UP)
    assert len(sink.read(path)) == 4  # it goes on behind what is there


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://localhost/", "write http://HOST:PORT/"),
        ("http://localhost:99999/", "Port out of range"),
        ("mqtt://127.0.0.1:9/", "no broker answers at 127.0.0.1:9"),
    ],
)
async def test_where_it_cannot_listen(url: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorasim.sink.mqtt.WITHIN_S", 0.3)
    with pytest.raises(sink.SinkError, match=complaint):
        async with sink.listening(url):
            raise AssertionError("it listens")


async def test_a_port_that_is_taken() -> None:
    async with sink.listening("http://127.0.0.1:0/") as first:
        with pytest.raises(sink.SinkError, match="the sink cannot listen at 127"):
            async with sink.listening(first.address):
                raise AssertionError("it listens")


@pytest.mark.parametrize("topic", ["", "/application/%2B/device/%2B/event/%2B", "/application/#"])
async def test_mqtt(tmp_path: Path, topic: str) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        async with sink.listening(broker.url + topic) as listening:
            name = "application/a/device/0101010101010101/event/up"
            await asyncio.to_thread(publish.single, name, json.dumps(UP), 1, hostname="127.0.0.1", port=broker.port)
            async with asyncio.timeout(10):
                while not listening.events.count:
                    await asyncio.sleep(0.02)
            [line] = listening.events.lines
            assert (line["event"], line["f_cnt"], line["way"]) == ("up", 0, "mqtt")


def test_as_a_program(tmp_path: Path) -> None:
    """It says where it listens, writes down what comes, and ends well when it is told to."""
    path, port = tmp_path / "events.jsonl", free_port(socket.SOCK_STREAM)
    command = [sys.executable, "-m", "lorasim", "sink", f"http://127.0.0.1:{port}/", "--events", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"events are taken at http://127.0.0.1:{port}/\n"

        async def post() -> int:
            async with (
                aiohttp.ClientSession() as client,
                client.post(f"http://127.0.0.1:{port}/?event=up", json=UP) as answer,
            ):
                return answer.status

        assert asyncio.run(post()) == 204
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == "1 events, 0 of them unreadable\n"
    assert base64.b64decode(UP["data"]).hex() == sink.read(path)[0]["data"]  # type: ignore[arg-type]
    assert main(["sink", "nowhere", "--events", str(path)]) == 2

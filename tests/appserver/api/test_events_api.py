from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from appserver.codecs import CODECS, Codec
from internalapi import messages as m
from tests.support.console import Console

EUI = "4b41524154000001"
KARAT_926LW = bytes.fromhex("8402050a0b0c10003930000000"[:24])
"""u16 0x0284, archive type 5, 10:00 11 Dec 2016, error byte, int32 thousandths."""


def event(number: int, type_: str = "up", dev_eui: str = EUI, **fields: Any) -> m.Event:
    return m.Event(id=number, type=type_, time_us=1_793_000_000_000_000, dev_eui=dev_eui, **fields)


async def test_events_are_read_by_cursor_and_filtered(console: Console) -> None:
    for number in range(1, 8):
        type_ = "join" if number == 3 else "up"
        eui = "f" * 16 if number == 5 else EUI
        console.network.add_event(event(number, type_, eui, f_port=2, f_cnt=number, data=b"\x01"))
    page = (await console.api("GET", "/events?limit=4")).json
    assert [(e["id"], e["type"]) for e in page["items"]] == [(1, "up"), (2, "up"), (3, "join"), (4, "up")]
    assert page["items"][0]["deviceInfo"]["devEui"] == EUI
    assert page["items"][0]["data"] == "AQ=="
    following = (await console.api("GET", f"/events?cursor={page['next_cursor']}")).json
    assert [e["id"] for e in following["items"]] == [5, 6, 7]
    assert following["next_cursor"] is None
    assert [e["id"] for e in (await console.api("GET", f"/events?dev_eui={'F' * 16}")).json["items"]] == [5]
    assert [e["id"] for e in (await console.api("GET", "/events?type=join")).json["items"]] == [3]
    assert (await console.api("GET", "/events?type=nothing")).status == 422


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, str, str]:
    """(id, event, data) of the next server-sent event that carries data."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(10):
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if not line and "data" in fields:
                return fields.get("id", ""), fields.get("event", ""), fields["data"]
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif not line:
                fields = {}
    raise AssertionError("the stream ended")


async def test_the_stream_goes_on_after_the_last_event_it_saw(console: Console) -> None:
    for number in (1, 2, 3):
        console.network.add_event(event(number, f_port=2))
    await console.api("GET", "/me")
    headers = {"Authorization": f"Bearer {console.tokens['admin']}"}
    url = console.url + "/api/v1/events/stream"
    async with console.http.get(url, headers=headers | {"Last-Event-ID": "1"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert [(await next_event(response))[0] for _ in range(2)] == ["2", "3"]
        console.network.add_event(event(4, "join"))
        key, type_, data = await next_event(response)
        assert (key, type_, json.loads(data)["id"]) == ("4", "join", 4)
    async with console.http.get(url + "?type=up", headers=headers) as response:
        await asyncio.sleep(0)
        console.network.add_event(event(5, "join"))
        console.network.add_event(event(6, "up"))
        assert (await next_event(response))[0] == "6"


async def test_frames_come_live_and_a_slow_watcher_loses_the_oldest(console: Console) -> None:
    from appserver.live import QUEUE_LENGTH, Listener

    await console.api("GET", "/me")
    headers = {"Authorization": f"Bearer {console.tokens['admin']}"}
    async with console.http.get(console.url + "/api/v1/frames/stream?type=up", headers=headers) as response:
        assert await next_event(response) == ("", "network", "here")
        console.network.add_frame(m.FrameRecord(id=1, type="down", time_us=1, phy=b""))
        console.network.add_frame(m.FrameRecord(id=2, type="up", time_us=1, phy=b"@", device_name="<b>"))
        key, type_, data = await next_event(response)
        assert (key, type_, json.loads(data)["device_name"]) == ("2", "frame", "<b>")
    listener = Listener()
    for number in range(QUEUE_LENGTH + 5):
        listener.give(m.FrameRecord(id=number, type="up", time_us=1, phy=b""))
    assert (listener.dropped, listener.items[0].id, len(listener.items)) == (5, 5, QUEUE_LENGTH)


async def test_a_frame_comes_again_when_its_outcome_changes(console: Console) -> None:
    await console.api("GET", "/me")
    headers = {"Authorization": f"Bearer {console.tokens['admin']}"}
    async with console.http.get(console.url + "/api/v1/frames/stream", headers=headers) as response:
        await next_event(response)
        frames = console.network.frame_list
        console.network.add_frame(m.FrameRecord(id=1, type="up", time_us=1, phy=b"@", outcome="accepted"))
        console.network.add_frame(m.FrameRecord(id=2, type="down", time_us=1, phy=b"@", outcome="scheduled"))
        outcomes = [json.loads((await next_event(response))[2])["outcome"] for _ in range(2)]
        assert outcomes == ["accepted", "scheduled"]
        heard = tuple(m.Reception(f"{n:016x}", 1, -90.0) for n in range(2))
        frames[0] = m.FrameRecord(id=1, type="up", time_us=1, phy=b"@", outcome="handed_over", receptions=heard)
        key, _, data = await next_event(response)
        assert (key, json.loads(data)["outcome"], len(json.loads(data)["receptions"])) == ("1", "handed_over", 2)
        frames[1] = m.FrameRecord(id=2, type="down", time_us=1, phy=b"@", outcome="failed: TOO_LATE")
        key, _, data = await next_event(response)
        assert (key, json.loads(data)["outcome"]) == ("2", "failed: TOO_LATE")


async def test_a_stream_ends_when_its_right_is_taken_away(console: Console) -> None:
    made = (await console.api("POST", "/tokens", json={"name": "t", "role": "viewer"})).json
    headers = {"Authorization": f"Bearer {made['token']}"}
    async with console.http.get(console.url + "/api/v1/frames/stream", headers=headers) as response:
        await next_event(response)
        await console.api("DELETE", f"/tokens/{made['id']}")
        async with asyncio.timeout(12):
            assert await response.content.read() is not None


async def test_codecs_are_listed_and_tried(console: Console) -> None:
    names = [codec["name"] for codec in (await console.api("GET", "/codecs")).json["items"]]
    assert "karat" in names
    assert (await console.api("GET", "/codecs/nothing")).status == 404
    import base64

    body = {"f_port": 5, "data": base64.b64encode(KARAT_926LW).decode()}
    result = (await console.api("POST", "/codecs/karat/test", json=body)).json
    assert result["error"] == ""
    assert [(item["value"], item["unit"]) for item in result["measurements"]] == [("12.345", "m3")]
    bad = (await console.api("POST", "/codecs/karat/test", json=body | {"data": "AAA="})).json
    assert bad["error"]
    assert bad["measurements"] == []


async def test_a_fault_of_a_codec_hides_no_events(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(f_port: int, data: bytes, received_at_us: int) -> Any:
        raise IndexError("beyond the end")

    monkeypatch.setitem(CODECS, "faulty", Codec("faulty", 1, "Faulty", falls, "utc"))
    for number in (1, 2):
        codec = "faulty" if number == 1 else ""
        console.network.add_event(event(number, f_port=2, f_cnt=number, data=b"\x01", codec=codec))
    answer = await console.api("GET", "/events")
    assert answer.status == 200
    assert [(e["id"], e["data"]) for e in answer.json["items"]] == [(1, "AQ=="), (2, "AQ==")]

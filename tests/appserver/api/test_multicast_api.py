from __future__ import annotations

import base64
from urllib.parse import quote

from internalapi import messages as m
from tests.support.console import Console

NWK, APP = "01020304050607080102030405060708", "02020304050607080102030405060708"
GROUP = {
    "name": "Подъезд 1",
    "mc_addr": "01-02-03-04",
    "mc_nwk_s_key": NWK,
    "mc_app_s_key": APP,
    "dr": 3,
    "frequency_hz": 869_100_000,
}
DEV_EUI = "00000000000000d1"
DEVICE = {"dev_eui": DEV_EUI, "profile": "vega-si-11", "app_key": "0123456789abcdef0123456789abcdee"}


async def test_a_group_is_made_shown_changed_and_removed(console: Console) -> None:
    made = await console.api("POST", "/multicast-groups", json=GROUP)
    assert made.status == 201, made.text
    assert (made.json["mc_addr"], made.json["class"], made.json["fcnt_down"]) == ("01020304", "C", 0)
    assert NWK not in made.text and APP not in made.text
    id = made.json["id"]
    assert console.network.group_keys[id] == {"mc_nwk_s_key": NWK, "mc_app_s_key": APP}
    body = {"name": "Дом 7", "mc_addr": "01020304", "class": "B", "dr": 3, "fcnt_down": 9}
    changed = await console.api("PUT", f"/multicast-groups/{id}", json=body)
    assert (changed.json["name"], changed.json["class"], changed.json["fcnt_down"]) == ("Дом 7", "B", 9)
    assert console.network.group_keys[id]["mc_nwk_s_key"] == NWK, "keys that are left out stay"
    assert [g["id"] for g in (await console.api("GET", f"/multicast-groups?q={quote('дом')}")).json["items"]] == [id]
    assert (await console.api("DELETE", f"/multicast-groups/{id}")).status == 204
    missing = await console.api("GET", f"/multicast-groups/{id}")
    assert missing.status == 404 and id in missing.json["detail"]
    actions = [item["action"] for item in (await console.api("GET", "/audit")).json["items"]]
    assert actions[:3] == ["multicast.delete", "multicast.change", "multicast.create"]
    assert NWK not in (await console.api("GET", "/audit")).text


async def test_members(console: Console) -> None:
    await console.api("POST", "/devices", json=DEVICE)
    id = (await console.api("POST", "/multicast-groups", json=GROUP)).json["id"]
    added = await console.api("POST", f"/multicast-groups/{id}/members", json={"dev_eui": DEV_EUI})
    assert (added.status, added.json["members"]) == (201, 1)
    assert (await console.api("GET", f"/multicast-groups/{id}/members")).json["items"] == [{"dev_eui": DEV_EUI}]
    stranger = await console.api("POST", f"/multicast-groups/{id}/members", json={"dev_eui": "00" * 8})
    assert stranger.status == 404
    assert (await console.api("DELETE", f"/multicast-groups/{id}/members/{DEV_EUI}")).status == 204
    assert (await console.api("GET", f"/multicast-groups/{id}/members")).json["items"] == []


async def test_queue(console: Console) -> None:
    id = (await console.api("POST", "/multicast-groups", json=GROUP)).json["id"]
    data = base64.b64encode(b"\x01\x02").decode()
    made = await console.api("POST", f"/multicast-groups/{id}/queue", json={"f_port": 5, "data": data})
    assert (made.status, made.json["state"], made.json["data"]) == (201, "queued", data)
    listed = (await console.api("GET", f"/multicast-groups/{id}/queue")).json["items"]
    assert [item["id"] for item in listed] == [made.json["id"]]
    assert (await console.api("DELETE", f"/multicast-groups/{id}/queue")).status == 204
    assert (await console.api("GET", f"/multicast-groups/{id}/queue")).json["items"][0]["state"] == "cancelled"


async def test_what_is_wrong_is_named(console: Console) -> None:
    for change, field in (
        ({"name": ""}, "name"),
        ({"mc_addr": "xyz"}, "mc_addr"),
        ({"mc_nwk_s_key": "00"}, "mc_nwk_s_key"),
        ({"class": "A"}, "class"),
        ({"ping_periodicity": 8}, "ping_periodicity"),
        ({"gateways": ["1"]}, "gateways"),
    ):
        answer = await console.api("POST", "/multicast-groups", json=GROUP | change)
        assert answer.status == 422 and field in answer.text
    assert (await console.api("GET", "/multicast-groups/1")).status == 422


async def test_at_most_once_and_attempts_reach_the_network(console: Console) -> None:
    await console.api("POST", "/devices", json=DEVICE)
    seen: list[m.QueueWrite] = []
    real = console.network.do_queue_put

    def spy(request: m.QueueWrite) -> m.QueueItem:
        seen.append(request)
        return real(request)

    console.network.do_queue_put = spy  # type: ignore[method-assign]
    body = {"f_port": 2, "data": "AQ==", "at_most_once": True}
    assert (await console.api("POST", f"/devices/{DEV_EUI}/queue", json=body)).status == 201
    body = {"f_port": 2, "data": "AQ==", "confirmed": True, "attempts": 5}
    assert (await console.api("POST", f"/devices/{DEV_EUI}/queue", json=body)).status == 201
    assert [(one.at_most_once, one.attempts) for one in seen] == [(True, None), (False, 5)]
    assert (await console.api("POST", f"/devices/{DEV_EUI}/queue", json=body | {"attempts": 11})).status == 422

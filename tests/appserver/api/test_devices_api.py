from __future__ import annotations

import base64

from internalapi import messages as m
from tests.support.console import Console

EUI = "4b41524154000001"
KEY = "0123456789abcdef0123456789abcdee"


async def add_device(console: Console, eui: str = EUI, **fields: object) -> None:
    body = {"dev_eui": eui, "profile": "karat-926lw", "app_key": KEY} | fields
    answer = await console.api("POST", "/devices", json=body)
    assert answer.status == 201, answer.text


async def test_a_device_is_made_changed_and_removed_and_its_keys_are_never_shown(console: Console) -> None:
    await add_device(console, name="кв. 1", join_eui="70B3D57ED0000000", tags={"flat": "1"})
    assert console.network.keys[EUI] == {"app_key": KEY}
    shown = await console.api("GET", f"/devices/{EUI.upper()}")
    assert shown.json["join_eui"] == "70b3d57ed0000000"
    assert shown.json["class"] == "A"
    assert shown.json["mac_version"] == "1.0.3"
    answers = [shown, await console.api("GET", "/devices"), await console.api("GET", "/audit")]
    changed = await console.api("PUT", f"/devices/{EUI}", json={"name": "flat 1", "app_key": KEY[::-1]})
    assert changed.json["name"] == "flat 1"
    assert changed.json["tags"] == {"flat": "1"}
    assert console.network.keys[EUI] == {"app_key": KEY[::-1]}
    for answer in [*answers, changed, await console.api("GET", "/audit")]:
        assert KEY not in answer.text
        assert KEY[::-1] not in answer.text
    assert (
        await console.api("POST", "/devices", json={"dev_eui": EUI, "profile": "karat-926lw", "app_key": KEY})
    ).status == 409
    assert (await console.api("DELETE", f"/devices/{EUI}")).status == 204
    assert (await console.api("GET", f"/devices/{EUI}")).status == 404


async def test_version_region_and_class_stand_in_for_a_profile(console: Console) -> None:
    body = {
        "dev_eui": EUI,
        "mac_version": "1.0.4",
        "region": "RU864",
        "class": "C",
        "activation": "OTAA",
        "app_key": KEY,
    }
    assert (await console.api("POST", "/devices", json=body)).status == 201
    other = body | {"dev_eui": EUI[:-1] + "2"}
    assert (await console.api("POST", "/devices", json=other)).status == 201
    shown = (await console.api("GET", f"/devices/{EUI}")).json
    assert (shown["mac_version"], shown["region"], shown["class"]) == ("1.0.4", "RU864", "C")
    assert shown["profile"] == "lorawan-1.0.4-ru864-c"
    both = body | {"dev_eui": EUI[:-1] + "3", "profile": "karat-926lw"}
    assert (await console.api("POST", "/devices", json=both)).status == 422
    nowhere = body | {"dev_eui": EUI[:-1] + "4", "region": "XX999"}
    assert (await console.api("POST", "/devices", json=nowhere)).status == 422


async def test_a_device_that_joins_needs_its_key(console: Console) -> None:
    answer = await console.api("POST", "/devices", json={"dev_eui": EUI, "profile": "karat-926lw"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "app_key")
    answer = await console.api("POST", "/devices", json={"dev_eui": EUI, "profile": "no-such", "app_key": KEY})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "profile")


async def test_an_abp_session_is_set_shown_without_keys_and_dropped(console: Console) -> None:
    await add_device(console, activation="ABP")
    assert (await console.api("GET", f"/devices/{EUI}/session")).status == 404
    body = {"dev_addr": "00189440", "nwk_s_key": KEY, "app_s_key": KEY[::-1], "fcnt_up": 5, "fcnt_down": 2**32 - 1}
    set_ = await console.api("PUT", f"/devices/{EUI}/session", json=body)
    assert set_.status == 200, set_.text
    assert (set_.json["dev_addr"], set_.json["fcnt_up"], set_.json["fcnt_down"]) == ("00189440", 5, 2**32 - 1)
    assert KEY not in set_.text
    for wrong in (
        body | {"fcnt_up": 2**32},
        body | {"f_nwk_s_int_key": KEY},
        {k: v for k, v in body.items() if k != "nwk_s_key"},
        body | {"dev_addr": "18944"},
    ):
        assert (await console.api("PUT", f"/devices/{EUI}/session", json=wrong)).status == 422, wrong
    assert (await console.api("DELETE", f"/devices/{EUI}/session")).status == 204
    assert (await console.api("DELETE", f"/devices/{EUI}/session")).status == 404


async def test_a_downlink_is_queued_once_for_one_idempotency_key(console: Console) -> None:
    await add_device(console)
    body = {"f_port": 5, "data": base64.b64encode(b"\x0c\x00").decode(), "confirmed": True}
    first = await console.api("POST", f"/devices/{EUI}/queue", json=body, headers={"Idempotency-Key": "abc"})
    again = await console.api("POST", f"/devices/{EUI}/queue", json=body, headers={"Idempotency-Key": "abc"})
    other = await console.api("POST", f"/devices/{EUI}/queue", json=body)
    assert (first.status, again.status) == (201, 201)
    assert first.json["id"] == again.json["id"] != other.json["id"]
    assert first.json["data"] == "DAA="
    assert first.json["state"] == "queued"
    items = (await console.api("GET", f"/devices/{EUI}/queue")).json["items"]
    assert len(items) == 2
    for wrong in (
        {"f_port": 0, "data": "AA=="},
        {"f_port": 224, "data": "AA=="},
        {"f_port": 5},
        {"f_port": 5, "data": "A"},
        {"f_port": 5, "data": "AA==", "object": {}},
        {"f_port": 5, "object": {"x": 1}},
        {"f_port": 5, "data": "AAAA" * 200},
        {"f_port": 5, "data": "AA==", "expires_at": "2026-11-01T00:00:00"},
    ):
        assert (await console.api("POST", f"/devices/{EUI}/queue", json=wrong)).status == 422, wrong
    assert (await console.api("DELETE", f"/devices/{EUI}/queue")).status == 204
    assert (await console.api("GET", f"/devices/{EUI}/queue")).json["items"] == []
    assert (await console.api("POST", "/devices/0000000000000000/queue", json=body)).status == 404


async def test_an_object_is_encoded_by_the_codec_of_the_profile(console: Console) -> None:
    await add_device(console)
    url = f"/devices/{EUI}/queue"
    made = await console.api("POST", url, json={"object": {"command": "clock_correction", "delta_s": -37}})
    assert (made.status, made.json["f_port"]) == (201, 5)
    assert base64.b64decode(made.json["data"]).hex() == "1600dbff"
    elsewhere = {"f_port": 7, "object": {"command": "clock_correction", "delta_s": 1}}
    assert (await console.api("POST", url, json=elsewhere)).json["f_port"] == 7
    refused = await console.api("POST", url, json={"object": {"command": "clock_correction", "delta_s": 99999}})
    assert refused.status == 422
    assert refused.json["errors"][0]["field"] == "object.delta_s"
    assert "from -32768 to 32767" in refused.json["errors"][0]["message"]
    unknown = await console.api("POST", url, json={"object": {"command": "dance"}})
    assert "archive_query, clock_correction, settings" in unknown.text
    assert len((await console.api("GET", url)).json["items"]) == 2


async def test_nonces_are_forgotten_for_one_some_or_a_profile(console: Console) -> None:
    for number in range(3):
        await add_device(console, f"{number:016x}")
    assert (await console.api("DELETE", f"/devices/{0:016x}/nonces")).json == {"devices": 1}
    assert (await console.api("DELETE", f"/devices/nonces?dev_eui={1:016x},{2:016x}")).json == {"devices": 2}
    assert (await console.api("DELETE", "/devices/nonces?profile=karat-926lw")).json == {"devices": 3}
    assert console.network.forgotten == [f"{n:016x}" for n in (0, 1, 2, 0, 1, 2)]
    assert (await console.api("DELETE", "/devices/nonces")).status == 422
    actions = [item["action"] for item in (await console.api("GET", "/audit?action=nonces")).json["items"]]
    assert actions == ["nonces.forget"] * 3


async def test_profiles_are_made_and_kept_while_in_use(console: Console) -> None:
    body = {"name": "gas-meter", "title": "Газ", "mac_version": "1.0.4", "class": "A", "adr": "off"}
    made = await console.api("POST", "/device-profiles", json=body)
    assert made.status == 201, made.text
    assert (made.json["class"], made.json["adr"], made.json["built_in"]) == ("A", "off", False)
    assert (await console.api("POST", "/device-profiles", json=body)).status == 409
    assert (await console.api("PUT", "/device-profiles/gas-meter", json={"adr": "default"})).json["adr"] == "default"
    await add_device(console, profile="gas-meter")
    assert (await console.api("DELETE", "/device-profiles/gas-meter")).status == 409
    assert (await console.api("DELETE", "/device-profiles/karat-926lw")).status == 409
    await console.api("DELETE", f"/devices/{EUI}")
    assert (await console.api("DELETE", "/device-profiles/gas-meter")).status == 204


def frame(number: int, **fields: object) -> m.FrameRecord:
    start = {"id": number, "type": "up", "time_us": 1_793_000_000_000_000 + number, "phy": b"@", "dev_eui": EUI}
    return m.FrameRecord(**(start | fields))  # type: ignore[arg-type]


async def test_the_frame_log_is_searched_and_goes_on(console: Console) -> None:
    heard = (m.Reception("0016c001f153a14c", 1_793_000_000_000_000, -100.0, 5.5),)
    for number in range(1, 8):
        console.network.add_frame(frame(number, receptions=heard if number % 2 else (), f_cnt=number))
    console.network.add_frame(frame(8, type="join_request", dev_eui="f" * 16, timeline=(("committed", 1500),)))
    page = (await console.api("GET", "/frames?limit=3")).json
    assert [f["id"] for f in page["items"]] == [8, 7, 6]
    assert page["items"][0]["timeline"] == [{"step": "committed", "after_ms": 1.5}]
    assert page["items"][1]["receptions"][0]["snr_db"] == 5.5
    following = (await console.api("GET", f"/frames?limit=3&cursor={page['next_cursor']}")).json
    assert [f["id"] for f in following["items"]] == [5, 4, 3]
    assert [f["id"] for f in (await console.api("GET", f"/frames?dev_eui={'f' * 16}")).json["items"]] == [8]
    assert [f["id"] for f in (await console.api("GET", "/frames?type=join")).json["items"]] == [8]
    heard_by = (await console.api("GET", "/frames?gateway_eui=0016c001f153a14c")).json["items"]
    assert [f["id"] for f in heard_by] == [7, 5, 3, 1]
    later = (await console.api("GET", "/frames?since=2026-10-26T07:33:20.000007Z")).json["items"]
    assert [f["id"] for f in later] == [8, 7]
    assert (await console.api("GET", "/frames?since=2026-10-26")).status == 422


async def test_radio_parameters_of_a_profile(console: Console) -> None:
    """Given ones come back, others are null: the network and the region decide."""
    channel = {"frequency_hz": 864_100_000, "min_dr": 0, "max_dr": 5, "downlink_frequency_hz": 869_100_000}
    radio = {"rx2_dr": 3, "rx2_frequency_hz": 868_900_000, "max_duty_cycle": 2, "channels": [channel]}
    made = await console.api("POST", "/device-profiles", json={"name": "radio", **radio})
    assert made.status == 201, made.text
    assert {name: made.json[name] for name in radio} == radio and made.json["rx1_dr_offset"] is None
    again = await console.api("PUT", "/device-profiles/radio", json={})
    assert again.json["channels"] is None and again.json["rx2_dr"] is None
    for wrong in (
        {"rx2_dr": 16},
        {"max_duty_cycle": -1},
        {"channels": [{"frequency_hz": 1}]},
        {"rx2_frequency_hz": 868_900_001},
    ):
        assert (await console.api("PUT", "/device-profiles/radio", json=wrong)).status == 422


async def test_relay_settings_of_a_profile(console: Console) -> None:
    settings = {
        "cad_periodicity": 2, "second_channel_hz": 868_800_000, "second_channel_dr": 3, "joins_per_hour": 5,
        "filters": [{"action": "forward", "eui": "01020304"}, {"action": "filter"}],
    }  # fmt: skip
    body = {
        "name": "relay",
        "mac_version": "1.0.4",
        "relay": True,
        "relay_settings": settings,
        "relay_use": {"mode": "on"},
    }
    made = await console.api("POST", "/device-profiles", json=body)
    assert made.status == 201, made.text
    shown = made.json
    assert shown["relay"] and shown["relay_use"]["mode"] == "on" and shown["relay_settings"]["total_per_hour"] is None
    assert shown["relay_settings"]["filters"][1] == {"action": "filter", "eui": ""}
    wrong = {"mac_version": "1.0.4", "relay": True, "relay_settings": {"cad_periodicity": 9}}
    assert (await console.api("PUT", "/device-profiles/relay", json=wrong)).status == 422


async def test_a_device_is_told_to_rejoin(console: Console) -> None:
    await add_device(console)
    session = {"dev_addr": "01020304", "app_s_key": "00" * 16, "nwk_s_key": "01" * 16}
    assert (await console.api("PUT", f"/devices/{EUI}/session", json=session)).status == 200
    assert (await console.api("POST", f"/devices/{EUI}/session/rejoin", json={"rejoin_type": 2})).status == 204
    assert (await console.api("POST", f"/devices/{EUI}/session/rejoin", json={"rejoin_type": 1})).status == 422
    assert console.network.rejoins == [(EUI, 2, None)]
    assert (await console.api("GET", "/audit?action=session.rejoin")).json["items"][0]["action"] == "session.rejoin"

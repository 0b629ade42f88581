"""What the console and the API show and take of class B."""

from __future__ import annotations

import msgspec
import pytest

from internalapi import messages as m
from tests.support.console import Console
from tests.support.pages import fill

GATEWAY = "0016c001f153a14d"


async def test_who_makes_a_gateways_beacons_is_set_in_its_form(console: Console) -> None:
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    assert (await console.post("/gateways/new", gateway_eui=GATEWAY, class_b="server")).status == 303
    assert console.network.gateway_table[GATEWAY].class_b == "server"
    record = console.network.gateway_table[GATEWAY]
    console.network.gateway_table[GATEWAY] = msgspec.structs.replace(
        record, gps=m.GatewayGps("lost", 120.0, 14.0), beacons={"NONE": 41, "GPS_UNLOCKED": 1}
    )
    page = (await console.ask("GET", f"/gateways/{GATEWAY}")).text
    assert "by the server" in page and "GPS_UNLOCKED 1" in page and "lost" in page and "2 minutes ago" in page
    assert (await console.post(f"/gateways/{GATEWAY}", name="T", class_b="both")).status == 422
    shown = await console.api("GET", f"/gateways/{GATEWAY}")
    assert (shown.json["class_b"], shown.json["gps"]["state"]) == ("server", "lost")
    assert shown.json["beacons"] == {"NONE": 41, "GPS_UNLOCKED": 1}
    changed = await console.api("PUT", f"/gateways/{GATEWAY}", json={"name": "T", "class_b": "gateway"})
    assert changed.json["class_b"] == "gateway"


@pytest.mark.parametrize(
    ("locked", "gateways", "words"),
    [(True, 1, ["has the beacon", "every 16 s"]), (True, 0, ["no gateway with GPS time"]), (False, 0, ["no beacon"])],
)
async def test_a_device_shows_its_lock_and_ping_slots(
    console: Console, locked: bool, gateways: int, words: list[str]
) -> None:
    pages = await fill(console)
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    (dev_eui,) = [key for key in console.network.session_table if key in pages["device"]]
    record = console.network.session_table[dev_eui]
    next_us = console.network.now_us + 5_000_000 if locked and gateways else None
    console.network.session_table[dev_eui] = msgspec.structs.replace(
        record,
        device_class="B" if locked else "A",
        class_b=m.ClassBState(locked, 4, 0, 3, next_us, gateways),
    )
    page = (await console.ask("GET", pages["device"])).text
    for word in words:
        assert word in page
    shown = (await console.api("GET", f"/devices/{dev_eui}/session")).json
    assert shown["device_class"] == ("B" if locked else "A")
    assert shown["class_b"]["locked"] == locked and shown["class_b"]["ping_slot_periodicity"] == 4
    assert (shown["class_b"]["next_ping_slot_at"] is None) == (next_us is None)

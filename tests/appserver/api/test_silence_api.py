"""Which modules are silent, where they hang, who heard them last and why: the list, its file, its page."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import openpyxl
import pytest

from appserver import registry
from appserver.metering.silence import REASONS, Known, reason_of
from internalapi import messages as m
from tests.support.console import Console
from tests.support.house import House, make_house

HOUR_US = 3_600_000_000
EUIS = [f"4b4152415400{n:04x}" for n in range(1, 4)]


async def town(console: Console) -> House:
    """A house whose first flat was heard lately, the second long ago by a gateway that is down, the common meter never."""
    db, now_us, network = console.services.database, console.clock.us, console.network
    house = make_house(db)
    heard = {"1": now_us - HOUR_US, "2": now_us - 50 * HOUR_US, "house": None}
    for dev_eui, (name, at_us) in zip(EUIS, heard.items(), strict=True):
        registry.bind_channel(db, dev_eui, house.meters[name], valid_from_us=now_us - 900 * HOUR_US)
        with db.transaction() as connection:
            connection.execute("UPDATE device_state SET last_uplink_at_us = ? WHERE dev_eui = ?", (at_us, dev_eui))
        device = m.DeviceWrite(dev_eui=dev_eui, profile="karat-926lw", app_key="0f" * 16)
        await network.call("devices_put", m.DevicesPut([device]))
        network.device_table[dev_eui].dev_addr = None if at_us is None else "260b0001"
        network.device_table[dev_eui].last_seen_us = at_us
    await network.call("gateway_put", m.GatewayWrite(gateway_eui="aa555a0000000001", name="Крыша"))
    at_us = heard["2"] or 0
    heard_by = (
        m.Reception("aa555a0000000001", at_us, -90.0, 5.0),
        m.Reception("bb555a0000000002", at_us, -110.0, -9.0),
    )
    network.frame_list.append(m.FrameRecord(1, "up", at_us, b"\x40", dev_eui=EUIS[1], receptions=heard_by))
    return house


async def test_fr_28_silent_modules_with_where_who_and_why(console: Console) -> None:
    house = await town(console)
    page = (await console.api("GET", "/silent-modules")).json
    never, long_ago = page["items"]
    assert (never["dev_eui"], never["last_uplink_at"], never["reason"]) == (EUIS[2], None, "not_joined")
    assert long_ago["dev_eui"] == EUIS[1]
    assert (long_ago["organisation"], long_ago["premises"]) == ("УК «Дом»", "2")
    assert (long_ago["gateway_eui"], long_ago["gateway"]) == ("aa555a0000000001", "Крыша")
    assert long_ago["reason"] == "gateway"
    console.network.gateway_table["aa555a0000000001"].online = True
    assert (await console.api("GET", "/silent-modules?hours=24")).json["items"][1]["reason"] == "unknown"
    one = (await console.api("GET", "/silent-modules?limit=1")).json
    rest = (await console.api("GET", f"/silent-modules?limit=1&cursor={one['next_cursor']}")).json
    assert [item["dev_eui"] for item in (*one["items"], *rest["items"])] == [EUIS[2], EUIS[1]]
    assert [i["dev_eui"] for i in (await console.api("GET", "/silent-modules?hours=60")).json["items"]] == [EUIS[2]]
    for where, count in (
        (f"building_id={house.building_id}", 2),
        ("building_id=4711", 0),
        ("organisation_id=1", 2),
        ("organisation_id=4711", 0),
    ):
        assert len((await console.api("GET", f"/silent-modules?{where}")).json["items"]) == count, where
    for wrong in ("hours=0", "hours=x", "cursor=!", "building_id=0"):
        assert (await console.api("GET", f"/silent-modules?{wrong}")).status == 422, wrong


async def test_the_list_is_there_when_the_network_process_is_not(console: Console) -> None:
    await town(console)
    console.network.away = True
    items = (await console.api("GET", "/silent-modules")).json["items"]
    assert [(i["dev_eui"], i["gateway_eui"], i["reason"]) for i in items] == [
        (EUIS[2], "", "never_heard"),
        (EUIS[1], "", "unknown"),
    ]


async def test_the_list_as_a_file(console: Console) -> None:
    await town(console)
    answer = await console.api("GET", "/silent-modules/file?format=csv&language=en")
    assert answer.headers["Content-Disposition"].endswith('.csv"')
    rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][-3:] == ["Silent, h", "Last gateway", "Probable cause"]
    assert [row[5:] for row in rows[1:]] == [
        [EUIS[2], "never", "", "", "has not joined the network"],
        [EUIS[1], "2026-10-24 08:33", "50", "Крыша", "the gateway that heard it is silent"],
    ]
    book = openpyxl.load_workbook(io.BytesIO((await console.api("GET", "/silent-modules/file")).body))
    cells = [cell for row in book.active.iter_rows(values_only=True) for cell in row]
    assert EUIS[1] in cells
    assert "молчит базовая станция, которая его слышала" in cells


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "ru",
            (
                "Модули без связи",
                "молчит базовая станция, которая его слышала",
                "не подключился к сети",
                "1 день и дольше",
            ),
        ),
        ("en", ("Silent modules", "the gateway that heard it is silent", "has not joined", "longer than 1 day")),
    ],
)
async def test_the_page_of_silent_modules(console: Console, language: str, words: tuple[str, ...]) -> None:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    assert (await console.ask("GET", "/silent")).status == 200
    house = await town(console)
    answer = await console.ask("GET", f"/silent?hours=24&building_id={house.building_id}")
    for word in (*words, EUIS[1], "Крыша", "УК «Дом»"):
        assert word in answer.text, word
    assert EUIS[0] not in answer.text
    assert "%(" not in answer.text
    file = await console.ask("GET", f"/silent/download?hours=24&building_id={house.building_id}&format=xlsx")
    assert file.body.startswith(b"PK")


KNOWN = Known(now_us=1000 * HOUR_US, hours=24, heard_at_us=900 * HOUR_US, network=True, registered=True, joined=True)


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("not_registered", {"registered": False, "disabled": True}),
        ("disabled", {"disabled": True, "seen_at_us": 990 * HOUR_US}),
        ("not_handed_over", {"seen_at_us": 990 * HOUR_US, "joined": False}),
        ("new", {"heard_at_us": None, "bound_at_us": 990 * HOUR_US, "joined": False}),
        ("not_joined", {"heard_at_us": None, "joined": False, "gateway_online": False}),
        ("gateway", {"gateway_online": False, "neighbours": 9}),
        ("building", {"neighbours": 5, "interval_s": 10**6}),
        ("sends_rarely", {"interval_s": 86_401, "battery_pct": 1}),
        ("battery", {"battery_pct": 9, "rssi_dbm": -125.0}),
        ("weak_signal", {"rssi_dbm": -120.0}),
        ("never_heard", {"heard_at_us": None}),
        ("unknown", {"neighbours": 4, "interval_s": 86_400, "battery_pct": 10, "rssi_dbm": -119.0}),
    ],
)
def test_the_cause_that_is_mended_at_the_desk_comes_first(reason: str, facts: dict[str, object]) -> None:
    assert reason in REASONS
    assert reason_of(replace(KNOWN, **facts)) == reason  # type: ignore[arg-type]

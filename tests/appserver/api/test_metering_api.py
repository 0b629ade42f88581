from __future__ import annotations

import asyncio
import csv
import io
from decimal import Decimal
from typing import Any

import aiohttp

from tests.support.console import Console
from tests.support.house import DAYS, make_house


async def test_the_registry_is_made_from_the_organisation_to_the_meter(console: Console) -> None:
    async def made(path: str, **body: Any) -> dict[str, Any]:
        answer = await console.api("POST", path, json=body)
        assert answer.status == 201, answer.text
        return answer.json

    organisation = await made("/organisations", name="УК", inn="7417012345")
    building = await made(
        "/buildings", organisation_id=organisation["id"], address="Дом 1", timezone="Asia/Yekaterinburg"
    )
    premises = await made("/premises", building_id=building["id"], number="1", area_m2="45.5")
    assert Decimal(premises["area_m2"]) == Decimal("45.5")
    point = await made("/points", building_id=building["id"], premises_id=premises["id"], resource="cold_water")
    meter = await made("/meters", serial="123", resource="cold_water", verification_until="2027-01-01")
    assert meter["unit"] == "m³"
    body = {"point_id": point["id"], "meter_id": meter["id"], "installed_on": "2026-10-01", "start_value": "7.125"}
    installation = await made("/installations", **body)
    assert installation["installed_at"] == "2026-09-30T19:00:00Z"
    assert (await console.api("POST", "/installations", json=body)).status == 409
    channel = await made("/channels", dev_eui="4b41524154000001", meter_id=meter["id"], weight="0.01")
    assert (channel["register"], channel["weight"]) == ("volume", "0.01")
    reading = {"meter_id": meter["id"], "value": "8.000", "measured_at": "2026-10-10T12:00:00+05:00"}
    assert (await console.api("POST", "/readings", json=reading)).json == {"new": True}
    assert (await console.api("POST", "/readings", json=reading)).json == {"new": False}
    shown = (await console.api("GET", f"/readings?meter_id={meter['id']}")).json["items"][0]
    assert (shown["value"], shown["source"], shown["author"]) == ("8.000", "manual", "token:admin")
    spare = await made("/meters", serial="124", resource="cold_water")
    replacement = await made(
        f"/points/{point['id']}/replacement",
        meter_id=spare["id"],
        replaced_on="2026-10-20",
        end_value="9",
        start_value="0",
    )
    assert Decimal(replacement["removed"]["end_value"]) == 9
    assert replacement["installed"]["meter_id"] == spare["id"]
    for path in (f"/organisations/{organisation['id']}", f"/buildings/{building['id']}", f"/meters/{meter['id']}"):
        refused = await console.api("DELETE", path)
        assert refused.status == 409, path
    renamed = await console.api("PUT", f"/organisations/{organisation['id']}", json={"name": "УК «Дом»"})
    assert (renamed.json["name"], renamed.json["inn"]) == ("УК «Дом»", "7417012345")
    due = (await console.api("GET", "/verifications?due_before=2028-01-01")).json["items"]
    assert [(v["id"], v["overdue"]) for v in due] == [(meter["id"], False)]
    await console.api(
        "POST",
        "/verifications",
        json={"meter_id": meter["id"], "verified_on": "2026-10-01", "verification_until": "2032-10-01"},
    )
    assert (await console.api("GET", "/verifications?due_before=2028-01-01")).json["items"] == []


async def test_the_balance_of_a_house_is_what_its_meters_say(console: Console) -> None:
    house = make_house(console.services.database)
    path = f"/buildings/{house.building_id}/balance?resource=cold_water&from=2026-10-01&to=2026-10-06&step=day"
    balance = (await console.api("GET", path)).json
    assert balance["unit"] == "m³"
    assert balance["from"] == "2026-10-01"
    assert len(balance["periods"]) == DAYS
    for period in balance["periods"]:
        assert [Decimal(period[name]) for name in ("house", "individual", "imbalance")] == [
            Decimal("0.5"),
            Decimal("0.4"),
            Decimal("0.1"),
        ]
        assert (period["measured"], period["missing"]) == (2, 0)
    assert balance["periods"][0]["start"] == "2026-10-01T00:00:00+03:00"
    assert Decimal(balance["total"]["imbalance"]) == Decimal("0.5")
    assert Decimal(balance["total"]["imbalance_pct"]) == 20
    assert [point["volume"] for point in balance["points"]] == ["2.500", "0.750", "1.250"]
    for wrong in ("from=2026-10-06&to=2026-10-01", "from=2026-10-01", "from=x&to=y", "from=2000-01-01&to=2026-10-06"):
        answer = await console.api("GET", f"/buildings/{house.building_id}/balance?resource=cold_water&{wrong}")
        assert answer.status == 422, wrong
    assert (await console.api("GET", path.replace(f"/{house.building_id}/", "/4711/"))).status == 404


async def test_fr_28_last_readings_and_collection(console: Console) -> None:
    house = make_house(console.services.database)
    page = (await console.api("GET", f"/readings/last?building_id={house.building_id}&limit=2")).json
    assert [(item["role"], item["premises"], item["value"]) for item in page["items"]] == [
        ("house", None, "102.500"),
        ("individual", "1", "100.750"),
    ]
    following = (
        await console.api("GET", f"/readings/last?building_id={house.building_id}&limit=2&cursor={page['next_cursor']}")
    ).json
    assert [item["premises"] for item in following["items"]] == ["2"]
    assert (await console.api("GET", "/readings/last?q=7401")).json["items"][0]["account_number"] == "74011"
    assert len((await console.api("GET", "/readings/last?silent_hours=24")).json["items"]) == 3
    collection = (await console.api("GET", "/collection")).json
    assert collection["points"] == 3
    one = (
        await console.api("GET", f"/readings?point_id={house.points['1']}&from=2026-10-02T00:00:00%2B03:00&limit=2")
    ).json
    assert [item["value"] for item in one["items"]] == ["100.750", "100.600"]
    assert (
        await console.api("GET", f"/readings?limit=2&point_id={house.points['1']}&cursor={one['next_cursor']}")
    ).json["items"][0]["value"] == "100.450"


async def test_statements_come_in_every_format(console: Console) -> None:
    house = make_house(console.services.database)
    path = f"building_id={house.building_id}&from=2026-10-01&to=2026-10-06&resource=cold_water"
    magic = {"xlsx": b"PK", "pdf": b"%PDF", "csv": b"\xef\xbb\xbf", "html": b"<!", "json": b"{"}
    for name in ("individual", "house", "balance", "heat"):
        for format_, start in magic.items():
            answer = await console.api("GET", f"/statements/{name}?{path}&format={format_}&language=en")
            assert answer.status == 200, answer.text
            assert answer.body.lower().startswith(start.lower()), (name, format_)
            again = await console.api("GET", f"/statements/{name}?{path}&format={format_}&language=en")
            assert answer.body == again.body, "the same data give the same bytes"
    assert (await console.api("GET", f"/statements/steam?{path}")).status == 422


def table(rows: int = 3, **changes: str) -> bytes:
    lines = []
    for number in range(1, rows + 1):
        row = {
            "organisation": "УК «Дом»",
            "address": "ул. Новая, 1",
            "timezone": "Asia/Yekaterinburg",
            "premises": "" if number == rows else str(number),
            "resource": "ХВС",
            "role": "ОДПУ" if number == rows else "ИПУ",
            "serial": f"5{number:04d}",
            "installed_on": "01.10.2026",
            "start_value": "10,5",
            "dev_eui": f"4b41524154{number:06x}",
            "profile": "karat-926lw",
            "app_key": f"5a{number:028x}a7",
        } | (changes if number == 2 else {})
        lines.append(row)
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(lines[0]), delimiter=";")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().encode()


async def send(console: Console, data: bytes, dry_run: str) -> dict[str, Any]:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("dry_run", dry_run)
    form.add_field("file", data, filename="дом.csv", content_type="text/csv")
    answer = await console.api("POST", "/imports", data=form)
    assert answer.status == 202, answer.text
    return await finished(console, answer.json)


async def finished(console: Console, job: dict[str, Any], kind: str = "imports") -> dict[str, Any]:
    async with asyncio.timeout(20):
        while job["state"] in ("queued", "running"):
            await asyncio.sleep(0.02)
            job = (await console.api("GET", f"/{kind}/{job['id']}")).json
    return job


async def test_a_table_is_tried_then_imported_and_comes_out_again(console: Console) -> None:
    trial = await send(console, table(), "true")
    assert (trial["state"], trial["dry_run"], trial["result"]["errors"]) == ("done", True, [])
    assert trial["result"]["created"]["meter"] == 3
    assert trial["filename"] == "дом.csv"
    assert console.network.device_table == {}
    assert (await console.api("GET", "/meters")).json["items"] == []
    applied = await console.api("POST", f"/imports/{trial['id']}/apply")
    done = await finished(console, applied.json)
    assert done["result"]["applied"] is True
    assert len((await console.api("GET", "/meters")).json["items"]) == 3
    assert len(console.network.device_table) == 3
    again = await send(console, table(), "true")
    assert again["result"]["created"].get("meter", 0) == 0
    assert again["result"]["unchanged"]["meter"] == 3
    job = await finished(console, (await console.api("POST", "/exports", json={"format": "csv"})).json, "exports")
    assert job["state"] == "done", job
    file = await console.api("GET", f"/exports/{job['id']}/file")
    assert file.headers["Content-Disposition"] == 'attachment; filename="meters.csv"'
    assert "50001" in file.text
    assert "a7" not in {cell[-2:] for cell in file.text.split(";") if len(cell) == 32}, "no keys"
    back = await send(console, file.body, "true")
    assert back["result"]["errors"] == []
    assert back["result"]["created"].get("meter", 0) == 0


async def test_one_bad_row_imports_nothing(console: Console) -> None:
    job = await send(console, table(serial="", start_value="много"), "false")
    assert job["state"] == "done"
    assert job["result"]["applied"] is False
    assert {(e["row"], e["column"]) for e in job["result"]["errors"]} == {(3, "serial"), (3, "start_value")}
    assert (await console.api("GET", "/meters")).json["items"] == []
    assert (await console.api("POST", f"/imports/{job['id']}/apply")).status == 409


async def test_a_file_that_is_no_table_is_refused_in_words(console: Console) -> None:
    for data in (b"", b"PK\x03\x04 broken", b"\xff\xfe\x00", b"a;b\n1;2\n"):
        job = await send(console, data, "true")
        assert job["state"] == "failed", data
        assert job["error"]
    assert (await console.api("POST", "/imports", json={})).status == 415
    form = aiohttp.FormData({"dry_run": "true"})
    form.add_field("other", b"x", filename="x")
    assert (await console.api("POST", "/imports", data=form)).status == 422


async def test_integrations_show_their_state_and_hide_their_headers(console: Console) -> None:
    body = {
        "name": "billing",
        "url": "https://billing.example.org/hook",
        "headers": {"X-Key": "canary-5c1"},
        "events": ["up"],
    }
    made = await console.api("POST", "/integrations", json=body)
    assert made.status == 201, made.text
    assert "canary-5c1" not in made.text
    assert (made.json["pending"], made.json["delivered"], made.json["events"]) == (0, 0, ["up"])
    path = f"/integrations/{made.json['id']}"
    assert (await console.api("PUT", path, json={"enabled": False})).json["enabled"] is False
    for url in (
        "http://127.0.0.1/x",
        "http://10.0.0.1/",
        "ftp://example.org/",
        "http://[::1]/",
        "http://169.254.169.254/",
    ):
        assert (await console.api("POST", "/integrations", json=body | {"name": url[:20], "url": url})).status == 422, (
            url
        )
    assert (await console.api("GET", path + "/deliveries")).json["items"] == []
    assert (await console.api("POST", path + "/replay", json={"since": "2026-10-01T00:00:00Z"})).json == {"events": 0}
    assert "canary-5c1" not in (await console.api("GET", "/integrations")).text
    assert "canary-5c1" not in (await console.api("GET", "/audit")).text
    assert (await console.api("DELETE", path)).status == 204
    assert (await console.api("GET", path)).status == 404

"""Passports, seals, verifications, accounts and the journal over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.support.console import Console
from tests.support.house import House, make_house


async def made(console: Console, path: str, **body: Any) -> dict[str, Any]:
    answer = await console.api("POST", path, json=body)
    assert answer.status == 201, answer.text
    return answer.json


def house_of(console: Console) -> House:
    return make_house(console.services.database)


async def test_fr_07_the_passport_of_a_meter(console: Console) -> None:
    passport = {
        "type_number": "61424-15", "made_year": 2024, "q3": "1.6", "dn_mm": 15, "accuracy": "B",
        "verification_months": 72, "pulse_weight": "0.01", "firmware": "1.8", "qstart": "0.012",
    }  # fmt: skip
    new = await made(console, "/meters", serial="1", resource="cold_water", **passport)
    meter = (await console.api("GET", f"/meters/{new['id']}")).json
    assert {name: meter[name] for name in passport} == passport | {"q3": "1.600", "qstart": "0.012"}
    assert meter["state"] == "in_stock"
    refused = await console.api("PUT", f"/meters/{meter['id']}", json={"state": "commissioned"})
    assert (refused.status, "cannot become" in refused.text) == (409, True)


async def test_fr_08_verifications_are_kept_and_the_next_date_follows(console: Console) -> None:
    meter = await made(console, "/meters", serial="1", resource="gas", verification_months=48)
    await made(console, "/verifications", meter_id=meter["id"], verified_on="2018-03-01", organisation="ЦСМ")
    last = await made(console, "/verifications", meter_id=meter["id"], verified_on="2022-03-01", arshin_number="С-АБ/1")
    assert last["verification_until"] == "2026-02-28"
    records = (await console.api("GET", f"/verification-records?meter_id={meter['id']}")).json["items"]
    assert [(r["verified_on"], r["valid_until"]) for r in records] == [
        ("2018-03-01", "2022-02-28"),
        ("2022-03-01", "2026-02-28"),
    ]
    assert (await console.api("DELETE", f"/verifications/{meter['id']}")).status == 204
    shown = (await console.api("GET", f"/meters/{meter['id']}")).json
    assert (shown["verified_on"], shown["verification_until"]) == ("2018-03-01", "2022-02-28")
    due = (await console.api("GET", "/verifications?building_id=1")).json["items"]
    assert due == []


async def test_seals_and_acts(console: Console) -> None:
    house = house_of(console)
    meter = house.meters["1"]
    seal = await made(console, "/meter-seals", meter_id=meter, number="77-1", place="корпус", set_on="2026-10-02")
    off = await console.api(
        "PUT", f"/meter-seals/{seal['id']}", json={"removed_on": "2026-10-05", "removed_by": "Петров"}
    )
    assert off.json["removed_on"] == "2026-10-05"
    (hung,) = (await console.api("GET", f"/installations?meter_id={meter}")).json["items"]
    acts = {"install_act": "15", "commissioned_on": "2026-10-03", "commission_act": "16"}
    written = (await console.api("PUT", f"/installations/{hung['id']}/acts", json=acts)).json
    assert {name: written[name] for name in acts} == acts
    assert (await console.api("GET", f"/meters/{meter}")).json["state"] == "commissioned"
    removal = {"removed_on": "2026-10-20", "end_value": "101", "removal_act": "17", "removal_reason": "поверка"}
    removed = (await console.api("PUT", f"/installations/{hung['id']}", json=removal)).json
    assert (removed["removal_act"], removed["removal_reason"]) == ("17", "поверка")


async def test_entrances_accounts_and_premises(console: Console) -> None:
    house = house_of(console)
    entrance = await made(console, "/entrances", building_id=house.building_id, number="1", floors=9)
    flat = (await console.api("GET", f"/premises?building_id={house.building_id}&limit=1")).json["items"][0]
    changed = await console.api("PUT", f"/premises/{flat['id']}", json={"entrance_id": entrance["id"], "floor": 3})
    assert (changed.json["entrance_id"], changed.json["floor"]) == (entrance["id"], 3)
    account = await made(console, "/accounts", premises_id=flat["id"], number="9", holder="Иванов И. И.", share="0.5")
    found = (await console.api("GET", f"/accounts?q={quote('иванов')}")).json["items"]
    assert [(a["number"], a["share"]) for a in found] == [("9", "0.500")]
    assert (await console.api("DELETE", f"/accounts/{account['id']}")).status == 204


async def test_fr_05_the_journal_answers_what_was_believed(console: Console) -> None:
    house = house_of(console)
    flat = (await console.api("GET", f"/premises?building_id={house.building_id}&limit=1")).json["items"][0]
    change = {"residents": 3, "effective_on": "2026-09-01", "document": "справка 12", "remark": "прописан сын"}
    assert (await console.api("PUT", f"/premises/{flat['id']}", json=change)).status == 200
    page = (await console.api("GET", f"/registry-journal?subject=premises&subject_id={flat['id']}&limit=1")).json
    (line,) = page["items"]
    assert (line["field"], line["before"], line["after"], line["document"]) == ("residents", None, "3", "справка 12")
    assert (line["effective_on"], line["actor"]) == ("2026-09-01", "token:admin")
    older = await console.api(
        "GET", f"/registry-journal?subject=premises&subject_id={flat['id']}&cursor={page['next_cursor']}"
    )
    assert [item["event"] for item in older.json["items"]] == ["created"]
    ask = f"/registry-journal/believed?subject=premises&subject_id={flat['id']}&field=residents&on=2026-09-02"
    assert (await console.api("GET", ask)).json["value"] == "3"
    assert (await console.api("GET", ask + "&known_at=2020-01-01T00:00:00Z")).json["known"] is False
    assert (await console.api("GET", ask.replace("residents", "colour"))).status == 422
    note = await made(console, "/registry-journal", subject="building", subject_id=house.building_id, remark="обход")
    assert note["event"] == "note"
    assert (await console.api("GET", "/registry-journal?subject=building&subject_id=4711")).status == 404

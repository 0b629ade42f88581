"""Batches, corrections, conflicts, closed periods and seals over HTTP."""

from __future__ import annotations

from decimal import Decimal

from appserver.metering.seals import seal
from tests.support.console import Console
from tests.support.house import make_house


async def test_fr_20_a_batch_is_taken_once(console: Console) -> None:
    house = make_house(console.services.database)
    readings = [
        {"meter_id": house.meters["1"], "measured_at": "2026-10-07T00:00:00+03:00", "value": "100.9"},
        {
            "serial": f"{house.building_id}2",
            "measured_at": "2026-10-07T00:00:00+03:00",
            "value": "101.5",
            "archive": False,
        },
        {"serial": "nobody", "measured_at": "2026-10-07T00:00:00+03:00", "value": "1"},
    ]
    answer = await console.api("POST", "/readings/batch", json={"readings": readings})
    assert answer.status == 200, answer.text
    assert (answer.json["new"], answer.json["known"]) == (2, 0)
    assert answer.json["errors"] == [{"index": 2, "message": "There is no meter 'nobody'."}]
    again = await console.api("POST", "/readings/batch", json={"readings": readings})
    assert (again.json["new"], again.json["known"]) == (0, 2)
    [newest] = (await console.api("GET", f"/readings?meter_id={house.meters['2']}&limit=1")).json["items"]
    assert (newest["source"], newest["quality"], newest["value"]) == ("gprs", "measured", "101.500")
    for wrong in ({"readings": []}, {"readings": readings, "source": "lorawan"}, {}):
        assert (await console.api("POST", "/readings/batch", json=wrong)).status == 422


async def test_met_01_a_correction_has_its_author_and_is_audited(console: Console) -> None:
    house = make_house(console.services.database)
    body = {
        "meter_id": house.meters["1"],
        "measured_at": "2026-10-06T00:00:00+03:00",
        "value": "101",
        "reason": "misread",
    }
    made = await console.api("POST", "/corrections", json=body)
    assert made.status == 201, made.text
    assert (made.json["supersedes"], made.json["author"]) == ("100.750", "token:admin")
    assert (await console.api("POST", "/corrections", json=body)).status == 409
    assert (await console.api("POST", "/corrections", json=body | {"reason": ""})).status == 422
    page = (await console.api("GET", f"/corrections?meter_id={house.meters['1']}")).json
    assert [item["id"] for item in page["items"]] == [made.json["id"]]
    assert "reading.correct" in (await console.api("GET", "/audit")).text


async def test_fr_20_conflicts_are_listed_until_decided(console: Console) -> None:
    house = make_house(console.services.database)
    reading = {"meter_id": house.meters["1"], "measured_at": "2026-10-06T00:00:00+03:00", "value": "100.8"}
    await console.api("POST", "/readings/batch", json={"readings": [reading]})
    [conflict] = (await console.api("GET", f"/readings/conflicts?building_id={house.building_id}")).json
    assert sorted(conflict["values"]) == ["100.750", "100.800"]
    await console.api("POST", "/corrections", json=reading | {"reason": "seen on site"})
    assert (await console.api("GET", "/readings/conflicts")).json == []


async def test_met_08_a_period_closes_and_stays(console: Console) -> None:
    house = make_house(console.services.database)
    body = {
        "building_id": house.building_id,
        "resource": "cold_water",
        "first_day": "2026-10-01",
        "last_day": "2026-10-06",
    }
    made = await console.api("POST", "/closed-periods", json=body)
    assert made.status == 201, made.text
    assert (await console.api("POST", "/closed-periods", json=body)).status == 422, "a revision needs its reason"
    console.clock.forward(1)
    wrong = {"meter_id": house.meters["1"], "measured_at": "2026-10-06T00:00:00+03:00", "value": "101", "reason": "x"}
    await console.api("POST", "/corrections", json=wrong)
    told = (await console.api("GET", f"/closed-periods/{made.json['id']}")).json
    flat = next(point for point in told["points"] if point["premises"] == "1")
    assert (Decimal(flat["volume"]), Decimal(flat["volume_now"]), flat["changed"]) == (
        Decimal("0.75"),
        Decimal(1),
        True,
    )
    rows = (await console.api("GET", f"/closed-periods/{made.json['id']}/after")).json
    [late] = [row for row in rows if row["kind"] == "correction"]
    assert (late["kind"], late["value"], late["source"]) == ("correction", "101.000", "x")
    assert len((await console.api("GET", f"/closed-periods?building_id={house.building_id}")).json) == 1
    assert (await console.api("GET", "/closed-periods/99")).status == 404


async def test_met_08_a_period_is_opened_again_and_that_is_audited(console: Console) -> None:
    house = make_house(console.services.database)
    span = {"building_id": house.building_id, "resource": "cold_water", "first_day": "2026-10-01"}
    span["last_day"] = "2026-10-06"
    query = "&".join(f"{key}={value}" for key, value in span.items())
    preview = (await console.api("GET", f"/closed-periods/preview?{query}")).json
    assert (preview["house"], preview["individual"], len(preview["points"])) == ("2.500", "2.000", 3)
    assert (await console.api("GET", "/closed-periods")).json == [], "a preview closes nothing"
    made = (await console.api("POST", "/closed-periods", json=span)).json
    told = (await console.api("GET", f"/closed-periods/{made['id']}")).json
    assert told["stands"] and len(told["sha256"]) == 64
    console.clock.forward(1)
    body = {"meter_id": house.meters["1"], "measured_at": "2026-10-06T00:00:00+03:00", "value": "101", "reason": "x"}
    assert (await console.api("POST", "/corrections", json=body)).json["closed_periods"] == [made["id"]]
    balance = f"/buildings/{house.building_id}/balance?resource=cold_water&from=2026-10-01&to=2026-10-06"
    held = (await console.api("GET", balance)).json
    assert (held["total"]["individual"], held["closed_periods"]) == ("2.000", [made["id"]])
    assert (await console.api("POST", f"/closed-periods/{made['id']}/reopen", json={"reason": ""})).status == 422
    opened = await console.api("POST", f"/closed-periods/{made['id']}/reopen", json={"reason": "a photo came"})
    assert (opened.status, opened.json["stands"], opened.json["reopened_reason"]) == (200, False, "a photo came")
    assert (await console.api("POST", f"/closed-periods/{made['id']}/reopen", json={"reason": "again"})).status == 409
    live = (await console.api("GET", balance)).json
    assert (live["total"]["individual"], live["closed_periods"]) == ("2.250", [])
    assert "period.reopen" in (await console.api("GET", "/audit")).text


async def test_met_04_seals_are_listed(console: Console) -> None:
    db = console.services.database
    make_house(db)
    roots = seal(db, 2_000_000_000_000_000)
    [told] = (await console.api("GET", "/seals")).json
    assert (told["root"], told["sequence"], told["readings"]) == (roots[0], 1, 18)

"""Readings over HTTP in every form, their refusals, and the sources themselves."""

from __future__ import annotations

import json

from appserver import registry
from tests.support.console import Console
from tests.support.house import make_house

AT = "2026-10-07T00:00:00+03:00"
MAPPING = {"serial": "sn", "time": "dt", "values": {"value": "p1"}, "kind": "archive"}


async def test_fr_20_an_idempotency_key_gives_the_first_answer_again(console: Console) -> None:
    house = make_house(console.services.database)
    body = {"readings": [{"account": "74011", "resource": "cold_water", "measured_at": AT, "value": "100.9"}]}
    headers = {"Idempotency-Key": "night-7"}
    first = await console.api("POST", "/readings/batch", role="dispatcher", json=body, headers=headers)
    assert (first.status, first.json["new"], first.json["repeated"]) == (200, 1, False), first.text
    again = await console.api("POST", "/readings/batch", role="dispatcher", json=body, headers=headers)
    assert again.json == first.json | {"repeated": True}
    body["readings"][0]["value"] = "101"
    other = await console.api("POST", "/readings/batch", role="dispatcher", json=body, headers=headers)
    assert other.status == 409, other.text
    (note,) = (await console.api("GET", "/deliveries", role="viewer")).json["items"]
    assert (note["id"], note["author"], note["new"]) == (first.json["delivery_id"], "token:dispatcher", 1)
    (reading,) = (await console.api("GET", f"/readings?meter_id={house.meters['1']}&limit=1")).json["items"]
    assert (reading["value"], reading["source"], reading["author"]) == ("100.900", "gprs", "token:dispatcher")
    assert (await console.api("POST", "/readings/batch", role="viewer", json=body)).status == 403
    bad = {"Idempotency-Key": "к" * 3}
    assert (await console.api("POST", "/readings/batch", json=body, headers=bad)).status == 422


async def test_fr_20_tables_over_http(console: Console) -> None:
    house = make_house(console.services.database)
    table = f"serial;date;value\n{house.building_id}1;08.10.2026;103,5\nnobody;08.10.2026;1\n{house.building_id}2;x;1\n"
    answer = await console.api(
        "POST", "/readings/table?name=october.csv", data=table.encode(), headers={"Content-Type": "text/csv"}
    )
    assert answer.status == 200, answer.text
    assert (answer.json["new"], [e["index"] for e in answer.json["errors"]]) == (1, [3, 4])
    refused = (await console.api("GET", "/readings/refused", role="viewer")).json["items"]
    assert [(r["number"], r["name"]) for r in refused] == [(4, "october.csv"), (3, "october.csv")]
    registry.create(console.services.database, "meter", {"serial": "nobody", "resource": "gas"})
    ids = {"ids": [r["id"] for r in refused]}
    retried = await console.api("POST", "/readings/refused/retry", role="dispatcher", json=ids)
    assert retried.json == {"taken": 1, "refused": 1}
    assert (await console.api("POST", "/readings/refused/retry", json=ids)).status == 404
    left = {"ids": [refused[0]["id"]]}
    assert (await console.api("POST", "/readings/refused/drop", role="dispatcher", json=left)).json == {"dropped": 1}
    assert (await console.api("GET", "/readings/refused")).json["items"] == []
    assert len((await console.api("GET", "/readings/refused?state=dropped")).json["items"]) == 1
    none = await console.api("POST", "/readings/table", data=b"a;b\n1;2\n", headers={"Content-Type": "text/csv"})
    assert none.status == 422 and "no row of headings" in none.text


async def test_fr_20_a_modem_pushes_in_its_own_form(console: Console) -> None:
    house = make_house(console.services.database)
    made = await console.api("POST", "/sources", json={"kind": "http", "name": "АССВ-030", "mapping": MAPPING})
    assert made.status == 201, made.text
    path = f"/sources/{made.json['id']}/push"
    form = {"sn": f"{house.building_id}1", "dt": "08.10.2026 00:00:00", "p1": "103,5", "csq": "17"}
    pushed = await console.api("POST", path, role="dispatcher", data=form)
    assert (pushed.status, pushed.json["new"]) == (200, 1), pushed.text
    body = json.dumps({"sn": f"{house.building_id}2", "dt": 1_791_410_400, "p1": 102.25})
    assert (await console.api("POST", path, data=body, headers={"Content-Type": "application/json"})).json["new"] == 1
    wrong = await console.api("POST", path, data=b"{}", headers={"Content-Type": "application/json"})
    assert (wrong.status, wrong.json["errors"][0]["message"]) == (200, "there is no dt: 'dt' is missing")
    shown = (await console.api("GET", f"/sources/{made.json['id']}")).json
    assert (shown["taken"], shown["refused"], shown["mapping"]["serial"]) == (2, 1, "sn")
    tried = await console.api("POST", f"/sources/{made.json['id']}/test", json={"payload": '{"sn":"7","dt":1,"p1":5}'})
    assert tried.json[0]["reading"]["serial"] == "7", tried.text
    # A message that could not be read is read again with the mapping as it is then.
    mapping = MAPPING | {"time": "", "values": {"value": "=5"}, "serial": f"={house.building_id}1"}
    await console.api("PUT", f"/sources/{made.json['id']}", json={"mapping": mapping})
    (entry,) = (await console.api("GET", "/readings/refused")).json["items"]
    assert (await console.api("POST", "/readings/refused/retry", json={"ids": [entry["id"]]})).json["taken"] == 1
    await console.api("PUT", f"/sources/{made.json['id']}", json={"enabled": False})
    assert (await console.api("POST", path, data=form)).status == 409


async def test_sources_are_managed_by_administrators(console: Console) -> None:
    broker = {
        "kind": "mqtt",
        "name": "town",
        "url": "mqtts://broker.example.org",
        "username": "m",
        "password": "s3cret",
        "topics": ["meters/+/reading"],
        "mapping": MAPPING,
    }
    assert (await console.api("POST", "/sources", role="engineer", json=broker)).status == 403
    made = await console.api("POST", "/sources", json=broker)
    assert made.status == 201 and "s3cret" not in made.text and made.json["has_password"] is True
    assert (await console.api("POST", "/sources", json=broker)).status == 409
    for change, field in (
        ({"url": "http://broker.example.org"}, "url"),
        ({"url": "mqtt://10.0.0.1"}, "url"),
        ({"url": "mqtt://u:p@broker.example.org"}, "url"),
        ({"topics": ["a/#/b"]}, "topics"),
        ({"topics": ["$SYS/x"]}, "topics"),
        ({"topics": []}, "topics"),
        ({"ca": "-----BEGIN CERTIFICATE-----"}, "url"),
        ({"name": ""}, "name"),
        ({"mapping": {"serial": "a", "values": {}}}, "mapping"),
    ):
        answer = await console.api("PUT", f"/sources/{made.json['id']}", json=change)
        assert answer.status == 422 and field in answer.text, (change, answer.text)
    assert (await console.api("POST", f"/sources/{made.json['id']}/push", data=b"1")).status == 409
    assert (await console.api("DELETE", f"/sources/{made.json['id']}")).status == 204
    assert (await console.api("GET", f"/sources/{made.json['id']}")).status == 404
    assert (await console.api("GET", "/sources")).json["items"] == []


async def test_metrics_tell_what_waits_at_the_ways_in_and_out(console: Console) -> None:
    db = console.services.database
    await console.api(
        "POST", "/integrations", json={"name": "billing", "url": "https://example.org", "events": ["reading"]}
    )
    broker = {"kind": "mqtt", "name": "town", "url": "mqtt://broker.example.org", "topics": ["a"], "mapping": MAPPING}
    await console.api("POST", "/sources", json=broker)
    house = make_house(db)
    readings = [
        {"meter_id": house.meters["1"], "measured_at": AT, "value": "100.9"},
        {"serial": "nobody", "measured_at": AT, "value": "1"},
    ]
    await console.api("POST", "/readings/batch", json={"readings": readings})
    shown = (await console.ask("GET", "/metrics")).text
    for line in (
        'meterwan_integration_events{integration="billing",state="waiting"} 1.0',
        'meterwan_integration_events{integration="billing",state="dead"} 0.0',
        'meterwan_source_connected{source="town"} 0.0',
        "meterwan_refused_readings 1.0",
        "meterwan_notices_waiting 0.0",
    ):
        assert line in shown, line

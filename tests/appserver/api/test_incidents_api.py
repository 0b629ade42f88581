"""Incidents over the API: list, acknowledge, comment; subscriptions."""

from __future__ import annotations

from appserver.incidents.facts import Finding, Place
from appserver.incidents.store import apply
from tests.support.console import Console


async def put(console: Console, *findings: Finding) -> None:
    db = console.services.database

    def write() -> None:
        with db.transaction() as connection:
            apply(connection, findings, {f.kind for f in findings}, console.clock(), "incident_limits@2000-01-01#0")

    await db.run(write)


def leak(start_s: int, meter: int = 1) -> Finding:
    return Finding("leak", Place(None, None, None, meter), start_s * 1_000_000, {"least_per_hour": "0.012"})


async def test_fr_09_list_acknowledge_comment(console: Console) -> None:
    await put(
        console, leak(1000), leak(2000, 2), Finding("clock", Place(dev_eui="aa" * 8), 3_000_000_000, {"offset_s": 400})
    )
    answer = await console.api("GET", "/incidents?limit=2", role="viewer")
    page = answer.json
    assert [item["kind"] for item in page["items"]] == ["clock", "leak"]
    rest = (await console.api("GET", f"/incidents?limit=2&cursor={page['next_cursor']}")).json
    assert [item["meter_id"] for item in rest["items"]] == [1] and rest["next_cursor"] is None
    one = rest["items"][0]
    assert (one["started_at"], one["ended_at"], one["layer"]) == ("1970-01-01T00:16:40Z", None, "device")
    assert (await console.api("GET", "/incidents/counts")).json == {"leak": 2, "clock": 1}

    assert (await console.api("POST", f"/incidents/{one['id']}/acknowledgement", role="viewer")).status == 403
    taken = await console.api("POST", f"/incidents/{one['id']}/acknowledgement", role="dispatcher")
    assert (taken.status, taken.json["acknowledged_by"]) == (200, "token:dispatcher")
    said = await console.api(
        "POST", f"/incidents/{one['id']}/comments", role="dispatcher", json={"text": "кран закрыт"}
    )
    assert (said.status, said.json["comments"][0]["text"]) == (201, "кран закрыт")
    new = (await console.api("GET", "/incidents?state=new&kind=leak")).json["items"]
    assert [item["meter_id"] for item in new] == [2]
    actions = {row["action"] for row in (await console.api("GET", "/audit")).json["items"]}
    assert {"incident.acknowledge", "incident.comment"} <= actions


async def test_incidents_refuse_what_is_not_there(console: Console) -> None:
    for method, path, body, status in (
        ("GET", "/incidents/77", None, 404),
        ("POST", "/incidents/77/acknowledgement", None, 404),
        ("POST", "/incidents/77/comments", {"text": "x"}, 404),
        ("POST", "/incidents/77/comments", {"text": ""}, 422),
        ("GET", "/incidents?kind=flood", None, 422),
        ("GET", "/incidents?cursor=x", None, 422),
        ("GET", "/incidents?nothing=1", None, 422),
        ("DELETE", "/subscriptions/5", None, 404),
        ("POST", "/subscriptions", {"channel": "email", "target": "nobody"}, 422),
    ):
        answer = await console.api(method, path, json=body) if body is not None else await console.api(method, path)
        assert answer.status == status, (method, path, answer.text)
        assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_fr_09_subscriptions(console: Console) -> None:
    body = {"channel": "email", "target": "duty@example.org", "kinds": ["leak", "burst"], "severity": "critical"}
    made = await console.api("POST", "/subscriptions", json=body)
    assert (made.status, made.json["kinds"], made.json["waiting"]) == (201, ["leak", "burst"], 0)
    assert (await console.api("GET", "/subscriptions", role="engineer")).status == 403
    listed = (await console.api("GET", "/subscriptions")).json["items"]
    assert [item["target"] for item in listed] == ["duty@example.org"]
    assert (await console.api("DELETE", f"/subscriptions/{made.json['id']}")).status == 204
    assert (await console.api("GET", "/subscriptions")).json["items"] == []
    assert (await console.api("POST", "/subscriptions", json={**body, "building_id": 77})).status == 404

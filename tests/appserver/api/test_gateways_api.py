from __future__ import annotations

from internalapi import messages as m
from tests.support.console import Console

EUI = "0016c001f153a14c"


async def test_a_gateway_is_made_shown_changed_and_removed(console: Console) -> None:
    made = await console.api(
        "POST",
        "/gateways",
        json={
            "gateway_eui": "00-16-C0-01-F1-53-A1-4C",
            "name": "Крыша",
            "location": {"latitude": 55.05, "longitude": 59.03, "altitude_m": 400},
            "tags": {"site": "boiler"},
        },
    )
    assert made.status == 201, made.text
    assert made.json["gateway_eui"] == EUI
    assert made.json["location"] == {"latitude": 55.05, "longitude": 59.03, "altitude_m": 400.0}
    assert made.json["created_at"].endswith("Z") or "+" in made.json["created_at"]
    again = await console.api("POST", "/gateways", json={"gateway_eui": EUI})
    assert again.status == 409
    assert again.headers["Content-Type"].startswith("application/problem+json")
    changed = await console.api("PUT", f"/gateways/{EUI}", json={"name": "Roof"})
    assert changed.json["name"] == "Roof"
    assert changed.json["location"] is None
    assert [g["gateway_eui"] for g in (await console.api("GET", "/gateways?q=roo")).json["items"]] == [EUI]
    assert (await console.api("DELETE", f"/gateways/{EUI}")).status == 204
    assert (await console.api("GET", f"/gateways/{EUI}")).status == 404
    actions = [item["action"] for item in (await console.api("GET", "/audit")).json["items"]]
    assert actions[:3] == ["gateway.delete", "gateway.change", "gateway.create"]


async def test_unknown_gateways_are_adopted_by_registering_them(console: Console) -> None:
    console.network.unknown[EUI] = m.UnknownGateway(EUI, "10.0.0.7:40000", 1, 2, 17)
    listed = (await console.api("GET", "/gateways/unknown")).json["items"]
    assert [(g["gateway_eui"], g["datagrams"]) for g in listed] == [(EUI, 17)]
    assert (await console.api("POST", "/gateways", json={"gateway_eui": EUI})).status == 201
    assert (await console.api("GET", "/gateways/unknown")).json["items"] == []


async def test_lists_go_on_with_the_cursor(console: Console) -> None:
    for number in range(5):
        await console.api("POST", "/gateways", json={"gateway_eui": f"{number:016x}"})
    seen, cursor = [], ""
    while True:
        page = (await console.api("GET", f"/gateways?limit=2&cursor={cursor}")).json
        seen += [g["gateway_eui"] for g in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == [f"{number:016x}" for number in range(5)]


async def test_what_is_wrong_is_named(console: Console) -> None:
    wrong = {
        "gateway_eui": ({"gateway_eui": "123"}, "gateway_eui"),
        "unknown field": ({"gateway_eui": EUI, "colour": "red"}, "colour"),
        "latitude": ({"gateway_eui": EUI, "location": {"latitude": 91, "longitude": 0}}, "location.latitude"),
    }
    for name, (body, field) in wrong.items():
        answer = await console.api("POST", "/gateways", json=body)
        assert answer.status == 422, name
        assert [e["field"] for e in answer.json["errors"]] == [field], name
        assert answer.json["title"]
    assert (await console.api("GET", "/gateways?limit=1001")).status == 422
    assert (await console.api("GET", "/gateways?colour=red")).status == 422
    assert (await console.api("GET", "/gateways?limit=1&limit=2")).status == 422


async def test_every_refusal_is_a_problem_document(console: Console) -> None:
    cases = [
        ("GET", "/nothing", {}, 404),
        ("PATCH", "/gateways", {}, 405),
        ("POST", "/gateways", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/gateways", {"data": b"a=b", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/gateways", {"data": b" " * 2_000_000, "headers": {"Content-Type": "application/json"}}, 413),
    ]
    for method, path, arguments, status in cases:
        answer = await console.api(method, path, **arguments)
        assert answer.status == status, (method, path, answer.text)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.json["status"] == status
    console.network.away = True
    answer = await console.api("GET", "/gateways")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

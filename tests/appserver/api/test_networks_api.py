"""Networks and common needs over HTTP."""

from __future__ import annotations

from decimal import Decimal

from tests.support.console import Console
from tests.support.house import make_house


async def test_fr_13_a_network_over_the_api(console: Console) -> None:
    house = make_house(console.services.database)
    ids = {}
    for kind, name in (("source", "well"), ("section", "street"), ("house", "12")):
        made = await console.api("POST", "/networks/cold_water/nodes", json={"kind": kind, "name": name})
        assert made.status == 201, made.text
        ids[name] = made.json["id"]
    for from_, to, point in (("well", "street", "house"), ("street", "12", "2")):
        body = {"from_id": ids[from_], "to_id": ids[to], "point_id": house.points[point]}
        made = await console.api("POST", "/networks/cold_water/edges", json=body)
        assert made.status == 201, made.text
    path = "/networks/cold_water/balance?from=2026-10-01&to=2026-10-06"
    told = (await console.api("GET", path)).json
    street = told["nodes"][1]
    assert (street["name"], Decimal(street["loss"]), street["jump"]) == ("street", Decimal("1.25"), True)
    assert len(told["edges"]) == 2
    assert (await console.api("GET", "/networks/cold_water/balance?from=2026-10-06&to=2026-10-06")).status == 422
    assert (await console.api("GET", path.replace("cold_water", "beer"))).status == 422
    assert (await console.api("DELETE", f"/networks/cold_water/nodes/{ids['12']}")).status == 409
    assert (await console.api("DELETE", f"/networks/cold_water/edges/{made.json['id']}")).status == 204
    assert (await console.api("DELETE", f"/networks/cold_water/nodes/{ids['12']}")).status == 204
    assert "network_edge.create" in (await console.api("GET", "/audit")).text


async def test_fr_17_common_needs_say_what_is_lacking(console: Console) -> None:
    house = make_house(console.services.database)
    path = f"/buildings/{house.building_id}/common-needs?month=2026-10-01"
    refused = await console.api("GET", path)
    assert (refused.status, "whole month" in refused.text) == (422, True)
    assert (await console.api("GET", path.replace(f"/{house.building_id}/", "/99/"))).status == 404

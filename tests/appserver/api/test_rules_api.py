"""Rules over HTTP."""

from __future__ import annotations

from urllib.parse import quote

from tests.support.console import Console
from tests.support.house import make_house

NORM = {
    "kind": "norm",
    "organisation_id": 1,
    "valid_from": "2026-01-01",
    "source": "Решение Собрания № 17",
    "values": {"resource": "cold_water", "per_person": "4.2"},
}


async def test_a_rule_is_entered_listed_and_withdrawn(console: Console) -> None:
    make_house(console.services.database)
    made = await console.api("POST", "/rules", json=NORM)
    assert made.status == 201, made.text
    assert made.json["author"] == "token:admin"
    assert (await console.api("POST", "/rules", json=NORM)).status == 409
    [held] = (
        await console.api("GET", "/rules?kind=norm&at=2026-10-01&address=" + quote("г. Сатка, ул. Бакальская, 12"))
    ).json
    assert (held["origin"], held["values"]["per_person"], held["id"]) == ("entered", "4.2", made.json["id"])
    assert held["version"].startswith("norm@2026-01-01#")
    gone = await console.api("POST", f"/rules/{made.json['id']}/withdrawal", json={"reason": "отменено"})
    assert gone.status == 204, gone.text
    assert (await console.api("GET", "/rules?kind=norm&at=2026-10-01")).json == []
    [kept] = (await console.api("GET", "/rules/entered")).json
    assert kept["withdrawn_reason"] == "отменено"
    audit = (await console.api("GET", "/audit")).text
    assert "rule.enter" in audit and "rule.withdraw" in audit


async def test_refusals(console: Console) -> None:
    for wrong in (
        NORM | {"kind": "norms"},
        NORM | {"values": {"resource": "cold_water"}},
        NORM | {"source": ""},
        NORM | {"extra": 1},
    ):
        assert (await console.api("POST", "/rules", json=wrong)).status == 422, wrong
    assert (await console.api("POST", "/rules", json=NORM)).status == 404, "there is no organisation 1 yet"


async def test_the_balance_names_the_norm_it_used(console: Console) -> None:
    house = make_house(console.services.database)
    await console.api("POST", "/rules", json=NORM)
    told = await console.api(
        "GET", f"/buildings/{house.building_id}/balance?from=2026-10-01&to=2026-10-06&resource=cold_water"
    )
    [version] = told.json["rules"]
    assert version.startswith("norm@2026-01-01#")

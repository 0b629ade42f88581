"""A gateway's page and API as a Basics Station: state, settings, credentials that are shown once."""

from __future__ import annotations

from internalapi import messages as m
from tests.support.console import Console

EUI = "0016c001f153a14c"


async def test_the_state_of_a_station_is_shown(console: Console) -> None:
    await console.api("POST", "/gateways", json={"gateway_eui": EUI})
    await console.sign_in()
    assert (await console.api("GET", f"/gateways/{EUI}")).json["station"] is None
    record = console.network.gateway_table[EUI]
    record.protocol = "basicstation"
    record.station = m.StationState(
        "2.0.6(linux/std)", "1.2", "corecell", ["gps"], 1, "192.0.2.7:1", "TLSv1.3", "token", None, "AU915"
    )
    shown = (await console.api("GET", f"/gateways/{EUI}")).json
    assert shown["protocol"] == "basicstation" and shown["station"]["last_timesync_at"] is None
    assert (shown["station"]["version"], shown["station"]["features"]) == ("2.0.6(linux/std)", ["gps"])
    page = (await console.ask("GET", f"/gateways/{EUI}")).text
    assert all(text in page for text in ("Basics Station", "2.0.6(linux/std)", "corecell", "TLSv1.3", "AU915"))


async def test_settings_of_a_station_by_form_and_by_api(console: Console) -> None:
    await console.api("POST", "/gateways", json={"gateway_eui": EUI})
    await console.sign_in()
    sent = await console.post(f"/gateways/{EUI}/station", region="EU868", max_eirp_dbm="13,5", concentrator="sx1302")
    assert sent.status == 303
    assert console.network.gateway_table[EUI].station_setup == m.StationSetup("EU868", 13.5, "sx1302")
    wrong = await console.post(f"/gateways/{EUI}/station", region="EU868", max_eirp_dbm="99")
    assert wrong.status == 422 and EUI in wrong.text
    body = {"region": "", "max_eirp_dbm": None, "concentrator": ""}
    assert (await console.api("PUT", f"/gateways/{EUI}/station", json=body)).json == body
    assert console.network.gateway_table[EUI].station_setup == m.StationSetup()
    for bad in ({"region": "a b"}, {"max_eirp_dbm": 40}, {"concentrator": "sx1257"}, {"colour": 1}):
        assert (await console.api("PUT", f"/gateways/{EUI}/station", json=bad)).status == 422
    assert (await console.api("PUT", f"/gateways/{EUI}/station", json=body, role="viewer")).status == 403


async def test_credentials_are_shown_once_and_ended(console: Console) -> None:
    await console.api("POST", "/gateways", json={"gateway_eui": EUI})
    await console.sign_in()
    refused = await console.post(f"/gateways/{EUI}/credentials", uri="")
    assert refused.status == 422 and "mwgw" not in refused.text
    made = await console.post(f"/gateways/{EUI}/credentials", uri="wss://host:8887")
    assert made.status == 200 and "Bearer mwgw-one" in made.text and "https://host:8887" in made.text
    assert "mwgw" not in (await console.ask("GET", f"/gateways/{EUI}")).text
    assert (await console.post(f"/gateways/{EUI}/credentials/revoke")).status == 303
    by_api = await console.api("POST", f"/gateways/{EUI}/credentials", json={"uri": "wss://host:8887"})
    assert by_api.status == 201 and by_api.json["lns_token"] == "mwgw-one"
    assert (await console.api("DELETE", f"/gateways/{EUI}/credentials")).json == {"tokens": 1}
    audit = (await console.api("GET", "/audit")).text
    assert "gateway.credentials" in audit and "mwgw" not in audit
    for role in ("viewer", "dispatcher"):
        answer = await console.api("POST", f"/gateways/{EUI}/credentials", json={"uri": "wss://h:1"}, role=role)
        assert answer.status == 403
    assert (await console.api("POST", f"/gateways/{'f' * 16}/credentials", json={"uri": "wss://h:1"})).status == 404

"""What the console and the API show and take of a gateway: limits, forwarder, claims, statistics."""

from __future__ import annotations

import pytest

from internalapi import messages as m
from tests.support.console import Console
from tests.support.gateway_days import GATEWAY, fill_gateway, hour


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Another source claims this gateway: 203.0.113.66", "10.0.0.7:40000", "second generation (SX1302)",
                "another frame was in the way", "no answer: it may have been sent", "by its GPS", "heard in the last day:"]),
        ("ru", ["выдаёт себя другой источник: 203.0.113.66", "второго поколения (SX1302)", "помешал другой кадр",
                "нет ответа: возможно, отправлен", "по её GPS", "на связи за сутки:"]),
    ],
)  # fmt: skip
async def test_page_of_a_gateway_tells_all_that_is_known(console: Console, language: str, words: list[str]) -> None:
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    await fill_gateway(console)
    page = (await console.ask("GET", f"/gateways/{GATEWAY}")).text
    for word in words:
        assert word in page, word
    assert page.count('data-chart="') == 3
    assert page.count("<progress") == 3


async def test_limits_are_set_in_the_form_and_shown(console: Console) -> None:
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    await fill_gateway(console)
    sent = {
        "name": "T", "max_duty_cycle": "2,5", "forwarder": "legacy", "tx_ack": "never",
        "allowed_sources": "10.0.0.0/8, fd00::/8",
    }  # fmt: skip
    assert (await console.post(f"/gateways/{GATEWAY}", **sent)).status == 303
    record = console.network.gateway_table[GATEWAY]
    assert (record.max_duty_cycle, record.forwarder, record.tx_ack) == (0.025, "legacy", "never")
    assert record.allowed_sources == ["10.0.0.0/8", "fd00::/8"]
    page = (await console.ask("GET", f"/gateways/{GATEWAY}")).text
    assert 'value="2.5"' in page and 'value="10.0.0.0/8, fd00::/8"' in page and "<details open>" in page
    assert (await console.post(f"/gateways/{GATEWAY}", name="T")).status == 303
    assert console.network.gateway_table[GATEWAY].max_duty_cycle is None
    for wrong in ({"max_duty_cycle": "101"}, {"allowed_sources": "10.0.0.0/33"}, {"forwarder": "x"}, {"tx_ack": "x"}):
        answer = await console.post(f"/gateways/{GATEWAY}", name="T", **wrong)
        assert answer.status == 422, wrong
    assert "must be addresses or networks" in (await console.post(f"/gateways/{GATEWAY}", allowed_sources="x")).text


async def test_saving_the_form_makes_no_gps_place_the_operators(console: Console) -> None:
    await console.sign_in()
    await fill_gateway(console)
    page = (await console.ask("GET", f"/gateways/{GATEWAY}")).text
    assert 'name="latitude" type="text" value=""' in page or 'value="55.05123"' not in page


async def test_api_takes_and_shows_the_same(console: Console) -> None:
    await fill_gateway(console)
    body = {"name": "T", "max_duty_cycle": 0.02, "forwarder": "hal", "tx_ack": "never", "allowed_sources": ["10.0.0.1"]}
    changed = await console.api("PUT", f"/gateways/{GATEWAY}", json=body)
    assert changed.status == 200 and {name: changed.json[name] for name in body} == body
    shown = (await console.api("GET", f"/gateways/{GATEWAY}")).json
    assert shown["claim"]["address"] == "203.0.113.66" and shown["claim"]["datagrams"] == 412
    assert (shown["lead_ms"], shown["airtime_ms"], shown["disputed"], shown["clock_restarts"]) == (
        138.5,
        274_350.0,
        412,
        2,
    )
    wrong = await console.api("PUT", f"/gateways/{GATEWAY}", json={"allowed_sources": ["everywhere"]})
    assert wrong.status == 422 and [error["field"] for error in wrong.json["errors"]] == ["allowed_sources"]


async def test_statistics_by_hour(console: Console) -> None:
    await fill_gateway(console)
    day = (await console.api("GET", f"/gateways/{GATEWAY}/statistics")).json["items"]
    assert 24 <= len(day) <= 25
    assert day[0]["outcomes"]["NONE"] > 0 and set(day[0]) == {
        "time", "uplinks", "bad_crc", "online_s", "rtt_least_ms", "rtt_mean_ms", "rtt_most_ms", "ackr_percent", "outcomes",
        "airtime_ms",
    }  # fmt: skip
    first = console.network.gateway_hours[GATEWAY][0] = hour(1_577_836_800_000_000, uplinks=7)
    query = "from=2020-01-01T00:00:00Z&to=2020-01-01T01:00:00Z"
    (shown,) = (await console.api("GET", f"/gateways/{GATEWAY}/statistics?{query}")).json["items"]
    assert (shown["uplinks"], shown["time"]) == (first.uplinks, "2020-01-01T00:00:00Z")
    for query, status in (
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422),
        ("from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", 422),
        ("from=yesterday", 422),
    ):
        assert (await console.api("GET", f"/gateways/{GATEWAY}/statistics?{query}")).status == status, query
    assert (await console.api("GET", f"/gateways/{'0' * 16}/statistics")).status == 404


async def test_events_about_gateways(console: Console) -> None:
    event = m.Event(
        7,
        "gateway",
        1_793_000_000_000_000,
        "",
        gateway_eui=GATEWAY,
        level="ERROR",
        code="GATEWAY_OFFLINE",
        text="silent",
    )
    console.network.event_list.append(event)
    (shown,) = (await console.api("GET", "/events?type=gateway")).json["items"]
    assert (shown["gatewayId"], shown["code"], shown["level"], shown["description"]) == (
        GATEWAY, "GATEWAY_OFFLINE", "ERROR", "silent",
    )  # fmt: skip

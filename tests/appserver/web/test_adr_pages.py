"""Decisions of ADR in both languages."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from appserver.web import i18n
from appserver.web.adr import ALGORITHMS, WHY, adr_algorithm, adr_numbers, adr_reason
from internalapi import messages as m
from internalapi.adr import WHY as CODES
from internalapi.adr import AdrReason
from lns.adr import ALGORITHMS as BUILT
from tests.support.console import Console
from tests.support.pages import fill

RAISED = AdrReason("spare", 2, 4, 1, 1, 3, 1, 20, -3.5, 2.3, 9.0, 0.0, 0.05, 0.01)
STAYS = AdrReason("few", 3, 3, frames=1)
STEPS = AdrReason("steps", 5, 5, 0, 2, 1, 1, 20, 8.0, 0.0, 15.5, 10.0, 0.0, 0.0)


@pytest.fixture
def language() -> Iterator[None]:
    i18n.use("ru")
    yield
    i18n.use("en")


def test_russian(language: None) -> None:
    assert adr_reason(RAISED) == "DR2→DR4, NbTrans 3→1, потому что сигнал лучше, чем нужно для этих настроек"
    assert adr_numbers(RAISED) == "SNR −3,5 дБ, на 9,0 дБ выше порога, разброс 2,3 дБ, потеряно 5 %, по 20 кадрам"
    assert adr_reason(STAYS) == "остаётся DR3: слишком мало кадров для решения"
    assert adr_numbers(STAYS) == ""
    assert adr_reason(STEPS) == "индекс мощности 0→2, потому что шаг рекомендованного алгоритма"
    assert "запас 10,0 дБ" in adr_numbers(STEPS)
    assert adr_algorithm("default") == "по измеренной линии"


def test_every_code_and_algorithm_has_words() -> None:
    assert set(WHY) == set(CODES)
    assert set(ALGORITHMS) == set(BUILT)


def test_an_unknown_code_is_shown_as_it_is(language: None) -> None:
    assert "novelty" in adr_reason(AdrReason("novelty", 1, 2))


async def test_a_device_shows_its_decisions(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    (dev_eui,) = [key for key in console.network.session_table if key in pages["device"]]
    record, at_us = console.network.session_table[dev_eui], console.network.now_us - 3_600_000_000
    adr = m.AdrState("default", RAISED, [m.AdrDecision(at_us, RAISED)], STEPS, uncertain=True, pause=64)
    console.network.session_table[dev_eui] = msgspec.structs.replace(record, adr=adr)
    await console.post("/language", language="ru", back="/")
    page = (await console.ask("GET", pages["device"])).text
    assert "DR2→DR4, NbTrans 3→1, потому что сигнал лучше" in page and "по измеренной линии" in page
    assert "устройство не слушается" in page and "Решения ADR" in page
    await console.post("/language", language="en", back="/")
    page = (await console.ask("GET", pages["device"])).text
    assert "because the signal is better than this setting needs" in page and "Decisions of ADR" in page
    shown = (await console.api("GET", f"/devices/{dev_eui}/session")).json["adr"]
    assert (shown["algorithm"], shown["pause"], shown["uncertain"]) == ("default", 64, True)
    (decision,) = shown["decisions"]
    assert decision["reason"]["text"].startswith("DR2→DR4, NbTrans 3→1 because ")
    assert (decision["reason"]["dr_from"], decision["reason"]["dr_to"], decision["reason"]["loss"]) == (2, 4, 0.05)
    assert shown["present"]["code"] == "steps"


async def test_a_profile_takes_the_settings_of_adr(console: Console) -> None:
    body = {"name": "cellar", "adr": "static", "adr_margin_db": 14, "adr_static_dr": 2, "adr_max_dr": 3}
    made = await console.api("POST", "/device-profiles", json=body)
    assert made.status == 201
    shown = (await console.api("GET", "/device-profiles/cellar")).json
    assert {name: shown[name] for name in body} == body
    assert shown["adr_max_tx_power"] is None and shown["adr_max_nb_trans"] == 3
    assert (await console.api("POST", "/device-profiles", json=body | {"name": "b", "adr": "magic"})).status == 422

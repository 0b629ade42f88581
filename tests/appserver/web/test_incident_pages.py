"""The page of incidents in both languages: filters, evidence, acknowledgement, comments; what other pages show of them."""

from __future__ import annotations

import re

import pytest

from appserver.incidents import KINDS, detectors
from appserver.incidents.facts import Finding, Place
from appserver.incidents.store import apply
from appserver.incidents.words import KIND_WORDS
from appserver.web import i18n, incident_words
from tests.support.console import Console

EVIDENCE = {"least_per_hour": "0.012", "limit_per_hour": "0.004", "nights": [{"night": "2026-10-01"}]}


async def put(console: Console, *findings: Finding) -> None:
    db = console.services.database

    def write() -> None:
        with db.transaction() as connection:
            apply(connection, findings, {f.kind for f in findings}, console.clock(), "incident_limits@2000-01-01#0")

    await db.run(write)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", ("Нештатные ситуации", "Утечка", "минимум за ночной час: <b>0,012</b>", "Шлюз молчит", "Принять")),
        ("en", ("Incidents", "Leak", "least in an hour of the night: <b>0.012</b>", "Silent gateway", "Acknowledge")),
    ],
)
async def test_fr_09_the_page_in_both_languages(console: Console, language: str, words: tuple[str, ...]) -> None:
    await put(
        console,
        Finding("leak", Place(dev_eui="aa" * 8), console.clock() - 10**9, EVIDENCE),
        Finding("silent_gateway", Place(gateway_eui="bb" * 8), console.clock() - 10**9, {"text": "not heard"}),
    )
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    text = (await console.ask("GET", "/incidents")).text
    for word in words:
        assert word in text, word
    start = (await console.ask("GET", "/")).text
    assert re.search(r'href="/incidents"><span class="label">[^<]+</span>\s*<span class="value bad">2</span>', start)


async def test_fr_09_filters_acknowledgement_and_comment(console: Console) -> None:
    await put(
        console,
        Finding("leak", Place(dev_eui="aa" * 8), 5, EVIDENCE),
        Finding("magnet", Place(dev_eui="cc" * 8), 7, {"flags": ["magnetic_tamper"]}, 9),
    )
    await console.sign_in()
    await console.post("/language", language="en", back="/")
    rows = re.findall(r'<tr id="i(\d+)"', (await console.ask("GET", "/incidents")).text)
    assert len(rows) == 1, "those that hold now"
    closed = (await console.ask("GET", "/incidents?state=closed")).text
    assert "magnetic field" in closed and "until" in closed
    assert re.findall(r'<tr id="i\d+"', (await console.ask("GET", "/incidents?kind=magnet")).text) == []
    assert re.findall(r'<tr id="i\d+"', (await console.ask("GET", "/incidents?q=AAAAAAAA")).text)
    taken = await console.post(f"/incidents/{rows[0]}/acknowledge", back="/incidents?state=open")
    assert (taken.status, taken.headers["Location"]) == (303, f"/incidents?state=open#i{rows[0]}")
    assert (await console.post(f"/incidents/{rows[0]}/comment", text="<b>valve</b> closed")).status == 303
    text = (await console.ask("GET", "/incidents")).text
    assert "boss" in text and "&lt;b&gt;valve&lt;/b&gt; closed" in text
    assert (await console.post(f"/incidents/{rows[0]}/comment", text="")).status == 422
    assert (await console.post("/incidents/99/acknowledge")).status == 404
    assert re.findall(r'<tr id="i\d+"', (await console.ask("GET", "/incidents?state=new")).text) == []


async def test_a_viewer_reads_and_changes_nothing(console: Console) -> None:
    await put(console, Finding("leak", Place(dev_eui="aa" * 8), 5, EVIDENCE))
    await console.sign_in("guest", role="viewer")
    text = (await console.ask("GET", "/incidents")).text
    assert "/acknowledge" not in text
    assert (await console.post("/incidents/1/acknowledge")).status == 403


def test_every_flag_that_is_an_incident_has_words_in_both_languages() -> None:
    i18n.use("ru")
    for flag in detectors.FLAGS:
        (_, text), *rest = incident_words.evidence({"flags": [flag]})
        assert re.search("[а-я]", text) and rest == [], flag


def test_every_kind_has_words_in_both_languages() -> None:
    i18n.use("ru")
    for name in KINDS:
        assert name in KIND_WORDS
        assert i18n.gettext(incident_words.KINDS[name]) != incident_words.KINDS[name]

"""Corrections, conflicts, closed periods, rules and notifications with forms."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest

from appserver.metering.corrections import corrections, open_conflicts
from appserver.metering.incoming import Item, take
from appserver.metering.periods import closed_periods
from appserver.metering.readings import NewReading, store
from appserver.rules import KINDS
from appserver.rules.entered import rule_book
from appserver.web import i18n
from appserver.web.words import RULE_KINDS
from tests.support.console import Console
from tests.support.house import FIRST_DAY, House, make_house

AT = FIRST_DAY + timedelta(days=5)
AT_US = int(AT.timestamp()) * 1_000_000
FORM = {
    "measured_at": "2026-10-06T00:00",
    "register": "volume",
    "value": "101",
    "reason": "misread",
    "document": "act 7",
}


@pytest.fixture
async def house(console: Console) -> House:
    made = make_house(console.services.database)
    await console.sign_in()
    return made


async def test_met_01_a_reading_is_corrected_with_its_history(console: Console, house: House) -> None:
    path = f"/meters/{house.meters['1']}/corrections"
    shown = (await console.ask("GET", f"{path}?register=volume&at={AT_US}")).text
    assert 'value="2026-10-06T00:00:00"' in shown and 'value="100.750"' in shown
    done = await console.post(f"{path}?register=volume&at={AT_US}", **FORM | {"value": "101,0"})
    assert (done.status, done.headers["Location"].partition("?")[0]) == (303, path)
    page = (await console.ask("GET", f"{path}?register=volume&at={AT_US}")).text
    history = page[page.index('id="history"') :]
    assert re.findall(r'class="num">([\d.]+)</td>', history) == ["100.750"] and "<b>101.000</b>" in history
    assert all(word in history for word in ("boss", "misread", "act 7"))
    assert "reading.correct" in (await console.ask("GET", "/admin/audit")).text
    taken = await console.post(path, **FORM | {"value": "", "none": "1", "reason": "not his meter"})
    assert taken.status == 303
    assert corrections(console.services.database, house.meters["1"])[0].value is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": ""}, "Reason"),
        ({"value": ""}, "write the reading"),
        ({"value": "100.75"}, "This value holds already"),
        ({"measured_at": "2099-01-01T00:00"}, "The moment is in the future"),
        ({"measured_at": "yesterday"}, "Date and time"),
        ({"value": "a lot"}, "Reading"),
    ],
)
async def test_a_correction_that_cannot_be_is_told_and_the_form_stays(
    console: Console, house: House, changes: dict[str, str], words: str
) -> None:
    answer = await console.post(f"/meters/{house.meters['1']}/corrections", **FORM | changes)
    assert answer.status in (409, 422)
    text = unescape(answer.text)
    assert words in text[text.index('role="alert"') :]
    assert 'value="act 7"' in text and corrections(console.services.database) == []


async def test_fr_20_of_two_values_a_person_chooses_with_a_reason(console: Console, house: House) -> None:
    db = console.services.database
    for meter in ("1", "2"):
        take(db, [Item(AT, Decimal("100.8"), meter_id=house.meters[meter])], "gprs", console.clock())
    page = (await console.ask("GET", "/conflicts")).text
    assert page.count('class="decide"') == 2 and "GPRS" in page and 'value="100.750"' in page
    decision = {"meter_id": str(house.meters["1"]), "register": "volume", "at": str(AT_US), "value": "100.800"}
    assert "Reason" in (await console.post("/conflicts", **decision)).text
    assert len(open_conflicts(db)) == 2
    assert (await console.post("/conflicts", **decision, reason="seen on site")).status == 303
    other = decision | {"meter_id": str(house.meters["2"]), "value": "other", "other": "101,3", "reason": "photo"}
    assert (await console.post("/conflicts", **other)).status == 303
    assert open_conflicts(db) == []
    assert [row.value for row in corrections(db)] == [Decimal("101.3"), Decimal("100.8")]
    assert "No source contradicts another" in (await console.ask("GET", "/conflicts")).text


async def test_fr_16_a_month_is_closed_reopened_and_its_changes_shown(console: Console, house: House) -> None:
    console.clock.forward(10 * 86400)
    await console.sign_in()
    end = int((FIRST_DAY + timedelta(days=31)).timestamp()) * 1_000_000
    with console.services.database.transaction() as connection:
        for name, value in (("1", 100_750_000), ("2", 101_250_000), ("house", 102_500_000)):
            reading = NewReading(house.meters[name], "volume", end, value, "archive", "lorawan", end)
            store(connection, [reading], console.clock())
    choice = {"building_id": str(house.building_id), "resource": "cold_water", "month": "2026-10"}
    query = "&".join(f"{key}={value}" for key, value in choice.items())
    preview = (await console.ask("GET", f"/periods?{query}")).text
    assert "what closing would freeze" in preview and "substitution@" in preview
    early = await console.post("/periods", **choice | {"month": "2027-05"})
    assert early.status == 422 and "The period is not over yet" in early.text
    done = await console.post("/periods", **choice)
    assert done.status == 303, done.text
    path = done.headers["Location"]
    again = await console.post("/periods", **choice)
    assert again.status == 422 and "needs its reason" in again.text
    [closing] = closed_periods(console.services.database)
    console.clock.forward(1)
    edit = f"/meters/{house.meters['1']}/corrections"
    touched = (await console.ask("GET", f"{edit}?at={AT_US}")).text
    assert f'href="{path}"' in touched, "the form says that the period is closed"
    await console.post(edit, **FORM | {"measured_at": "2026-11-01T00:00"})
    page = (await console.ask("GET", path)).text
    assert "differs at 1 points" in page and "misread" in page and "1.000" in page
    november = (await console.ask("GET", f"/periods?{query.replace('2026-10', '2026-11')}")).text
    assert "+0.250" in november and "misread (boss)" in unescape(november)
    shown = (await console.ask("GET", f"/houses/{house.building_id}?period=2026-10")).text
    assert "2.000" in shown and f'href="{path}"' in shown, "the page of the house prints what was closed"
    assert (await console.post(f"{path}/reopen", reason="")).status == 422
    assert (await console.post(f"{path}/reopen", reason="a photo came")).status == 303
    opened = (await console.ask("GET", path)).text
    assert "a photo came" in opened and "/reopen" not in opened
    assert (await console.post(f"{path}/reopen", reason="again")).status == 409
    assert {"period.close", "period.reopen"} <= set(
        re.findall(r"period\.\w+", (await console.ask("GET", "/admin/audit")).text)
    )
    assert closing.id == closed_periods(console.services.database)[0].id


async def test_rules_are_entered_and_withdrawn(console: Console, house: House) -> None:
    norm = {"kind": "person", "resource": "cold_water", "amount": "4,2", "organisation_id": "1"}
    norm |= {"valid_from": "2026-01-01", "source": "Решение № 17"}
    done = await console.post("/rules", **norm)
    assert done.status == 303, done.text
    page = (await console.ask("GET", "/rules?kind=norm&at=2026-10-01")).text
    assert "Решение № 17" in page and "per_person = <b>4.2</b>" in page and "norm.cold_water@2026-01-01#" in page
    assert (await console.post("/rules", **norm)).status == 409
    for wrong, words in (
        ({"source": ""}, "Source"),
        ({"amount": "much"}, "Norm a month"),
        ({"kind": "verification", "values": "expired_accepted = perhaps"}, "is not TOML"),
        ({"kind": "verification", "values": "expired = true"}, "Values"),
    ):
        answer = await console.post("/rules", **norm | {"valid_from": "2026-02-01"} | wrong)
        assert answer.status == 422 and words in answer.text, wrong
    own = {"kind": "verification", "values": "expired_accepted = true", "valid_from": "2026-03-01", "source": "закон"}
    assert (await console.post("/rules", **own)).status == 303
    assert (await console.post("/rules/1/withdraw", reason="отменено")).status == 303
    assert (await console.post("/rules/1/withdraw", reason="отменено")).status == 409
    assert [rule.kind for rule in rule_book(console.services.database).rules if rule.entered_id] == ["verification"]
    assert "отменено" in (await console.ask("GET", "/rules")).text


async def test_fr_09_who_is_told_is_chosen_by_role_and_house(console: Console, house: House) -> None:
    form = {"channel": "email", "target": "duty@example.com", "severity": "warning", "language": "ru", "role": "viewer"}
    wrong = await console.post("/admin/subscriptions", **form | {"target": "nobody"})
    assert wrong.status == 422 and "must be a mail address" in wrong.text
    assert (await console.post("/admin/subscriptions", **form, kinds="leak")).status == 303
    page = {"channel": "page", "role": "engineer", "severity": "info", "language": "en"}
    assert (await console.post("/admin/subscriptions", **page, building_id=str(house.building_id))).status == 303
    shown = (await console.ask("GET", "/admin/subscriptions")).text
    assert "duty@example.com" in shown and "Бакальская" in shown and "engineer" in shown
    assert (await console.post("/admin/subscriptions/1/delete")).status == 303
    assert "duty@example.com" not in (await console.ask("GET", "/admin/subscriptions")).text


async def test_a_viewer_reads_and_changes_nothing(console: Console) -> None:
    house = make_house(console.services.database)
    await console.sign_in("guest", role="viewer")
    for path in ("/conflicts", "/periods", "/rules", f"/meters/{house.meters['1']}/corrections"):
        page = await console.ask("GET", path)
        assert page.status == 200 and "<main" in page.text
        main = page.text[page.text.index("<main") :]
        assert 'method="post"' not in main, path
        assert (await console.post(path, reason="x")).status == 403, path
    assert (await console.ask("GET", "/admin/subscriptions")).status == 403


def test_every_kind_of_rule_has_words() -> None:
    i18n.use("ru")
    for kind in KINDS:
        assert i18n.gettext(RULE_KINDS[kind]) != kind

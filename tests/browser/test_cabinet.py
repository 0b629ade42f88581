"""A resident on a phone whose browser runs no script: signing in, the flat, a reading with a photo, a request."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from playwright.async_api import Browser

from appserver.residents import codes
from tests.appserver.requirements.test_cabinet import shot
from tests.browser.conftest import PHONE
from tests.support.console import Console
from tests.support.house import make_house


@pytest.mark.parametrize(
    ("language", "send", "thanks"), [("ru-RU", "Отправить", "Сохранено"), ("en-US", "Send", "Saved")]
)
async def test_fr_25_a_resident_on_a_phone_without_scripts(
    console: Console, browser: Browser, tmp_path: Path, language: str, send: str, thanks: str
) -> None:
    db, services = console.services.database, console.services
    make_house(db)
    [slip] = codes.issue(db, services.passwords, [1], "disp", date(2026, 10, 26), console.clock())
    (tmp_path / "meter.jpg").write_bytes(shot((800, 600)))
    context = await browser.new_context(viewport=PHONE, locale=language, java_script_enabled=False)
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await page.goto(console.url + "/resident")
    await page.fill("#account", slip.account)
    await page.fill("#code", slip.code)
    await page.click("button.primary")
    await page.wait_for_url(console.url + "/cabinet")
    await page.fill("[name=value]", "101,5")
    await page.set_input_files("[name=file]", tmp_path / "meter.jpg")
    await page.click(f"button:text-is('{send}')")
    await page.wait_for_url(console.url + "/cabinet?done=reading")
    assert thanks in await page.inner_text("main")
    assert db.rows("SELECT count(*) FROM photo") == [(1,)]
    await page.goto(console.url + "/cabinet/tickets")
    await page.fill("[name=subject]", "Течёт кран")
    await page.click(f"button:text-is('{send}')")
    await page.wait_for_url(console.url + "/cabinet/tickets/1")
    for path in ("/cabinet", "/cabinet/tickets", "/cabinet/tickets/1"):
        await page.goto(console.url + path)
        width = (await page.locator("main").bounding_box() or {"width": 0})["width"]
        assert 0 < width <= PHONE["width"], path
    await context.close()

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.support.browsing import Visit, Watched
from tests.support.console import Console, running_console

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    async with running_console(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
def visit(console: Console, browser: Browser) -> Visit:
    """Open a signed-in page: ``await visit(phone=…, language=…)``."""

    async def open_page(phone: bool = False, language: str = "ru-RU", signed_in: bool = True) -> Watched:
        context = await browser.new_context(viewport=PHONE if phone else DESKTOP, locale=language)
        watched = Watched(await context.new_page(), console.url)
        page = watched.page
        page.on("console", lambda m: watched.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.on("dialog", lambda dialog: watched.complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda r: watched.foreign.append(r.url) if not r.url.startswith((console.url, "data:", "blob:")) else None,
        )
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.blockedURI))"
        )
        if signed_in:
            if await console.services.auth.user_by_login("boss") is None:
                await console.add_user("boss", "correct horse")
            await page.goto(console.url + "/sign-in")
            await page.fill("#login", "boss")
            await page.fill("#password", "correct horse")
            await page.click("button.primary")
            await page.wait_for_url(console.url + "/")
        return watched

    return open_page

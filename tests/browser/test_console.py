"""The console in a real browser."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from playwright.async_api import expect

from internalapi import messages as m
from tests.support.browsing import Visit
from tests.support.console import Console
from tests.support.pages import DEVICE, GATEWAY, POLYGLOTS, fill

pytestmark = pytest.mark.browser


def number(text: str) -> Decimal:
    """A number as the page shows it in Russian."""
    found = re.search(r"[+−]?[\d\xa0]+(,\d+)?", text)
    assert found, text
    return Decimal(found[0].replace("\xa0", "").replace("−", "-").replace("+", "").replace(",", "."))


async def test_signing_in_and_out(console: Console, visit: Visit) -> None:
    watched = await visit(signed_in=False)
    page = watched.page
    await watched.go("/devices?q=x")
    assert page.url.endswith("/sign-in?next=/devices?q%3Dx")
    await console.add_user("boss", "correct horse")
    await page.fill("#login", "boss")
    await page.fill("#password", "correct horse")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/devices?q=x")
    await page.keyboard.press("Control+Home")
    await page.locator("h1").click()
    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.id") == "q"
    await page.click("text=Выйти")
    await page.wait_for_url("**/sign-in")
    watched.assert_quiet()


async def test_the_page_of_a_house_shows_the_balance_of_the_api(console: Console, visit: Visit) -> None:
    pages = await fill(console, "г. Сатка, ул. Бакальская, 12")
    house = pages["house"].split("?")[0]
    watched = await visit()
    page = watched.page
    await watched.go(pages["house"])
    await expect(page.locator("#chart canvas")).to_be_visible()
    path = f"/api/v1/buildings/{house.rsplit('/', 1)[1]}/balance?resource=cold_water&from=2026-10-01&to=2026-11-01"
    balance = await page.evaluate("async (path) => (await fetch(path)).json()", path)
    for selector, field in (("house", "house"), ("flats", "individual"), ("imbalance", "imbalance")):
        shown = await page.locator(f"#total-{selector}").inner_text()
        assert number(shown) == Decimal(balance["total"][field]), selector
    rows = await page.locator("#periods tbody tr").all_inner_texts()
    assert len(rows) == len(balance["periods"]) == 31
    for row, period in zip(rows, balance["periods"], strict=True):
        if period["imbalance"] is not None:
            assert number(row.split("\t")[3]) == Decimal(period["imbalance"])
    chart = await page.evaluate("JSON.parse(document.querySelector('#chart').dataset.chart)")
    assert [v for v in chart["series"][0]["values"] if v is not None] == [0.5] * 5
    assert await _painted(page, "#chart canvas") > 2000, "bars are drawn"
    flats = await page.locator("#flats tbody tr").all_inner_texts()
    assert [row.split("\t")[1].strip() for row in flats] == [p["serial"] for p in balance["points"]]
    await page.click("text=По месяцам")
    await expect(page.locator("#periods tbody tr")).to_have_count(12)
    await page.click("[aria-label=Раньше]")
    assert "period=2025" in page.url
    watched.assert_quiet()


async def _painted(page, selector: str) -> int:  # type: ignore[no-untyped-def]
    """Pixels of a canvas that are not empty."""
    return await page.evaluate(
        """(selector) => {
          const canvas = document.querySelector(selector);
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let painted = 0;
          for (let i = 3; i < data.length; i += 4) painted += data[i] > 0;
          return painted;
        }""",
        selector,
    )


async def test_statements_are_saved_from_the_menu(console: Console, visit: Visit) -> None:
    pages = await fill(console)
    watched = await visit()
    await watched.go(pages["house"])
    await watched.page.click("summary:has-text('Ведомости')")
    async with watched.page.expect_download() as download:
        await watched.page.locator(".menu-list a", has_text="XLSX").first.click()
    saved = await download.value
    assert saved.suggested_filename.endswith(".xlsx")
    watched.assert_quiet()


@pytest.mark.parametrize("language", ["ru-RU", "en-US"])
async def test_no_page_is_wider_than_a_phone_nor_complains(console: Console, visit: Visit, language: str) -> None:
    pages = await fill(console, "Челябинская область, город Сатка, улица Бакальская, дом 12")
    watched = await visit(phone=True, language=language)
    for name, path in pages.items():
        await watched.go(path)
        assert not await watched.is_wider_than_the_screen(), name
        assert await watched.page.get_attribute("html", "lang") == language[:2], name
    await watched.go("/")
    await watched.page.click("[data-menu]")
    await expect(watched.page.locator("nav.nav a").first).to_be_visible()
    await watched.page.click("nav.nav a[href='/live']")
    await watched.page.wait_for_url("**/live")
    watched.assert_quiet()


async def test_polyglots_in_every_field_are_text_to_the_browser(console: Console, visit: Visit) -> None:
    pages = await fill(console, " ".join(POLYGLOTS))
    watched = await visit()
    seen = 0
    for path in pages.values():
        await watched.go(path)
        seen += (await watched.page.inner_text("body")).count("alert(1)")
        assert await watched.page.locator("img[src=x], svg[onload], body script").count() == 0, path
    assert seen > 30
    watched.assert_quiet()


async def test_frames_appear_live_pause_and_go_on(console: Console, visit: Visit) -> None:
    await fill(console)
    watched = await visit()
    page = watched.page
    await watched.go("/live")
    await expect(page.locator("#live-state")).to_have_text("в реальном времени")
    before = await page.locator("#live-rows tr").count()

    def frame(number: int) -> None:
        heard = (m.Reception(GATEWAY, 1_793_000_000_000_000, -99.0, 3.0),)
        console.network.add_frame(
            m.FrameRecord(
                id=number, type="up", time_us=1_793_000_000_000_000, phy=b"@", dev_eui=DEVICE,
                device_name=f"<i>frame {number}</i>", f_cnt=number, receptions=heard, outcome="handed_over",
            )
        )  # fmt: skip

    frame(10)
    first = page.locator("#live-rows tr").first
    await expect(first).to_contain_text("<i>frame 10</i>")
    await expect(page.locator("#live-rows tr")).to_have_count(before + 1)
    await page.click("#live-pause")
    frame(11)
    await expect(page.locator("#live-state")).to_have_text("пауза")
    await page.wait_for_timeout(300)
    await expect(first).to_contain_text("frame 10")
    await page.click("#live-pause")
    await expect(first).to_contain_text("frame 11")
    watched.assert_quiet()


async def test_lists_are_searched_while_typing_and_go_on(console: Console, visit: Visit) -> None:
    for number_ in range(150):
        write = m.DeviceWrite(
            dev_eui=f"{number_:016x}", name=f"flat {number_}", profile="karat-926lw", app_key="0" * 32
        )
        await console.network.devices_put(items=[write])
    watched = await visit(language="en-US")
    page = watched.page
    await watched.go("/devices")
    rows = page.locator("#rows > tr:not(.more-row)")
    await expect(rows).to_have_count(100)
    await page.click("text=Show more")
    await expect(rows).to_have_count(150)
    await page.fill("#q", "flat 14")
    await expect(rows).to_have_count(11)
    assert "q=flat" in page.url
    watched.assert_quiet()


async def test_the_language_is_chosen_and_kept(console: Console, visit: Visit) -> None:
    watched = await visit(language="en-US")
    page = watched.page
    await expect(page.locator("h1")).to_have_text("Overview")
    await page.click("button[value=ru]")
    await expect(page.locator("h1")).to_have_text("Обзор")
    await watched.go("/devices")
    await expect(page.locator("h1")).to_have_text("Устройства")
    user = await console.services.auth.user_by_login("boss")
    assert user is not None
    assert user.language == "ru"
    watched.assert_quiet()


async def test_a_file_is_imported_in_the_browser(console: Console, visit: Visit) -> None:
    table = (
        "организация;адрес;квартира;ресурс;роль;номер счётчика;дата установки;начальное показание\n"
        "УК;Дом 1;1;ХВС;ИПУ;77;01.10.2026;12,5\n"
    )
    watched = await visit()
    page = watched.page
    await watched.go("/import")
    await page.set_input_files("#file", {"name": "дом.csv", "mimeType": "text/csv", "buffer": table.encode()})
    await page.click("text=Проверить файл")
    await expect(page.locator(".notice")).to_have_text(re.compile("ошибок нет"))
    await expect(page.locator("h1")).to_have_text("дом.csv")
    await page.click("button:has-text('Загрузить')")
    await expect(page.locator(".notice")).to_have_text(re.compile("Загружено"))
    await page.click("text=К домам")
    await expect(page.locator("#rows")).to_contain_text("Дом 1")
    watched.assert_quiet()


async def test_dark_colours_are_readable(console: Console, visit: Visit) -> None:
    """Contrast of text against its ground is at least 4.5 in both schemes."""
    pages = await fill(console)
    watched = await visit()
    for scheme in ("light", "dark"):
        await watched.page.emulate_media(color_scheme=scheme)
        for path in (pages["start"], pages["devices"], pages["house"]):
            await watched.go(path)
            poor = await watched.page.evaluate(_CONTRAST)
            assert poor == [], (scheme, path)


_CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let n = e; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] > 0.95) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("main *, aside *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest("svg, .u-legend, option") || !e.getClientRects().length) continue;
    const a = lum(parse(getComputedStyle(e).color)), b = lum(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([e.textContent.trim().slice(0, 30), e.className, ratio.toFixed(2)].join(" | "));
  }
  return [...new Set(poor)].slice(0, 10);
}"""


async def test_arrows_go_from_row_to_row_and_tab_leaves_the_table(console: Console, visit: Visit) -> None:
    await fill(console)
    await console.sign_in()
    page = await visit()
    await page.go("/codecs")
    names = page.page.locator("#list tbody a.mono[href^='/codecs/']")
    await names.nth(0).focus()
    for key, row in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("ArrowUp", 0), ("ArrowUp", 0)):
        await page.page.keyboard.press(key)
        wanted = await names.nth(row).get_attribute("href")
        assert await page.page.evaluate("document.activeElement.getAttribute('href')") == wanted
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url("**/codecs/*")
    page.assert_quiet()


async def test_a_layouts_samples_run_while_it_is_written(console: Console, visit: Visit) -> None:
    await console.sign_in()
    page = await visit()
    await page.go("/codecs/new")
    verdict = page.page.locator("#verdict")
    await verdict.locator(".notice.good").wait_for()
    source = page.page.locator("#f-source")
    text = await source.input_value()
    await source.fill(text.replace('"1.234"', '"1.235"'))
    await verdict.locator("#faults").wait_for()
    await source.fill(text)
    await page.page.locator("#f-hex").fill("5f8087ec65d2040000")
    await verdict.locator("#measurements").wait_for()
    assert "1.234" in await verdict.inner_text()
    page.assert_quiet()

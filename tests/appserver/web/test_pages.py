from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path

import aiohttp
import pytest

from tests.support.console import Answer, Console
from tests.support.pages import DEVICE, POLYGLOTS, fill


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_every_page_is_shown_in_both_languages(console: Console, language: str) -> None:
    pages = await fill(console)
    await console.sign_in()
    await console.post("/language", language=language, back="/")
    for name, path in pages.items():
        answer = await console.ask("GET", path)
        assert answer.status == 200, (name, answer.text[-500:])
        assert f'<html lang="{language}">' in answer.text
        assert re.search(r"<h1>[^<]+</h1>", answer.text), name
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', answer.text))
        for tag in re.findall(r"<(?:input|select|textarea) [^>]+>", answer.text):
            if 'type="hidden"' not in tag and " hidden" not in tag and 'type="checkbox"' not in tag:
                field = re.search(r'id="([^"]+)"', tag)
                assert field, (name, tag)
                assert field[1] in labelled, (name, tag)


async def test_pages_work_and_say_so_while_the_network_process_is_away(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    console.network.away = True
    needs_it = {"device", "new device", "gateway", "profiles", "new profile"}
    for name, path in pages.items():
        answer = await console.ask("GET", path)
        assert answer.status == (503 if name in needs_it else 200), name
        if name in needs_it | {"start", "gateways", "devices", "frames"}:
            assert "does not answer" in answer.text, name
    ready = await console.ask("GET", "/readyz")
    assert (ready.status, ready.json["network"]) == (200, "away")


async def test_polyglots_in_every_name_stay_text(console: Console) -> None:
    pages = await fill(console, name=" ".join(POLYGLOTS))
    await console.sign_in(login="<b>boss</b>")
    user = await console.services.auth.user_by_login("<b>boss</b>")
    assert user is not None
    await console.services.auth.change_user(user.id or 0, name=POLYGLOTS[0])
    await console.api("POST", "/tokens", json={"name": POLYGLOTS[1]})
    shown = 0
    for name, path in pages.items():
        answer = await console.ask("GET", path)
        assert answer.status == 200, name
        for polyglot in POLYGLOTS[:2] + POLYGLOTS[3:4]:
            assert polyglot not in answer.text, name
            shown += polyglot in unescape(answer.text)
        assert "{{7*7}}" in answer.text or "7*7" not in unescape(answer.text)
    assert shown > 30
    found = await console.ask("GET", "/devices?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in found.text


async def test_the_page_of_a_house_shows_the_numbers_of_the_api(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    page = unescape((await console.ask("GET", pages["house"])).text)
    assert re.search(r'id="total-house">2\.500 <small>m³', page)
    assert re.search(r'id="total-flats">2\.000 <small>m³', page)
    assert re.search(r'id="total-imbalance">\+0\.500 <small>m³', page)
    assert "20.0%" in page
    assert page.count("+0.100") == 5
    assert "74011" in page
    russian = (await console.ask("GET", pages["house"], headers={"Accept-Language": "ru"})).text
    assert re.search(r'id="total-imbalance">\+0,500 <small>м³', russian)
    for step in ("hour", "day", "month"):
        assert (await console.ask("GET", pages["house"].split("?")[0] + f"?step={step}&period=garbage")).status == 200


async def test_statements_are_downloaded_from_the_page(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    base = pages["house"].split("?")[0] + "/download?resource=cold_water&step=day&period=2026-10"
    for format_, start in (("xlsx", b"PK"), ("pdf", b"%PDF"), ("csv", b"\xef\xbb\xbf")):
        answer = await console.ask("GET", base + f"&name=balance&format={format_}")
        assert answer.body.startswith(start)
        assert "attachment" in answer.headers["Content-Disposition"]
    html = await console.ask("GET", base + "&name=individual&format=html")
    assert "sandbox" in html.headers["Content-Security-Policy"]
    assert "74011" in html.text


async def test_a_gateway_is_adopted_changed_and_removed_with_forms(console: Console) -> None:
    await fill(console)
    await console.sign_in()
    assert (await console.post(f"/gateways/{'f' * 16}/adopt")).status == 303
    assert "f" * 16 in console.network.gateway_table
    wrong = await console.post("/gateways/new", gateway_eui="12", name="Башня")
    assert wrong.status == 422
    assert "must be 16 hexadecimal digits" in wrong.text
    assert 'value="Башня"' in wrong.text
    made = await console.post(
        "/gateways/new", gateway_eui="00:16:c0:01:f1:53:a1:4d", name="Башня", latitude="55,1", longitude="59"
    )
    assert made.headers["Location"] == "/gateways/0016c001f153a14d"
    record = console.network.gateway_table["0016c001f153a14d"]
    assert (record.name, record.latitude, record.longitude) == ("Башня", 55.1, 59.0)
    assert (await console.post("/gateways/0016c001f153a14d", name="Tower", latitude="91", longitude="0")).status == 422
    assert (await console.post("/gateways/0016c001f153a14d", name="Tower")).status == 303
    assert console.network.gateway_table["0016c001f153a14d"].name == "Tower"
    assert (await console.post("/gateways/0016c001f153a14d/delete")).status == 303
    assert "0016c001f153a14d" not in console.network.gateway_table


async def test_a_device_is_added_and_gets_a_downlink_with_forms(console: Console) -> None:
    await console.sign_in()
    fields = {
        "dev_eui": DEVICE,
        "profile": "karat-926lw",
        "app_key": "0123456789abcdef0123456789abcdee",
        "name": "кв. 1",
    }
    wrong = await console.post("/devices/new", **(fields | {"dev_eui": "x"}))
    assert wrong.status == 422
    assert fields["app_key"] not in wrong.text
    assert (await console.post("/devices/new", **fields)).headers["Location"] == f"/devices/{DEVICE}"
    assert (await console.post("/devices/new", **fields)).status == 409
    bad = await console.post(f"/devices/{DEVICE}/queue", f_port="5", data="0g")
    assert (bad.status, "two a byte" in bad.text) == (422, True)
    for _ in range(2):
        answer = await console.post(f"/devices/{DEVICE}/queue", f_port="5", data="0c 00", idempotency_key="page-1")
        assert answer.status == 303
    assert [item.data for item in console.network.queue_table[DEVICE]] == [b"\x0c\x00"]
    assert (await console.post(f"/devices/{DEVICE}/delete")).status == 303


async def test_fr_01_a_reading_is_entered_by_hand_in_the_time_of_the_house(console: Console) -> None:
    pages = await fill(console)
    await console.sign_in()
    path = pages["meter"] + "/readings"
    assert (await console.post(path, value="101,250", measured_at="2026-10-10T12:00")).status == 303
    page = (await console.ask("GET", pages["meter"])).text
    assert "101.250" in page
    assert "10 Oct 2026 12:00:00" in page
    for value, at in (
        ("много", "2026-10-10T12:00"),
        ("1", "soon"),
        ("1", "2030-01-01T00:00"),
        ("1" * 30, "2026-10-10T12:00"),
    ):
        assert (await console.post(path, value=value, measured_at=at)).status == 422, (value, at)


async def test_a_file_is_checked_then_imported_with_forms(console: Console) -> None:
    await console.sign_in()
    table = "организация;адрес;квартира;ресурс;роль;номер счётчика;дата установки;начальное показание\n" + (
        "УК;Дом 1;1;ХВС;ИПУ;77;01.10.2026;12,5\n"
    )

    async def send(text: str, token: str) -> Answer:
        form = aiohttp.FormData()
        form.add_field("_csrf", token)
        form.add_field("file", text.encode(), filename="a.csv")
        return await console.ask("POST", "/import", data=form)

    assert (await send(table, "wrong")).status == 403
    sent = await send(table, await console.csrf())
    assert sent.status == 303, sent.text

    async def finished(path: str) -> str:
        async with asyncio.timeout(10):
            while "hx-trigger" in (page := await console.ask("GET", path)).text.split('id="job"')[1].split(">")[0]:
                await asyncio.sleep(0.02)
        return page.text

    page = await finished(sent.headers["Location"])
    assert "without faults" in page, re.findall(r"<td>([^<]+)</td></tr>", page)
    applied = await console.post(sent.headers["Location"] + "/apply")
    assert "Imported." in await finished(applied.headers["Location"])
    assert "№ 77" in (await console.ask("GET", "/meters")).text
    faulty = await send(table.replace("ХВС", "пар"), await console.csrf())
    page = await finished(faulty.headers["Location"])
    assert "1 fault" in page
    assert "is not known" in page


async def test_users_and_tokens_are_made_with_forms_and_secrets_shown_once(console: Console) -> None:
    await console.sign_in()
    made = await console.post("/admin/users", login="irina", role="dispatcher")
    secret = re.search(r'id="secret">([^<]+)<', made.text)
    assert secret
    assert secret[1] not in (await console.ask("GET", "/admin/users")).text
    assert (await console.post("/admin/users", login="irina", role="dispatcher")).status == 409
    user = await console.services.auth.user_by_login("irina")
    assert user is not None
    assert await console.services.passwords.verify(user.password_hash, secret[1])
    assert (await console.post(f"/admin/users/{user.id}", name="Ирина", role="engineer", disabled="1")).status == 303
    user = await console.services.auth.user(user.id or 0)
    assert user is not None
    assert (user.name, user.role, user.disabled) == ("Ирина", "engineer", True)
    token = re.search(r'id="secret">(mwt_[^<]+)<', (await console.post("/admin/tokens", name="t", role="viewer")).text)
    assert token
    headers = {"Authorization": f"Bearer {token[1]}"}
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).status == 200
    found = next(t for t in await console.services.auth.tokens() if t.name == "t")
    assert (await console.post(f"/admin/tokens/{found.id}/revoke")).status == 303
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).status == 401


async def test_static_files_do_not_leave_their_folder(console: Console) -> None:
    found = await console.ask("GET", "/static/app.css")
    assert (found.status, found.headers["Content-Type"]) == (200, "text/css")
    for path in (
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/%00",
        "/static/vendor",
        "/static//etc/passwd",
    ):
        assert (await console.ask("GET", path)).status == 404, path


def test_nothing_on_a_page_comes_from_elsewhere() -> None:
    web = Path(__file__).parents[3] / "appserver" / "web"
    for file in [*web.glob("templates/*.html"), *web.glob("static/*.*")]:
        text = file.read_text()
        for address in re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text):
            assert address.endswith("www.w3.org"), (file, address)
        assert not re.search(r"\son\w+=\"", text), file
        assert "javascript:" not in text
    vendored = web / "static" / "vendor"
    assert "Permission" in (vendored / "uPlot-LICENSE.txt").read_text()
    assert (vendored / "htmx-LICENSE.txt").exists()


async def test_pages_that_do_not_exist_say_so(console: Console) -> None:
    await console.sign_in()
    for path in (
        "/nothing",
        "/devices/xyz",
        "/devices/" + "0" * 16,
        "/houses/4711",
        "/houses/x",
        "/meters/99999999999999999999",
        "/import/x",
        "/admin/users/0",
    ):
        answer = await console.ask("GET", path)
        assert answer.status == 404, path
        assert answer.headers["Content-Type"].startswith("text/html")

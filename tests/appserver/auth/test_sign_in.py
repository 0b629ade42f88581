from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from yarl import URL

from appserver.auth.secrets import digest
from tests.support.console import Console, running_console


def cookie(console: Console) -> str:
    return next(c.value for c in console.http.cookie_jar if c.key == "meterwan_session")


async def test_the_first_start_makes_one_administrator_who_must_change_the_password(console: Console) -> None:
    assert console.started.first_login == "admin"
    assert len(console.started.one_time_password) == 23
    login = {"login": "admin", "password": console.started.one_time_password}
    answer = await console.ask("POST", "/sign-in", data=login)
    assert (answer.status, answer.headers["Location"]) == (303, "/profile")
    for path in ("/", "/devices", "/admin/users"):
        answer = await console.ask("GET", path)
        assert (answer.status, answer.headers["Location"]) == (303, "/profile")
    assert (await console.ask("GET", "/api/v1/devices")).status == 403
    page = await console.ask("GET", "/profile")
    assert "Choose your own" in page.text
    wrong = {
        "old_password": console.started.one_time_password,
        "new_password": "password",
        "repeated_password": "password",
    }
    assert (await console.post("/profile/password", **wrong)).status == 422
    new = {"new_password": "a quite long secret", "repeated_password": "a quite long secret"}
    before = cookie(console)
    answer = await console.post("/profile/password", old_password=console.started.one_time_password, **new)
    assert answer.status == 303
    assert cookie(console) != before
    assert (await console.ask("GET", "/devices")).status == 200
    again = await console.ask("POST", "/sign-in", data=login)
    assert again.status == 401


async def test_a_second_start_makes_no_administrator(tmp_path: Path) -> None:
    async with running_console(tmp_path / "data") as first:
        assert first.started.one_time_password
    async with running_console(tmp_path / "data") as second:
        assert second.started.one_time_password == ""


async def test_a_session_gets_a_new_secret_and_only_its_hash_is_stored(console: Console, tmp_path: Path) -> None:
    console.http.cookie_jar.update_cookies({"meterwan_session": "chosen-by-the-attacker"}, URL(console.url))
    await console.sign_in()
    secret = cookie(console)
    assert secret != "chosen-by-the-attacker"
    assert len(secret) >= 43
    rows = console.services.database.rows("SELECT secret_hash FROM user_session")
    assert rows == [(digest(secret),)]
    for file in (tmp_path / "data").iterdir():
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


async def test_the_cookie_is_kept_from_scripts_and_other_sites(tmp_path: Path) -> None:
    async with running_console(tmp_path / "plain") as console:
        await console.add_user("boss", "correct horse")
        answer = await console.ask("POST", "/sign-in", data={"login": "BOSS", "password": "correct horse"})
        assert "HttpOnly" in answer.headers["Set-Cookie"]
        assert "SameSite=Lax" in answer.headers["Set-Cookie"]
        assert "Secure" not in answer.headers["Set-Cookie"]
        assert "Strict-Transport-Security" not in answer.headers
    async with running_console(tmp_path / "tls", public_url="https://meters.example.org") as console:
        console.url = f"http://127.0.0.1:{console.port}"
        await console.add_user("boss", "correct horse")
        answer = await console.ask("POST", "/sign-in", data={"login": "boss", "password": "correct horse"})
        assert "Secure" in answer.headers["Set-Cookie"]
        assert answer.headers["Strict-Transport-Security"]


async def test_a_session_ends_idle_absolutely_and_with_its_user(console: Console) -> None:
    await console.sign_in()
    console.clock.forward(29 * 60)
    assert (await console.ask("GET", "/devices")).status == 200
    console.clock.forward(29 * 60)
    assert (await console.ask("GET", "/devices")).status == 200
    console.clock.forward(31 * 60)
    assert (await console.ask("GET", "/devices")).status == 303
    await console.sign_in()
    for _ in range(12 * 60 // 25 + 1):
        console.clock.forward(25 * 60)
        last = (await console.ask("GET", "/devices")).status
    assert last == 303
    await console.sign_in()
    user = await console.services.auth.user_by_login("boss")
    assert user is not None
    await console.add_user("other", "correct horse")
    await console.services.auth.change_user(user.id or 0, disabled=True)
    assert (await console.ask("GET", "/devices")).status == 303


async def test_signing_out_ends_the_session_on_the_server(console: Console) -> None:
    await console.sign_in()
    secret = cookie(console)
    assert (await console.post("/sign-out")).status == 303
    headers = {"Cookie": f"meterwan_session={secret}"}
    assert (await console.ask("GET", "/devices", headers=headers)).status == 303


@pytest.fixture
async def no_delay(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("appserver.web.pages_account.asyncio.sleep", sleep)
    return waited


async def test_five_wrong_passwords_close_the_account_for_this_address_for_a_while(
    console: Console, no_delay: list[float]
) -> None:
    await console.add_user("boss", "correct horse")
    wrong, right = ({"login": "boss", "password": p} for p in ("wrong", "correct horse"))
    assert [(await console.ask("POST", "/sign-in", data=wrong)).status for _ in range(5)] == [401] * 5
    assert no_delay == sorted(no_delay)
    assert no_delay[-1] >= 1
    answer = await console.ask("POST", "/sign-in", data=right)
    assert (answer.status, int(answer.headers["Retry-After"])) == (429, 900)
    console.clock.forward(15 * 60 + 1)
    assert (await console.ask("POST", "/sign-in", data=right)).status == 303
    actions = [r.action for r in await console.services.auth.audit_page(None, 10)]
    assert actions.count("sign_in.failed") == 5
    assert actions[0] == "sign_in"


async def test_an_unknown_user_costs_the_same_work(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    await console.add_user("boss", "correct horse")
    checked: list[str] = []
    verify = console.services.passwords._verify_now

    def counted(stored: str, password: str) -> bool:
        checked.append(stored.rsplit("$", 2)[0])
        return verify(stored, password)

    monkeypatch.setattr(console.services.passwords, "_verify_now", counted)
    known = await console.ask("POST", "/sign-in", data={"login": "boss", "password": "wrong"})
    unknown = await console.ask("POST", "/sign-in", data={"login": "nobody", "password": "wrong"})
    assert known.text.replace("boss", "nobody") == unknown.text
    assert len(checked) == 2
    assert checked[0] == checked[1], "the same parameters, so the same time"


async def test_the_way_back_stays_on_this_server(console: Console) -> None:
    await console.add_user("boss", "correct horse")
    ways = {
        "/devices?q=1": "/devices?q=1",
        "https://evil.example": "/",
        "//evil.example": "/",
        "/\\evil.example": "/",
        "/a\r\nX: y": "/",
        "javascript:alert(1)": "/",
    }
    for wanted, given in ways.items():
        data = {"login": "boss", "password": "correct horse", "next": wanted}
        answer = await console.ask("POST", "/sign-in", data=data)
        assert (answer.status, answer.headers["Location"]) == (303, given), wanted


async def test_many_sign_ins_at_once_do_not_stop_the_server(console: Console) -> None:
    await console.add_user("boss", "correct horse")
    attempts = [console.ask("POST", "/sign-in", data={"login": f"user{n}", "password": "wrong"}) for n in range(20)]
    answers = await asyncio.gather(*attempts, console.ask("GET", "/healthz"))
    assert answers[-1].status == 200
    assert {a.status for a in answers[:-1]} == {401}


_PART = b'--x\r\nContent-Disposition: form-data; name="login"\r\n'


@pytest.mark.parametrize(
    ("kind", "encoding", "body"),
    [
        ("multipart/form-data", "", b"x"),
        ("multipart/form-data; boundary=x", "", b"garbage"),
        ("multipart/form-data; boundary=x", "", b"--x\r\nno colon\r\n\r\nbar"),
        ("multipart/form-data; boundary=x", "", _PART + b"Content-Type: text/plain; charset=no\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", "", _PART + b"\r\n\xff\xfe\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            "",
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n",
        ),
        ("application/x-www-form-urlencoded; charset=no", "", b"login=a"),
        ("application/x-www-form-urlencoded", "", b"login=\xff\xfe"),
        ("application/x-www-form-urlencoded", "gzip", b"login=a"),
    ],
)
async def test_a_body_that_is_no_form_is_refused_without_a_fault(
    console: Console, kind: str, encoding: str, body: bytes
) -> None:
    headers = {"Content-Type": kind, "Connection": "close"} | ({"Content-Encoding": encoding} if encoding else {})
    answer = await console.ask("POST", "/sign-in", data=body, headers=headers)
    assert answer.status == 400

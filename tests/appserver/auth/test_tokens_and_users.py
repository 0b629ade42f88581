from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest

from appserver.auth.passwords import PasswordRefused, Passwords, check_strength
from tests.support.console import Console


async def test_a_token_is_shown_once_used_listed_and_revoked(console: Console, tmp_path: Path) -> None:
    made = await console.api("POST", "/tokens", json={"name": "billing", "role": "dispatcher"})
    assert made.status == 201
    token = made.json["token"]
    assert token.startswith("mwt_")
    assert len(token) >= 4 + 43
    stored = console.services.database.rows("SELECT secret_hash FROM api_token WHERE name = 'billing'")
    assert stored == [(hashlib.sha256(token.encode()).hexdigest(),)]
    for file in (tmp_path / "data").iterdir():
        if file.is_file():
            assert token.encode() not in file.read_bytes()
    headers = {"Authorization": f"Bearer {token}"}
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).json == {
        "name": "token:billing",
        "role": "dispatcher",
        "kind": "token",
    }
    listed = next(t for t in (await console.api("GET", "/tokens")).json["items"] if t["name"] == "billing")
    assert "token" not in listed
    assert listed["used_at"] is not None
    assert token.startswith(listed["prefix"])
    assert (await console.api("DELETE", f"/tokens/{listed['id']}")).status == 204
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).status == 401


async def test_an_expired_or_wrong_token_opens_nothing(console: Console) -> None:
    body = {"name": "short", "role": "viewer", "expires_at": "2026-10-27T12:00:00Z"}
    token = (await console.api("POST", "/tokens", json=body)).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).status == 200
    console.clock.forward(2 * 86400)
    assert (await console.ask("GET", "/api/v1/me", headers=headers)).status == 401
    for wrong in (f"Bearer {token}x", "Bearer", "Bearer ", "Basic YTpi", f"Bearer {token[:12]}", "Bearer \u00e9"):
        answer = await console.ask(
            "GET", "/api/v1/me", headers={"Authorization": wrong.encode("latin-1").decode("latin-1")}
        )
        assert answer.status == 401, wrong


async def test_users_are_added_changed_disabled_and_removed(console: Console) -> None:
    body = {"login": " Irina ", "password": "a quite long secret", "name": "Ирина", "role": "dispatcher"}
    made = await console.api("POST", "/users", json=body)
    assert made.status == 201, made.text
    assert made.json["login"] == "irina"
    assert made.json["must_change_password"] is True
    assert {name for name in made.json if "password" in name} == {"must_change_password"}
    assert (await console.api("POST", "/users", json=body)).status == 409
    path = f"/users/{made.json['id']}"
    changed = await console.api("PUT", path, json={"role": "engineer", "disabled": True})
    assert (changed.json["role"], changed.json["disabled"]) == ("engineer", True)
    assert [u["login"] for u in (await console.api("GET", "/users?q=" + quote("ирина"))).json["items"]] == ["irina"]
    for field in ({"id": 7}, {"password_hash": "x"}, {"must_change_password": False}, {"created_at_us": 1}):
        assert (await console.api("PUT", path, json=field)).status == 422, field
    assert (await console.api("DELETE", path)).status == 204
    assert (await console.api("GET", path)).status == 404


async def test_one_administrator_always_remains(console: Console) -> None:
    admin = await console.services.auth.user_by_login("admin")
    assert admin is not None
    for change in ({"role": "viewer"}, {"disabled": True}):
        assert (await console.api("PUT", f"/users/{admin.id}", json=change)).status == 409
    assert (await console.api("DELETE", f"/users/{admin.id}")).status == 409
    await console.add_user("second", "correct horse", role="admin")
    assert (await console.api("DELETE", f"/users/{admin.id}")).status == 204


async def test_a_changed_role_ends_the_sessions(console: Console) -> None:
    await console.sign_in("eye", role="viewer")
    user = await console.services.auth.user_by_login("eye")
    assert user is not None
    assert (await console.ask("GET", "/devices")).status == 200
    await console.api("PUT", f"/users/{user.id}", json={"role": "engineer"})
    assert (await console.ask("GET", "/devices")).status == 303


@pytest.mark.parametrize("password", ["short", "password", "aaaaaaaaaa", "x" * 257, "irina.petrova"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        check_strength(password, "Irina.Petrova")


@pytest.mark.parametrize("password", ["four plain words here", "пароль из букв и слов", "x1y" * 42, "😀😁😂🤣😃😄😅😆"])
def test_long_and_strange_passwords_are_taken(password: str) -> None:
    check_strength(password, "irina")


async def test_passwords_are_argon2id_and_differ_by_salt() -> None:
    passwords = Passwords(memory_kib=64)
    one, other = await passwords.hash("correct horse"), await passwords.hash("correct horse")
    assert one.startswith("$argon2id$")
    assert one != other
    assert await passwords.verify(one, "correct horse")
    assert not await passwords.verify(one, "correct horsf")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify("not a hash", "correct horse")
    passwords.close()


async def test_the_audit_record_cannot_be_changed(console: Console) -> None:
    import sqlite3

    await console.api("POST", "/gateways", json={"gateway_eui": "0016c001f153a14c"})
    database = console.services.database
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'x'"):
        with pytest.raises(sqlite3.DatabaseError), database.transaction() as connection:
            connection.execute(statement)

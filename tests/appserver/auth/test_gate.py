from __future__ import annotations

from pathlib import Path

import pytest

from appserver.api.table import whole_api
from appserver.auth.gate import host_allowed
from appserver.auth.roles import API_ACCESS, PAGE_ACCESS, Role, least_role
from appserver.auth.throttle import MAX_KEYS, Throttle
from appserver.settings import HttpSettings
from tests.support.console import Console, running_console


async def test_fr_14_every_route_asks_for_the_role_of_the_table(console: Console) -> None:
    """Each operation × each role and nobody: 401, 403, or past the gate."""
    roles = [*Role, None]
    passed = 0
    for path, access in API_ACCESS.items():
        address = "/api/v1" + path.format(
            gateway_eui="0" * 16,
            name="x",
            resource="gas",
            dev_eui="0" * 16,
            guid="0" * 8 + "-0000-0000-0000-" + "0" * 12,
            id="4711" if "imports" not in path else "0" * 16,
        )
        if path.endswith("/stream"):
            continue
        for method, least in access.items():
            for role in roles:
                if role is None:
                    answer = await console.ask(method, address)
                else:
                    answer = await console.api(method, address.removeprefix("/api/v1"), role=role.value)
                if least is None:
                    assert answer.status == 200
                elif role is None:
                    assert answer.status == 401, (method, path)
                    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                elif role is Role.member:
                    assert answer.status == 403, (method, path, "grants are people's, a token has none")
                elif role.includes(least):
                    assert answer.status not in (401, 403), (method, path, role)
                    passed += 1
                else:
                    assert answer.status == 403, (method, path, role)
    assert passed > 150


async def test_pages_send_strangers_to_the_sign_in(console: Console) -> None:
    for path, access in PAGE_ACCESS.items():
        if "GET" not in access or access["GET"] is None:
            continue
        address = path.format(gateway_eui="0" * 16, dev_eui="0" * 16, id="1", name="x")
        answer = await console.ask("GET", address)
        assert (answer.status, answer.headers["Location"].split("?")[0]) == (303, "/sign-in"), path
    await console.sign_in("eye", role="viewer")
    for path, access in PAGE_ACCESS.items():
        least = access.get("GET")
        if least is not None and not Role.viewer.includes(least):
            answer = await console.ask("GET", path.format(gateway_eui="0" * 16, dev_eui="0" * 16, id="1", name="x"))
            assert answer.status == 403, path


def test_fr_14_what_is_not_in_the_table_is_refused() -> None:
    assert least_role("/api/v1/anything", "GET") == (False, None)
    assert least_role("/api/v1/gateways", "PATCH") == (False, None)
    assert least_role("/api/v1/gateways", "HEAD") == (True, Role.viewer)
    assert least_role("", "GET") == (False, None)
    assert {o.path for o in whole_api().operations} <= set(API_ACCESS)


async def test_state_changes_from_other_sites_are_refused(console: Console) -> None:
    await console.sign_in()
    token = await console.csrf()
    form = {"gateway_eui": "0016c001f153a14c"}
    own = {"Origin": console.url}
    refused = [
        ({}, form),
        (own, form),
        (own, form | {"_csrf": "0" * 43}),
        ({"Origin": "https://evil.example"}, form | {"_csrf": token}),
        ({"Origin": "null"}, form | {"_csrf": token}),
        ({"Sec-Fetch-Site": "cross-site"}, form | {"_csrf": token}),
        ({"Sec-Fetch-Site": "same-site"}, form | {"_csrf": token}),
    ]
    for headers, data in refused:
        answer = await console.ask("POST", "/gateways/new", data=data, headers=headers)
        assert answer.status == 403, headers
    assert console.network.gateway_table == {}
    body = {"gateway_eui": "0016c001f153a14c"}
    assert (await console.ask("POST", "/api/v1/gateways", json=body)).status == 403
    answer = await console.ask("POST", "/gateways/new", data=form | {"_csrf": token}, headers=own)
    assert answer.status == 303
    other = {"gateway_eui": "0016c001f153a14d"}
    assert (await console.ask("POST", "/api/v1/gateways", json=other, headers={"X-CSRF-Token": token})).status == 201


async def test_signing_in_from_another_site_is_refused(console: Console) -> None:
    await console.add_user("boss", "correct horse")
    data = {"login": "boss", "password": "correct horse"}
    answer = await console.ask("POST", "/sign-in", data=data, headers={"Origin": "https://evil.example"})
    assert answer.status == 403


async def test_a_stolen_page_cannot_be_framed_nor_run_foreign_code(console: Console) -> None:
    answer = await console.ask("GET", "/sign-in")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers
    assert "style=" not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("192.168.1.10", True),
        ("localhost", True),
        ("meters.example.org", True),
        ("METERS.example.org:443", True),
        ("backup.example.org", True),
        ("evil.example", False),
        ("meters.example.org.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_only_our_host_names_are_answered(host: str, allowed: bool) -> None:
    settings = HttpSettings(public_url="https://meters.example.org", allowed_hosts=["backup.example.org"])
    assert host_allowed(host, settings) is allowed


async def test_a_rebound_host_name_gets_nothing(console: Console) -> None:
    answer = await console.ask("GET", "/api/v1/gateways", headers={"Host": "evil.example"})
    assert answer.status == 421


async def test_metrics_are_for_this_machine_or_a_token(tmp_path: Path) -> None:
    async with running_console(tmp_path / "data", trusted_proxies=["127.0.0.1"]) as console:
        assert "meterwan_http_requests_total" in (await console.ask("GET", "/metrics")).text
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        assert (await console.ask("GET", "/metrics", headers=forwarded)).status == 403
        await console.api("GET", "/me")
        with_token = forwarded | {"Authorization": f"Bearer {console.tokens['admin']}"}
        assert (await console.ask("GET", "/metrics", headers=with_token)).status == 200


async def test_the_address_comes_from_trusted_proxies_only(tmp_path: Path) -> None:
    for proxies, expected in ((["127.0.0.1"], "203.0.113.7"), ([], "127.0.0.1")):
        async with running_console(tmp_path / str(len(proxies)), trusted_proxies=proxies) as console:
            headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
            await console.ask("POST", "/sign-in", data={"login": "x", "password": "y"}, headers=headers)
            assert (await console.services.auth.audit_page(None, 1))[0].address == expected


def test_the_throttle_is_bounded_and_forgets() -> None:
    throttle = Throttle()
    for number in range(MAX_KEYS + 500):
        throttle.failed(f"user{number}", "10.0.0.1", number)
    assert len(throttle._failures) <= MAX_KEYS
    for _ in range(5):
        throttle.failed("boss", "10.0.0.2", 10**12)
    assert throttle.wait_s("BOSS", "10.0.0.2", 10**12) == 900
    assert throttle.wait_s("boss", "10.0.0.3", 10**12) == 0
    assert throttle.wait_s("boss", "10.0.0.2", 10**12 + 900_000_000) == 0
    throttle.succeeded("boss", "10.0.0.2")
    assert throttle.wait_s("boss", "10.0.0.2", 10**12) == 0


def test_right_passwords_do_not_use_up_an_address() -> None:
    throttle = Throttle()
    for number in range(200):
        login = f"user{number % 90}"
        assert throttle.wait_s(login, "10.0.0.1", number) == 0, "many people sign in behind one address"
        throttle.failed(login, "10.0.0.1", number)
        throttle.succeeded(login, "10.0.0.1")
    for number in range(50):
        throttle.failed(f"user{number}", "10.0.0.1", 1000)
    assert throttle.wait_s("boss", "10.0.0.1", 1000) == 900

"""Two programs, a socket between them: TLS, certificates, tokens, and a network server that uses what it is given."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from joinserver.backend.http import JoinHttpServer, server_context
from joinserver.client import JoinRouter
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import JoinServerSettings
from joinserver.store import JoinStore
from lorawan.backend import ResultCode
from lorawan.identifiers import EUI64
from tests.support.backend import KEKS, NEW, OLD, JoinServerInProcess, ask, external, new, old, read, settings_of
from tests.support.certificates import Authority, Pem
from tests.support.joins import KEK, NOW_US, NWK_KEY, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_pem(authority: Authority) -> Pem:
    return authority.issue("join.example")


@pytest.fixture(scope="module")
def network_pem(authority: Authority) -> Pem:
    return authority.issue("ns.example")


# ------------------------------------------------------------------------------------------------ two processes


async def test_two_processes_join_and_rejoin_with_wrapped_keys(
    path: Path, tmp_path: Path, authority: Authority, server_pem: Pem, network_pem: Pem
) -> None:
    """The join server is a process of its own; nothing of a key is in its log, nor on the wire but wrapped."""
    with JoinStore(path, KEK) as store:
        store.put_devices([keys_of(OLD), keys_of(NEW)], NOW_US)
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings_of(authority, server_pem)))
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.join_http_child", str(file), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        port = int(await asyncio.to_thread(child.stdout.readline))
        settings = external(port, authority, network_pem)
        device, newer = old(), new()
        first, second, again = await ask(
            settings,
            ask_for(device, device.join_request(1)),
            ask_for(newer, newer.join_request(0), "1.1"),
            ask_for(device, device.join_request(0)[:-1] + b"?"),
        )
        read(device, first, 1)
        read(newer, second, 0)
        assert again.result is ResultCode.MIC_FAILED and "AppKey" in again.detail
        for rejoin_type in (0, 1, 2):
            phy = newer.rejoin_request(rejoin_type, 0, 0x13, newer.accepted[-1].keys["SNwkSIntKey"])
            (answer,) = await ask(settings, ask_for(newer, phy, "1.1", join_eui=EUI64(newer.join_eui)))
            read(newer, answer, 0, rejoin_type)
        assert [a.join_nonce for a in newer.accepted] == [1, 2, 3, 4]
        _, log = await asyncio.to_thread(child.communicate, "", 30)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0 and "DevEUI 00000000000000a1: rejoin type 2" in log
    secrets = [OLD.app_key, NEW.app_key, NWK_KEY, KEK, *KEKS.values()]
    secrets += [key for d in (device, newer) for a in d.accepted for key in a.keys.values()]
    assert not [key for key in secrets if key.hex() in log.lower()]


# ------------------------------------------------------------------------------------------------ who may connect


async def test_without_our_certificate_nothing_is_answered(
    path: Path, tmp_path: Path, authority: Authority, server_pem: Pem, network_pem: Pem
) -> None:
    stranger = Authority(tmp_path, "Another CA")
    device = old()
    async with JoinServerInProcess(path, settings_of(authority, server_pem)) as port:
        cases = {
            "no certificate": external(port, authority, None),
            "of another CA": external(port, authority, stranger.issue("ns.example")),
            "server not trusted": external(port, stranger, network_pem),
        }
        for n, (case, settings) in enumerate(cases.items()):
            (answer,) = await ask(settings, ask_for(device, device.join_request(n)))
            assert answer.result is ResultCode.OTHER, case
            assert f"https://127.0.0.1:{port}/" in answer.detail
        (answer,) = await ask(
            external(port, authority, authority.issue("as.example")), ask_for(device, device.join_request(5))
        )
        assert answer.result is ResultCode.UNKNOWN_SENDER
        (answer,) = await ask(external(port, authority, network_pem), ask_for(device, device.join_request(0)))
        read(device, answer, 0)
        assert answer.phy_payload and device.accepted[0].join_nonce == 1, "nothing was spent on strangers"


async def test_a_token_instead_of_a_certificate(path: Path, authority: Authority, server_pem: Pem) -> None:
    peer = {"certificate_names": [], "token": "Bearer 5d41402a"}
    device = old()
    async with JoinServerInProcess(path, settings_of(authority, server_pem, **peer)) as port:
        for token, expected in (
            ("Bearer 5d41402b", ResultCode.UNKNOWN_SENDER),
            ("Bearer 5d41402a", ResultCode.SUCCESS),
        ):
            settings = external(port, authority, None, token=SecretStr(token))
            (answer,) = await ask(settings, ask_for(device, device.join_request(1)))
            assert answer.result is expected


async def test_old_tls_and_plain_http_are_refused(path: Path, authority: Authority, server_pem: Pem) -> None:
    settings = settings_of(authority, server_pem)
    context = server_context(JoinServerSettings.model_validate(settings).http)
    assert context is not None and context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with JoinServerInProcess(path, settings) as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://127.0.0.1:{port}/", data=b"{}")


async def test_http_of_another_kind_is_refused(
    path: Path, authority: Authority, server_pem: Pem, network_pem: Pem
) -> None:
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(network_pem.certificate, network_pem.private_key)
    async with (
        JoinServerInProcess(path, settings_of(authority, server_pem)) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        url = f"https://127.0.0.1:{port}"
        for answer, status in (
            (session.get(url), 405),
            (session.post(url, data=b"hello"), 400),
            (session.post(f"{url}/any/path", data=b"{}"), 400),
            (session.post(url, data=b"x" * 70_000), 413),
        ):
            async with answer as response:
                assert response.status == status


async def test_an_address_in_use_is_told(path: Path, authority: Authority, server_pem: Pem) -> None:
    settings = settings_of(authority, server_pem)
    async with JoinServerInProcess(path, settings) as port:
        settings["http"]["listen"] = f"127.0.0.1:{port}"
        second = JoinHttpServer(
            LocalJoinServer(JoinServer(JoinStore(path.with_name("b.db"), KEK)), lambda: 0),
            JoinServerSettings.model_validate(settings),
        )
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.close()


async def test_without_tls_only_on_this_machine_and_only_with_a_token(
    path: Path, authority: Authority, server_pem: Pem
) -> None:
    settings = settings_of(authority, server_pem, certificate_names=[], token="Bearer 5d41402a")
    settings["http"] |= {"certificate": None, "private_key": None, "client_ca": None}
    device = old()
    async with JoinServerInProcess(path, settings) as port:
        url = f"http://127.0.0.1:{port}/"
        (answer,) = await ask(external(port, authority, None, url=url), ask_for(device, device.join_request(1)))
        assert answer.result is ResultCode.UNKNOWN_SENDER
        one = external(port, authority, None, url=url, token="Bearer 5d41402a")
        (answer,) = await ask(one, ask_for(device, device.join_request(1)))
        read(device, answer, 1)


# ------------------------------------------------------------------------------------------------ both at once


async def test_a_router_from_settings_asks_both(
    path: Path, authority: Authority, server_pem: Pem, network_pem: Pem
) -> None:
    async with JoinServerInProcess(path, settings_of(authority, server_pem)) as port:
        mine = OtaaDevice(dev_eui=5, join_eui=6)
        local = LocalJoinServer(JoinServer(JoinStore(path.with_name("mine.db"), KEK)), lambda: NOW_US)
        await local.run(lambda s: s.put_devices([keys_of(mine)], NOW_US))
        settings = JoinServerSettings(
            external=(external(port, authority, network_pem),),
            keks={label: SecretStr(kek.hex()) for label, kek in KEKS.items()},
        )
        router = JoinRouter.of(local, settings, 1)
        theirs = old()
        answers = await router.join([ask_for(mine, mine.join_request(0)), ask_for(theirs, theirs.join_request(3))])
        read(mine, answers[0], 0)
        read(theirs, answers[1], 3)
        await router.close()
        await local.close()

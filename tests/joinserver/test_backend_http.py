"""Two programs, a socket between them: TLS, certificates, tokens, and a network server that uses what it is given."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from joinserver.backend.http import JoinHttpServer, server_context
from joinserver.client import HttpJoinServer, JoinRouter
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import ExternalJoinServer, JoinServerSettings
from joinserver.store import JoinStore
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.identifiers import EUI64, NetID
from tests.support.certificates import Authority, Pem
from tests.support.joins import KEK, NOW_US, NWK_KEY, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice

KEKS = {"ns": bytes(range(32)), "as": bytes(range(1, 17))}
OLD = OtaaDevice(dev_eui=0xA0, join_eui=0x70B3D57ED0000001)
NEW = OtaaDevice(dev_eui=0xA1, join_eui=0x70B3D57ED0000001, nwk_key=NWK_KEY)


def old() -> OtaaDevice:
    return OtaaDevice(OLD.dev_eui, OLD.join_eui)


def new() -> OtaaDevice:
    return OtaaDevice(NEW.dev_eui, NEW.join_eui, nwk_key=NWK_KEY)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_pem(authority: Authority) -> Pem:
    return authority.issue("join.example")


@pytest.fixture(scope="module")
def network_pem(authority: Authority) -> Pem:
    return authority.issue("ns.example")


def settings_of(authority: Authority, pem: Pem, **peer: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": "000013",
        "certificate_names": ["ns.example"],
        "kek_label": "ns",
        "app_kek_label": "as",
    }
    return {
        "http": {
            "listen": "127.0.0.1:0",
            "certificate": str(pem.certificate),
            "private_key": str(pem.private_key),
            "client_ca": str(authority.certificate),
            "peers": [values | peer],
        },
        "keks": {label: kek.hex() for label, kek in KEKS.items()},
    }


def external(port: int, authority: Authority, pem: Pem | None, **more: Any) -> ExternalJoinServer:
    values: dict[str, Any] = {
        "join_euis": "70b3d57ed0000000/36",
        "url": f"https://127.0.0.1:{port}/",
        "ca": authority.certificate,
        "timeout_s": 4.5,
    }
    if pem is not None:
        values |= {"certificate": pem.certificate, "private_key": pem.private_key}
    return ExternalJoinServer(**(values | more))


class JoinServerInProcess:
    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.local = LocalJoinServer(JoinServer(JoinStore(path, KEK)), lambda: NOW_US)
        self.http = JoinHttpServer(self.local, JoinServerSettings.model_validate(settings), NetID(0x13))

    async def __aenter__(self) -> int:
        await self.local.run(lambda s: s.put_devices([keys_of(OLD), keys_of(NEW)], NOW_US))
        await self.http.start()
        return self.http.address[1]

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        await self.local.close()


async def ask(settings: ExternalJoinServer, *requests: JoinReq, keks: dict[str, bytes] = KEKS) -> list[JoinAns]:
    client = HttpJoinServer(settings, keks, first_transaction_id=0xFFFFFFFE)
    try:
        return list(await client.join(requests))
    finally:
        await client.close()


def read(device: OtaaDevice, answer: JoinAns, nonce: int, rejoin_type: int | None = None) -> None:
    """The device reads the accept and comes to the same keys as the network server."""
    assert answer.result is ResultCode.SUCCESS, answer
    keys = answer.session_keys
    accepted = device.accept(answer.phy_payload, nonce, rejoin_type)
    assert keys is not None and answer.dev_nonce == nonce
    if device.nwk_key is None:
        assert accepted.keys == {"NwkSKey": keys.nwk_s_key, "AppSKey": keys.app_s_key}
    else:
        assert accepted.keys == {
            "FNwkSIntKey": keys.f_nwk_s_int_key,
            "SNwkSIntKey": keys.s_nwk_s_int_key,
            "NwkSEncKey": keys.nwk_s_enc_key,
            "AppSKey": keys.app_s_key,
        }


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


# ------------------------------------------------------------------------------------------------ the client


Answerer = Callable[[dict[str, Any]], "dict[str, Any] | bytes | None"]


@pytest.fixture
async def join_server_of_others() -> AsyncIterator[Callable[[Answerer], Any]]:
    """Starts a server that answers as it is told: a dict, raw bytes, or None to hang up. Gives its address."""
    runners: list[web.AppRunner] = []

    async def start(answer: Answerer) -> str:
        async def post(request: web.Request) -> web.StreamResponse:
            given = answer(await request.json())
            if given is None:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            return web.Response(body=given if isinstance(given, bytes) else json.dumps(given).encode())

        application = web.Application()
        application.router.add_post("/{path:.*}", post)
        runner = web.AppRunner(application)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/js"

    yield start
    for runner in runners:
        await runner.cleanup()


def good(message: dict[str, Any]) -> dict[str, Any]:
    """A right answer of another join server, keys in the clear."""
    return {
        "ProtocolVersion": "1.0",
        "SenderID": message["ReceiverID"],
        "ReceiverID": message["SenderID"],
        "TransactionID": message["TransactionID"],
        "MessageType": message["MessageType"].replace("Req", "Ans"),
        "Result": {"ResultCode": "Success"},
        "PHYPayload": "20983be4bfa5b2bc0660d35189de8db892",
        "NwkSKey": {"AESKey": "11" * 16},
        "AppSKey": {"AESKey": "22" * 16},
        "SessionKeyID": "ABCD",
    }


async def test_what_the_client_asks_and_takes(join_server_of_others: Callable[[Answerer], Any]) -> None:
    seen: list[dict[str, Any]] = []
    url = await join_server_of_others(lambda message: seen.append(message) or good(message))
    device = old()
    request = ask_for(device, device.join_request(77), "1.0.3", cflist=bytes(15) + b"\1")
    (answer,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url), request)
    assert (answer.result, answer.dev_nonce, answer.session_key_id) == (ResultCode.SUCCESS, 77, b"\xab\xcd")
    assert answer.session_keys is not None
    assert (answer.session_keys.nwk_s_key, answer.session_keys.app_s_key) == (b"\x11" * 16, b"\x22" * 16)
    assert seen == [
        {
            "ProtocolVersion": "1.0",
            "SenderID": "000013",
            "ReceiverID": "70b3d57ed0000001",
            "TransactionID": 0xFFFFFFFE,
            "MessageType": "JoinReq",
            "MACVersion": "1.0.3",
            "PHYPayload": device.join_request(77).hex(),
            "DevEUI": "00000000000000a0",
            "DevAddr": "26012345",
            "DLSettings": "12",
            "RxDelay": 1,
            "CFList": "00" * 15 + "01",
        }
    ]


async def test_transaction_ids_differ_and_stay_in_32_bits(join_server_of_others: Callable[[Answerer], Any]) -> None:
    seen: list[int] = []
    url = await join_server_of_others(lambda message: seen.append(message["TransactionID"]) or good(message))
    device = old()
    await ask(
        ExternalJoinServer(join_euis=str(EUI64(1)), url=url),
        *(ask_for(device, device.join_request(n)) for n in range(4)),
    )
    assert sorted(seen) == [0, 1, 0xFFFFFFFE, 0xFFFFFFFF]


async def test_app_s_key_is_fetched_when_only_its_name_comes(join_server_of_others: Callable[[Answerer], Any]) -> None:
    seen: list[str] = []

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        seen.append(message["MessageType"])
        given = good(message)
        if message["MessageType"] == "JoinReq":
            del given["AppSKey"]
        else:
            assert (message["SessionKeyID"], message["DevEUI"]) == ("ABCD", "00000000000000a0")
        return given

    url = await join_server_of_others(answer)
    device = old()
    (answered,) = await ask(
        ExternalJoinServer(join_euis=str(EUI64(1)), url=url), ask_for(device, device.join_request(1))
    )
    assert seen == ["JoinReq", "AppSKeyReq"]
    assert answered.session_keys is not None and answered.session_keys.app_s_key == b"\x22" * 16


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"TransactionID": 5}, "not JoinAns 4294967294"),
        ({"MessageType": "RejoinAns"}, "RejoinAns"),
        ({"PHYPayload": "40"}, "PHYPayload|data frame"),
        ({"PHYPayload": "00" * 23}, "not a join-accept"),
        ({"PHYPayload": None}, "empty frame"),
        ({"NwkSKey": None}, "lacks NwkSKey"),
        ({"NwkSKey": {"AESKey": "11"}}, "NwkSKey: AESKey of 1 bytes"),
        ({"AppSKey": {"AESKey": "11" * 24, "KEKLabel": "theirs"}}, "AppSKey is wrapped under KEK 'theirs'"),
        ({"AppSKey": None, "SessionKeyID": None}, "neither AppSKey nor SessionKeyID"),
        ({"SessionKeyID": "no hex"}, "SessionKeyID"),
        ({"Result": 5}, "not a message"),
    ],
)
async def test_a_wrong_answer_is_other_and_says_why(
    join_server_of_others: Callable[[Answerer], Any], change: dict[str, Any], text: str
) -> None:
    url = await join_server_of_others(lambda message: good(message) | change)
    device = old()
    (answer,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url), ask_for(device, device.join_request(1)))
    assert (answer.result, answer.session_keys, answer.phy_payload) == (ResultCode.OTHER, None, b"")
    assert (
        any(t in answer.detail for t in text.split("|"))
        and url in answer.detail
        and "00000000000000a0" in answer.detail
    )


async def test_a_1_1_join_needs_three_network_keys(join_server_of_others: Callable[[Answerer], Any]) -> None:
    url = await join_server_of_others(good)
    device = new()
    (answer,) = await ask(
        ExternalJoinServer(join_euis=str(EUI64(1)), url=url), ask_for(device, device.join_request(1), "1.1")
    )
    assert answer.result is ResultCode.OTHER and "lacks FNwkSIntKey" in answer.detail


@pytest.mark.parametrize("body", [b"", b"<html>", b"{" * 1000, b" " * 70_000])
async def test_no_json_is_other(join_server_of_others: Callable[[Answerer], Any], body: bytes) -> None:
    url = await join_server_of_others(lambda _: body)
    device = old()
    (answer,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url), ask_for(device, device.join_request(1)))
    assert answer.result is ResultCode.OTHER


async def test_refusals_of_others_come_through(join_server_of_others: Callable[[Answerer], Any]) -> None:
    refusal = {"Result": {"ResultCode": "UnknownDevEUI", "Description": "never seen"}}
    url = await join_server_of_others(lambda message: good(message) | refusal)
    device = old()
    (answer,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url), ask_for(device, device.join_request(1)))
    assert answer.result is ResultCode.UNKNOWN_DEV_EUI
    assert answer.detail == f"DevEUI 00000000000000a0: join server {url}: never seen"


async def test_a_connection_that_closes_is_tried_once_more(join_server_of_others: Callable[[Answerer], Any]) -> None:
    calls: list[int] = []

    def answer(message: dict[str, Any]) -> dict[str, Any] | None:
        calls.append(message["TransactionID"])
        return None if len(calls) in (1, 3, 4) else good(message)

    url = await join_server_of_others(answer)
    device = old()
    settings = ExternalJoinServer(join_euis=str(EUI64(1)), url=url)
    assert (await ask(settings, ask_for(device, device.join_request(1))))[0].result is ResultCode.SUCCESS
    assert (await ask(settings, ask_for(device, device.join_request(2))))[0].result is ResultCode.OTHER
    assert len(calls) == 4


async def test_silence_ends_in_time_to_tell_why() -> None:
    accepted = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    device = old()
    settings = ExternalJoinServer(join_euis=str(EUI64(1)), url=f"http://127.0.0.1:{port}/", timeout_s=0.2)
    (answer,) = await asyncio.wait_for(ask(settings, ask_for(device, device.join_request(1))), 10)
    assert accepted.is_set()
    assert answer.result is ResultCode.OTHER and "no answer within 0.2 s" in answer.detail
    server.close()
    (answer,) = await ask(settings, ask_for(device, device.join_request(1)))
    assert answer.result is ResultCode.OTHER and "connect" in answer.detail.lower()


async def test_a_request_that_cannot_be_asked_is_other() -> None:
    device = new()
    settings = ExternalJoinServer(join_euis=str(EUI64(1)), url="http://127.0.0.1:9/")
    requests = [
        ask_for(device, b"\x00"),
        ask_for(device, device.rejoin_request(0, 0, 0x13, bytes(16)), "1.1"),
        ask_for(device, b"\x40" + bytes(11), join_eui=EUI64(1)),
    ]
    answers = await ask(settings, *requests)
    assert [a.result for a in answers] == [ResultCode.OTHER] * 3
    assert [t in a.detail for a, t in zip(answers, ("1 bytes", "JoinEUI is not known", "neither"), strict=True)] == [
        True
    ] * 3


# ------------------------------------------------------------------------------------------------ by JoinEUI


class Recording:
    """A join server that refuses all with its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def join(self, requests: list[JoinReq]) -> list[JoinAns]:
        return [JoinAns(ResultCode.OTHER, f"{self.name} {request.dev_eui}") for request in requests]


async def test_the_join_eui_chooses_the_join_server() -> None:
    ranges = {"a": "70b3d57ed0000000/36", "b": "0000000000000010-000000000000001f", "c": "ffffffffffffffff"}
    url = "https://join.example/"
    router = JoinRouter(
        Recording("local"),
        [(ExternalJoinServer(join_euis=euis, url=url), Recording(name)) for name, euis in ranges.items()],
    )
    expected = {
        0x70B3D57ED0000000: "a",
        0x70B3D57EDFFFFFFF: "a",
        0x70B3D57EE0000000: "local",
        0x70B3D57ECFFFFFFF: "local",
        0x0F: "local",
        0x10: "b",
        0x1F: "b",
        0x20: "local",
        0xFFFFFFFFFFFFFFFF: "c",
        0: "local",
    }
    devices = [OtaaDevice(n, eui, nwk_key=NWK_KEY) for n, eui in enumerate(expected)]
    requests = [ask_for(d, d.join_request(0)) for d in devices]
    requests += [ask_for(d, d.rejoin_request(1, 0), "1.1") for d in devices]
    requests += [ask_for(d, d.rejoin_request(2, 0, 0, bytes(16)), "1.1", join_eui=EUI64(d.join_eui)) for d in devices]
    requests += [ask_for(d, b"garbage") for d in devices]
    told = [answer.detail for answer in await router.join(requests)]
    assert told[:30] == [f"{name} {n:016x}" for n, name in enumerate(expected.values())] * 3
    assert told[30:] == [f"local {n:016x}" for n in range(10)]
    await router.close()


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

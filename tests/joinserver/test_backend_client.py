"""The network server's side: what it asks of join servers of others, what it takes from them, which one it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from joinserver.client import JoinRouter
from joinserver.settings import ExternalJoinServer
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.crypto import KeyEnvelope
from lorawan.identifiers import EUI64
from tests.support.backend import ask, new, old
from tests.support.joins import NWK_KEY, ask_for
from tests.support.otaa_device import OtaaDevice

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


@pytest.mark.parametrize("lorawan_1_1", [False, True])
async def test_an_app_s_key_for_the_application_alone_is_handed_on_as_it_came(
    join_server_of_others: Callable[[Answerer], Any], lorawan_1_1: bool
) -> None:
    """With ``end_to_end`` nobody here opens its envelope; without, a KEK that is not known is a fault that is told."""
    wrapped = {"AppSKey": {"KEKLabel": "meters", "AESKey": "a5" * 24}}
    three = {name: {"AESKey": "33" * 16} for name in ("FNwkSIntKey", "SNwkSIntKey", "NwkSEncKey")}
    url = await join_server_of_others(lambda message: good(message) | wrapped | (three if lorawan_1_1 else {}))
    device = new() if lorawan_1_1 else old()
    request = ask_for(device, device.join_request(1), "1.1.0" if lorawan_1_1 else "1.0.3")
    (answer,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url, end_to_end=True), request)
    assert answer.session_keys is not None and answer.session_keys.lorawan_1_1 is lorawan_1_1
    assert answer.session_keys.app_s_key == b""
    assert answer.session_keys.app_s_key_envelope == KeyEnvelope("meters", b"\xa5" * 24)
    (refused,) = await ask(ExternalJoinServer(join_euis=str(EUI64(1)), url=url), request)
    assert refused.result is ResultCode.OTHER and "'meters'" in refused.detail


@pytest.mark.parametrize("change", [{"Result": {"ResultCode": "Other", "Description": "gone"}}, {"AppSKey": None}])
async def test_an_app_s_key_that_is_not_given_is_other(
    join_server_of_others: Callable[[Answerer], Any], change: dict[str, Any]
) -> None:
    def answer(message: dict[str, Any]) -> dict[str, Any]:
        return good(message) | ({"AppSKey": None} if message["MessageType"] == "JoinReq" else change)

    url = await join_server_of_others(answer)
    device = old()
    settings = ExternalJoinServer(join_euis=str(EUI64(1)), url=url)
    (answered,) = await ask(settings, ask_for(device, device.join_request(1)))
    assert answered.result is ResultCode.OTHER and "AppSKeyReq: " in answered.detail


async def test_an_http_error_is_other(join_server_of_others: Callable[[Answerer], Any]) -> None:
    url = await join_server_of_others(lambda message: 1 / 0)
    device = old()
    settings = ExternalJoinServer(join_euis=str(EUI64(1)), url=url)
    (answered,) = await ask(settings, ask_for(device, device.join_request(1)))
    assert answered.result is ResultCode.OTHER and "HTTP 500" in answered.detail


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

"""What the join server answers over Backend Interfaces; requests are plain JSON here, as another program writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from joinserver.backend.service import Caller, JoinService
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import JoinServerSettings
from joinserver.store import JoinStore
from lorawan.identifiers import NetID
from tests.support.joins import KEK, NOW_US, NWK_KEY, keys_of
from tests.support.otaa_device import OtaaDevice

NS_KEK, AS_KEK = bytes(range(16)), bytes(range(32))
NETWORK = Caller(certificate_names=("NS.example", "other"))
APPLICATION = Caller(authorization="Bearer 3f9d0c5e")
SETTINGS: dict[str, Any] = {
    "http": {
        "listen": "127.0.0.1:0",
        "client_ca": "ca.pem",
        "peers": [
            {"id": "0x00001A", "certificate_names": ["ns.example"], "kek_label": "ns", "app_kek_label": "as"},
            {"id": "00002B", "certificate_names": ["ns.example"], "kek_label": ""},
            {"id": "as.example", "token": "Bearer 3f9d0c5e", "app_kek_label": "as"},
        ],
    },
    "keks": {"ns": NS_KEK.hex(), "as": AS_KEK.hex()},
}


class Rig:
    """The service, and a 1.0 and a 1.1 device in it."""

    def __init__(self, path: Path) -> None:
        self.local = LocalJoinServer(JoinServer(JoinStore(path, KEK)), lambda: NOW_US)
        self.service = JoinService(self.local, JoinServerSettings.model_validate(SETTINGS), NetID(0x00001A))
        self.old = OtaaDevice(dev_eui=0xA0)
        self.new = OtaaDevice(dev_eui=0xA1, nwk_key=NWK_KEY)

    async def ask(self, device: OtaaDevice, kind: str, caller: Caller = NETWORK, **members: Any) -> dict[str, Any]:
        message = {
            "ProtocolVersion": "1.1",
            "SenderID": "00001a",
            "ReceiverID": f"{device.join_eui:016X}",
            "TransactionID": 4_294_967_295,
            "MessageType": kind,
            "SenderToken": "c0ffee",
            "DevEUI": f"{device.dev_eui:016x}",
        }
        reply = await self.service.answer(json.dumps(message | members).encode(), caller)
        assert reply.status == 200
        answer: dict[str, Any] = json.loads(reply.body)
        assert answer["TransactionID"] == (message | members)["TransactionID"]
        assert answer["MessageType"] == members.get("MessageType", kind).replace("Req", "Ans")
        assert (answer["SenderID"], answer["ReceiverID"]) == (
            (message | members)["ReceiverID"],
            (message | members)["SenderID"],
        )
        assert answer["ReceiverToken"] == "c0ffee"
        return answer

    async def join(self, device: OtaaDevice, phy: bytes, **members: Any) -> dict[str, Any]:
        opt_neg = device.nwk_key is not None
        fields = {
            "MACVersion": "1.1" if opt_neg else "1.0.4",
            "PHYPayload": phy.hex(),
            "DevAddr": "0134abcd",
            "DLSettings": "92" if opt_neg else "12",
            "RxDelay": 5,
        }
        return await self.ask(device, "RejoinReq" if phy[0] == 0xC0 else "JoinReq", **(fields | members))


@pytest.fixture
async def rig(path: Path) -> AsyncIterator[Rig]:
    rig = Rig(path)
    await rig.local.run(lambda s: s.put_devices([keys_of(rig.old), keys_of(rig.new, home_net_id=NetID(0x1A))], NOW_US))
    yield rig
    await rig.local.close()


def opened(envelope: dict[str, str], label: str, kek: bytes) -> bytes:
    assert envelope["KEKLabel"] == label
    return aes_key_unwrap(kek, bytes.fromhex(envelope["AESKey"]))


async def test_join_1_0_with_wrapped_keys(rig: Rig) -> None:
    cflist = "e8d983b8e18388e98358f18328f98300"
    answer = await rig.join(rig.old, rig.old.join_request(1), CFList=cflist.upper())
    assert answer["Result"] == {"ResultCode": "Success"}
    accepted = rig.old.accept(bytes.fromhex(answer["PHYPayload"]), 1)
    assert (accepted.net_id, accepted.dev_addr, accepted.dl_settings) == (0x1A, 0x0134ABCD, 0x12)
    assert (accepted.rx_delay, accepted.cflist.hex(), answer["Lifetime"]) == (5, cflist, 0)
    assert opened(answer["NwkSKey"], "ns", NS_KEK) == accepted.keys["NwkSKey"]
    assert opened(answer["AppSKey"], "as", AS_KEK) == accepted.keys["AppSKey"]
    assert "FNwkSIntKey" not in answer


async def test_join_and_rejoin_1_1_with_wrapped_keys(rig: Rig) -> None:
    device = rig.new
    for kind in (None, 0, 1, 2):
        phy = device.join_request(0)
        if kind is not None:
            phy = device.rejoin_request(kind, 0, 0x1A, device.accepted[-1].keys["SNwkSIntKey"])
        answer = await rig.join(device, phy)
        assert answer["Result"]["ResultCode"] == "Success", answer
        accepted = device.accept(bytes.fromhex(answer["PHYPayload"]), 0, kind)
        for name in ("FNwkSIntKey", "SNwkSIntKey", "NwkSEncKey"):
            assert opened(answer[name], "ns", NS_KEK) == accepted.keys[name]
        assert opened(answer["AppSKey"], "as", AS_KEK) == accepted.keys["AppSKey"]
        assert "NwkSKey" not in answer
    assert [a.join_nonce for a in device.accepted] == [1, 2, 3, 4]


async def test_app_s_key_for_the_application_server(rig: Rig) -> None:
    joined = await rig.join(rig.old, rig.old.join_request(1))
    accepted = rig.old.accept(bytes.fromhex(joined["PHYPayload"]), 1)
    asked = {"SenderID": "as.example", "SessionKeyID": joined["SessionKeyID"]}
    answer = await rig.ask(rig.old, "AppSKeyReq", APPLICATION, **asked)
    assert answer["Result"]["ResultCode"] == "Success"
    assert (answer["DevEUI"], answer["SessionKeyID"]) == ("00000000000000a0", joined["SessionKeyID"])
    assert opened(answer["AppSKey"], "as", AS_KEK) == accepted.keys["AppSKey"]
    for wrong in ({"SessionKeyID": joined["SessionKeyID"][:-2] + "77"}, {"SessionKeyID": "00"}):
        answer = await rig.ask(rig.old, "AppSKeyReq", APPLICATION, **(asked | wrong))
        assert (answer["Result"]["ResultCode"], "AppSKey" in answer) == ("Other", False)
    answer = await rig.ask(rig.new, "AppSKeyReq", APPLICATION, **asked)
    assert (answer["Result"]["ResultCode"], "AppSKey" in answer) == ("Other", False)


async def test_a_network_that_is_not_to_have_app_s_keys_gets_none(rig: Rig) -> None:
    joined = await rig.join(rig.old, rig.old.join_request(1), SenderID="00002b")
    assert joined["Result"]["ResultCode"] == "Success" and joined["SessionKeyID"]
    accepted = rig.old.accept(bytes.fromhex(joined["PHYPayload"]), 1)
    assert joined["NwkSKey"] == {"AESKey": accepted.keys["NwkSKey"].hex()}
    assert "AppSKey" not in joined
    answer = await rig.ask(rig.old, "AppSKeyReq", SenderID="00002b", SessionKeyID=joined["SessionKeyID"])
    assert (answer["Result"]["ResultCode"], "AppSKey" in answer) == ("ActivationDisallowed", False)


async def test_home_ns(rig: Rig) -> None:
    for device in (rig.old, rig.new):
        answer = await rig.ask(device, "HomeNSReq", SenderID="00002B")
        assert (answer["Result"]["ResultCode"], answer["HNetID"]) == ("Success", "00001a")
    answer = await rig.ask(rig.old, "HomeNSReq", ReceiverID="0000000000000001")
    assert answer["Result"]["ResultCode"] == "UnkownReceiver"
    homeless = JoinService(rig.local, JoinServerSettings.model_validate(SETTINGS))
    rig.service, service = homeless, rig.service
    answer = await rig.ask(rig.old, "HomeNSReq")
    assert (answer["Result"]["ResultCode"], "HNetID" in answer) == ("Other", False)
    rig.service = service
    answer = await rig.ask(OtaaDevice(dev_eui=0xDEAD), "HomeNSReq")
    assert answer["Result"]["ResultCode"] == "UnknownDevEUI"
    answer = await rig.join(rig.new, rig.new.join_request(0), SenderID="00002B")
    assert answer["Result"]["ResultCode"] == "ActivationDisallowed"


STRANGERS = [
    (NETWORK, "00001b"),
    (NETWORK, "as.example"),
    (APPLICATION, "00001a"),
    (Caller(), "00001a"),
    (Caller(certificate_names=("example",)), "00001a"),
    (Caller(authorization="Bearer 3f9d0c5"), "as.example"),
    (Caller(), "as.example"),
    (Caller(), ""),
]


@pytest.mark.parametrize("kind", ["JoinReq", "RejoinReq", "AppSKeyReq", "HomeNSReq", "XmitDataReq"])
@pytest.mark.parametrize(("caller", "sender"), STRANGERS)
async def test_who_is_not_known_gets_nothing(rig: Rig, caller: Caller, sender: str, kind: str) -> None:
    answer = await rig.ask(rig.old, kind, caller, SenderID=sender, PHYPayload=rig.old.join_request(1).hex())
    assert answer["Result"]["ResultCode"] == "UnknownSender"
    assert not {"PHYPayload", "NwkSKey", "AppSKey", "HNetID"} & set(answer)


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"ProtocolVersion": "2.0"}, "InvalidProtocolVersion", "'2.0'"),
        ({"ReceiverID": "0102030405060709"}, "UnkownReceiver", "JoinEUI of the frame"),
        ({"ReceiverID": "000013"}, "MalformedMessage", "ReceiverID has 3 bytes"),
        ({"PHYPayload": "xyz"}, "MalformedMessage", "PHYPayload 'xyz'"),
        ({"PHYPayload": ""}, "MalformedMessage", "empty frame"),
        ({"PHYPayload": "00"}, "MalformedMessage", "1 bytes"),
        ({"DevEUI": "01"}, "MalformedMessage", "DevEUI has 1 bytes"),
        ({"DevAddr": "0123"}, "MalformedMessage", "DevAddr has 2 bytes"),
        ({"DLSettings": "0102"}, "MalformedMessage", "DLSettings has 2 bytes"),
        ({"RxDelay": 77}, "MalformedMessage", "RxDelay 77"),
        ({"RxDelay": "5"}, "MalformedMessage", "RxDelay"),
        ({"CFList": "00"}, "MalformedMessage", "CFList of 1 bytes"),
        ({"MACVersion": "1.2.x"}, "MalformedMessage", "MACVersion '1.2.x'"),
        ({"MACVersion": None}, "MalformedMessage", "MACVersion"),
        ({"MessageType": "RejoinReq"}, "MalformedMessage", "rejoin type"),
        ({"MessageType": "RejoinReq", "PHYPayload": "c0"}, "MalformedMessage", "no rejoin-request"),
        ({"MessageType": "PRStartReq"}, "MalformedMessage", "this join server answers JoinReq, RejoinReq"),
        ({"ProtocolVersion": "1.0", "PHYPayload": "xyz"}, "MalformedRequest", "PHYPayload"),
    ],
)
async def test_malformed_requests_say_which_member(rig: Rig, members: dict[str, Any], code: str, text: str) -> None:
    answer = await rig.join(rig.old, rig.old.join_request(1), **members)
    assert answer["Result"]["ResultCode"] == code
    assert text in answer["Result"]["Description"]
    assert "PHYPayload" not in answer


async def test_an_application_server_cannot_join_devices(rig: Rig) -> None:
    fields = {
        "MACVersion": "1.0.4",
        "PHYPayload": rig.old.join_request(1).hex(),
        "DevAddr": "00000000",
        "DLSettings": "00",
        "RxDelay": 1,
    }
    answer = await rig.ask(rig.old, "JoinReq", APPLICATION, SenderID="as.example", **fields)
    assert answer["Result"] == {"ResultCode": "MalformedMessage", "Description": "SenderID 'as.example' is not a NetID"}


@pytest.mark.parametrize(("version", "code"), [("1.0", "JoinReqFailed"), ("1.1", "FrameReplayed")])
async def test_a_replay_by_protocol_version(rig: Rig, version: str, code: str) -> None:
    await rig.join(rig.old, rig.old.join_request(1))
    answer = await rig.join(rig.old, rig.old.join_request(1), ProtocolVersion=version)
    assert answer["Result"]["ResultCode"] == code and answer["ProtocolVersion"] == version


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"ProtocolVersion":"1.0"}', b"[" * 60_000])
async def test_only_what_is_no_message_gets_http_400(rig: Rig, body: bytes) -> None:
    reply = await rig.service.answer(body, NETWORK)
    assert (reply.status, reply.result) == (400, None)

"""Two ends of Backend Interfaces for tests: a join server in this process, and a network server's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joinserver.backend.http import JoinHttpServer
from joinserver.client import HttpJoinServer
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import ExternalJoinServer, JoinServerSettings
from joinserver.store import JoinStore
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.identifiers import NetID
from tests.support.certificates import Authority, Pem
from tests.support.joins import KEK, NOW_US, NWK_KEY, keys_of
from tests.support.otaa_device import OtaaDevice

KEKS = {"ns": bytes(range(32)), "as": bytes(range(1, 17))}
OLD = OtaaDevice(dev_eui=0xA0, join_eui=0x70B3D57ED0000001)
NEW = OtaaDevice(dev_eui=0xA1, join_eui=0x70B3D57ED0000001, nwk_key=NWK_KEY)


def old() -> OtaaDevice:
    return OtaaDevice(OLD.dev_eui, OLD.join_eui)


def new() -> OtaaDevice:
    return OtaaDevice(NEW.dev_eui, NEW.join_eui, nwk_key=NWK_KEY)


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

"""ChirpStack v4, over its REST interface (chirpstack-rest-api) in the shapes of ``api/proto/api/*.proto``."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from lorasim.conformance.adapters import Received
from lorasim.conformance.adapters.rest import Rest
from lorasim.conformance.probe import Identity
from lorasim.conformance.verdicts import NotSupported

MAC_VERSIONS = {
    "1.0.2": "LORAWAN_1_0_2",
    "1.0.3": "LORAWAN_1_0_3",
    "1.0.4": "LORAWAN_1_0_4",
    "1.1.0": "LORAWAN_1_1_0",
}
REVISIONS = {"1.0.2": "B", "1.0.3": "A", "1.0.4": "RP002_1_0_3", "1.1.0": "A"}


class ChirpStack:
    """``base``: the REST service; ``token``: an API key; a tenant of its own, and an application in it, are best.

    ChirpStack tells uplinks by MQTT and webhooks only, so exactly-once is judged by what devices see. Radio parameters are of
    the region there, not of a profile; so of wishes it has ADR and DevStatusReq alone.
    """

    name = "chirpstack"
    wishes = frozenset({"adr", "dev_status_interval_s"})

    def __init__(self, base: str, token: str, region: str, tenant: str, application: str) -> None:
        self._rest = Rest(f"{base.rstrip('/')}/api", token, "Grpc-Metadata-Authorization")
        self._region, self._tenant, self._application = region, tenant, application
        self._made: list[str] = []
        self._profiles: dict[str, asyncio.Task[str]] = {}

    async def open(self) -> None:
        await self._rest.open()

    async def close(self) -> None:
        for path in reversed(self._made):
            await self._rest.ask("DELETE", path, fine=(404,))
        await self._rest.close()

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        if beacons:
            raise NotSupported("ChirpStack leaves beacons to the gateways")
        name = f"{eui:016x}"
        gateway = {"gatewayId": name, "name": f"conformance {name}", "tenantId": self._tenant, "statsInterval": 30}
        if await self._rest.ask("GET", f"/gateways/{name}", fine=(404,)) is None:
            await self._rest.ask("POST", "/gateways", {"gateway": {**gateway, "location": {}}})
            self._made.append(f"/gateways/{name}")

    async def station_token(self, eui: int) -> str:
        return ""

    async def add_device(self, identity: Identity) -> None:
        profile, name = await self._profile(identity), f"{identity.dev_eui:016x}"
        await self._rest.ask("DELETE", f"/devices/{name}", fine=(404,))
        device = {
            "devEui": name,
            "joinEui": f"{identity.join_eui:016x}",
            "name": f"conformance {name}",
            "applicationId": self._application,
            "deviceProfileId": profile,
        }
        await self._rest.ask("POST", "/devices", {"device": device})
        self._made.append(f"/devices/{name}")
        if identity.activation == "OTAA":
            # of a 1.0.x device the AppKey stands in nwkKey
            nwk_key = identity.nwk_key if identity.lorawan_1_1 else identity.app_key
            keys: dict[str, Any] = {"nwkKey": nwk_key.hex()}
            if identity.lorawan_1_1:
                keys["appKey"] = identity.app_key.hex()
            await self._rest.ask("POST", f"/devices/{name}/keys", {"deviceKeys": keys})
            return
        session = identity.keys
        assert session is not None
        activation = {
            "devAddr": f"{identity.dev_addr:08x}",
            "appSKey": session.app_s_key.hex(),
            "nwkSEncKey": session.nwk_s_enc_key.hex(),
            "sNwkSIntKey": session.s_nwk_s_int_key.hex(),
            "fNwkSIntKey": session.f_nwk_s_int_key.hex(),
            "fCntUp": 0,
            "nFCntDown": 0,
            "aFCntDown": 0,
        }
        await self._rest.ask("POST", f"/devices/{name}/activate", {"deviceActivation": activation})

    async def _profile(self, identity: Identity) -> str:
        version = "1.1.0" if identity.lorawan_1_1 else identity.mac_version
        wishes = identity.wishes
        profile = {
            "name": f"conformance {version} {identity.activation} {identity.device_class} {json.dumps(wishes)}",
            "tenantId": self._tenant,
            "region": self._region,
            "macVersion": MAC_VERSIONS[version],
            "regParamsRevision": REVISIONS[version],
            "adrAlgorithmId": "default",
            "supportsOtaa": identity.activation == "OTAA",
            "supportsClassB": identity.device_class == "B",
            "supportsClassC": identity.device_class == "C",
            "classBTimeout": 8,
            "classCTimeout": 8,
            "uplinkInterval": 3600,
            "deviceStatusReqInterval": 24 if wishes.get("dev_status_interval_s") else 0,
            "flushQueueOnActivate": True,
        }
        name = str(profile["name"])
        if name not in self._profiles:
            self._profiles[name] = asyncio.create_task(self._make_profile(profile))
        return await self._profiles[name]

    async def _make_profile(self, profile: dict[str, Any]) -> str:
        made = await self._rest.ask("POST", "/device-profiles", {"deviceProfile": profile})
        self._made.insert(0, f"/device-profiles/{made['id']}")
        return str(made["id"])

    async def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        item = {"fPort": f_port, "data": base64.b64encode(data).decode(), "confirmed": confirmed}
        await self._rest.ask("POST", f"/devices/{dev_eui:016x}/queue", {"queueItem": item})

    async def uplinks(self, dev_eui: int) -> list[Received] | None:
        return None

    async def rejoin(self, dev_eui: int, rejoin_type: int) -> None:
        raise NotSupported("ChirpStack has no call for ForceRejoinReq")

"""MeterWAN, over its HTTP API."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

from lorasim.conformance.adapters import WISHES, Received
from lorasim.conformance.adapters.rest import Rest
from lorasim.conformance.probe import Identity


class MeterWAN:
    """``base``: ``http://host:port``; ``token``: of a role that may write (``meterwan token create --role admin``)."""

    name = "meterwan"
    wishes = WISHES

    def __init__(self, base: str, token: str, region: str) -> None:
        self._rest = Rest(f"{base.rstrip('/')}/api/v1", token)
        self._region = region
        self._made: list[str] = []
        """Paths to delete at the end, the last first."""
        self._profiles: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        await self._rest.open()

    async def close(self) -> None:
        for path in reversed(self._made):
            await self._rest.ask("DELETE", path, fine=(404, 409))
        await self._rest.close()

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        class_b = "server" if beacons else "off"
        body = {"gateway_eui": f"{eui:016x}", "name": "conformance", "class_b": class_b}
        if await self._rest.ask("POST", "/gateways", body, fine=(409,)) is not None:
            self._made.append(f"/gateways/{eui:016x}")

    async def station_token(self, eui: int) -> str:
        made = await self._rest.ask("POST", f"/gateways/{eui:016x}/credentials", {})
        return str(made["lns_token"])

    async def add_device(self, identity: Identity) -> None:
        profile = await self._profile(identity)
        path = f"/devices/{identity.dev_eui:016x}"
        await self._rest.ask("DELETE", path, fine=(404,))
        body: dict[str, Any] = {
            "dev_eui": f"{identity.dev_eui:016x}",
            "join_eui": f"{identity.join_eui:016x}",
            "profile": profile,
            "activation": identity.activation,
        }
        if identity.activation == "OTAA":
            body["app_key"] = identity.app_key.hex()
            if identity.lorawan_1_1:
                body["nwk_key"] = identity.nwk_key.hex()
        await self._rest.ask("POST", "/devices", body)
        self._made.append(path)
        keys = identity.keys
        if keys is None:
            return
        session = {"dev_addr": f"{identity.dev_addr:08x}", "app_s_key": keys.app_s_key.hex()}
        if keys.lorawan_1_1:
            names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key")
            session |= {name: getattr(keys, name).hex() for name in names}
        else:
            session["nwk_s_key"] = keys.nwk_s_enc_key.hex()
        await self._rest.ask("PUT", f"{path}/session", session)

    async def _profile(self, identity: Identity) -> str:
        body = {
            "mac_version": identity.mac_version,
            "region": self._region,
            "class": identity.device_class,
            "adr": "off",
            "dev_status_interval_s": 0,
            **identity.wishes,
        }
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
        name = f"conformance-{digest}"
        if name not in self._profiles:
            self._profiles[name] = asyncio.create_task(self._make_profile(name, body))
        await self._profiles[name]
        return name

    async def _make_profile(self, name: str, body: dict[str, Any]) -> None:
        await self._rest.ask("POST", "/device-profiles", {"name": name, **body}, fine=(409,))
        self._made.insert(0, f"/device-profiles/{name}")

    async def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        body = {"f_port": f_port, "data": base64.b64encode(data).decode(), "confirmed": confirmed}
        await self._rest.ask("POST", f"/devices/{dev_eui:016x}/queue", body)

    async def uplinks(self, dev_eui: int) -> list[Received] | None:
        page = await self._rest.ask("GET", f"/events?dev_eui={dev_eui:016x}&type=up&limit=1000")
        return [
            Received(int(item["fCnt"]), int(item.get("fPort") or 0), base64.b64decode(item.get("data") or ""))
            for item in page["items"]
        ]

    async def rejoin(self, dev_eui: int, rejoin_type: int) -> None:
        await self._rest.ask("POST", f"/devices/{dev_eui:016x}/session/rejoin", {"rejoin_type": rejoin_type})

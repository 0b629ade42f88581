"""Any server: a person does by hand what is printed."""

from __future__ import annotations

import asyncio
import sys

from lorasim.conformance.adapters import WISHES, AdapterError, Received
from lorasim.conformance.probe import Identity
from lorasim.conformance.verdicts import NotSupported


class Manual:
    """Asks on the terminal and waits for Enter; ``s`` and Enter: this server cannot do that."""

    name = "manual"
    wishes = WISHES

    def __init__(self) -> None:
        self._asking = asyncio.Lock()

    async def open(self) -> None:
        if not sys.stdin.isatty():
            raise AdapterError("the manual adapter asks questions: run it on a terminal, with --lanes 1")

    async def close(self) -> None:
        """What was made by hand is taken out by hand."""

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        wish = " The server shall send class B beacons through it." if beacons else ""
        await self._ask(f"Register the gateway {eui:016x}.{wish}")

    async def station_token(self, eui: int) -> str:
        return ""

    async def add_device(self, identity: Identity) -> None:
        await self._ask(describe(identity))

    async def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        kind = "confirmed" if confirmed else "unconfirmed"
        await self._ask(f"Queue a downlink for {dev_eui:016x}: FPort {f_port}, {data.hex()}, {kind}.")

    async def uplinks(self, dev_eui: int) -> list[Received] | None:
        return None

    async def rejoin(self, dev_eui: int, rejoin_type: int) -> None:
        await self._ask(f"Have {dev_eui:016x} rejoin with type {rejoin_type} (ForceRejoinReq).")

    async def _ask(self, text: str) -> None:
        async with self._asking:
            answer = await asyncio.to_thread(input, f"\n{text}\nEnter when it is done, s when the server cannot: ")
        if answer.strip().lower() == "s":
            raise NotSupported("said so by hand")


def describe(identity: Identity) -> str:
    """What to create, line by line."""
    lines = [
        f"Create the device {identity.dev_eui:016x} anew (delete an older one with its session first):",
        f"  LoRaWAN {identity.mac_version}, {identity.activation}, class {identity.device_class}",
    ]
    if identity.activation == "OTAA":
        lines += [f"  JoinEUI {identity.join_eui:016x}", f"  AppKey  {identity.app_key.hex()}"]
        lines += [f"  NwkKey  {identity.nwk_key.hex()}"] if identity.lorawan_1_1 else []
    elif identity.keys is not None:
        keys = identity.keys
        lines += [f"  DevAddr {identity.dev_addr:08x}", f"  AppSKey {keys.app_s_key.hex()}"]
        if keys.lorawan_1_1:
            names = {"FNwkSIntKey": "f_nwk_s_int_key", "SNwkSIntKey": "s_nwk_s_int_key", "NwkSEncKey": "nwk_s_enc_key"}
            lines += [f"  {name} {getattr(keys, attribute).hex()}" for name, attribute in names.items()]
        else:
            lines.append(f"  NwkSKey {keys.nwk_s_enc_key.hex()}")
    wishes = {"adr": "off", "dev_status_interval_s": 0, **identity.wishes}
    return "\n".join([*lines, *(f"  the server shall want {name} = {value}" for name, value in wishes.items())])

"""The network process as the conformance run's server, without an application beside it."""

from __future__ import annotations

from typing import Any

from lorasim.conformance.adapters import WISHES, Received
from lorasim.conformance.bench import Where
from lorasim.conformance.command import channels_of
from lorasim.conformance.probe import Identity
from lorasim.conformance.runner import Setup

from internalapi import messages as m
from internalapi.client import NetworkClient
from regional import plan


class Internal:
    """An adapter on the network process itself."""

    name = "internal"
    wishes = WISHES

    def __init__(self, client: NetworkClient, region: str = "RU864") -> None:
        self._client, self._region = client, region
        self._profiles: dict[str, str] = {}

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        await self._client.gateway_put(gateway_eui=f"{eui:016x}", class_b="server" if beacons else "off")

    async def station_token(self, eui: int) -> str:
        return (await self._client.station_credentials_put(gateway_eui=f"{eui:016x}")).lns_token

    async def add_device(self, identity: Identity) -> None:
        wishes: dict[str, Any] = {"adr": "off", "dev_status_interval_s": 0, **identity.wishes}
        if "channels" in wishes:
            wishes["channels"] = [m.ChannelWrite(**one) for one in wishes["channels"]]
        key = repr((identity.mac_version, identity.device_class, wishes))
        name = self._profiles.setdefault(key, f"conformance-{abs(hash(key)):x}")
        mac_version, device_class = identity.mac_version, identity.device_class
        profile = {"name": name, "mac_version": mac_version, "region": self._region, "device_class": device_class}
        await self._client.profile_put(**profile, **wishes)
        fields: dict[str, str] = {}
        if identity.activation == "OTAA":
            fields["app_key"] = identity.app_key.hex()
            if identity.lorawan_1_1:
                fields["nwk_key"] = identity.nwk_key.hex()
        dev_eui, join_eui = f"{identity.dev_eui:016x}", f"{identity.join_eui:016x}"
        write = m.DeviceWrite(dev_eui, join_eui=join_eui, profile=name, activation=identity.activation, **fields)
        await self._client.devices_put(items=[write])
        keys = identity.keys
        if keys is not None:
            names = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key")
            network = {name: getattr(keys, name).hex() for name in names}
            if not keys.lorawan_1_1:
                network = {"nwk_s_key": keys.nwk_s_enc_key.hex()}
            await self._client.session_put(
                dev_eui=dev_eui, dev_addr=f"{identity.dev_addr:08x}", app_s_key=keys.app_s_key.hex(), **network
            )

    async def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        await self._client.queue_put(dev_eui=f"{dev_eui:016x}", f_port=f_port, data=data, confirmed=confirmed)

    async def uplinks(self, dev_eui: int) -> list[Received] | None:
        events = (await self._client.events(after=0, limit=1000)).events
        mine = [one for one in events if one.type == "up" and one.dev_eui == f"{dev_eui:016x}"]
        return [Received(one.f_cnt, one.f_port or 0, one.data) for one in mine]

    async def rejoin(self, dev_eui: int, rejoin_type: int) -> None:
        await self._client.rejoin(dev_eui=f"{dev_eui:016x}", rejoin_type=rejoin_type)


def setup_of(where: Where, seed: int = 1, lanes: int = 64, region: str = "RU864") -> Setup:
    """As the command lays it out: the gateways hear preset 864, or sub-band 2 of a fixed plan."""
    of = plan(region)
    return Setup(where, of, channels_of(of, None), seed, lanes)


def udp_of(network: Any) -> tuple[str, int]:
    host, port = network.settings.gateways.udp.listen.split(":")
    return host, int(port)

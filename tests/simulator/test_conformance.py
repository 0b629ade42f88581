"""The conformance run: green against this server, red where a fault is planted."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lorasim.conformance import command, output, registry, runner
from lorasim.conformance.adapters import WISHES, Received
from lorasim.conformance.bench import Where
from lorasim.conformance.probe import Identity
from lorasim.conformance.runner import Setup
from lorasim.conformance.verdicts import Result, Verdict
from lorasim.station_entry import StationEntry

from internalapi import messages as m
from internalapi.client import NetworkClient
from regional import plan
from tests.support import live_network, saboteur
from tests.support.program import free_port


class Internal:
    """An adapter on the network process itself."""

    name = "internal"
    wishes = WISHES

    def __init__(self, client: NetworkClient) -> None:
        self._client = client
        self._profiles: dict[str, str] = {}

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        await self._client.gateway_put(gateway_eui=f"{eui:016x}", class_b="server" if beacons else "off")

    async def add_device(self, identity: Identity) -> None:
        wishes: dict[str, Any] = {"adr": "off", "dev_status_interval_s": 0, **identity.wishes}
        if "channels" in wishes:
            wishes["channels"] = [m.ChannelWrite(**one) for one in wishes["channels"]]
        key = repr((identity.mac_version, identity.device_class, wishes))
        name = self._profiles.setdefault(key, f"conformance-{abs(hash(key)):x}")
        mac_version, device_class = identity.mac_version, identity.device_class
        await self._client.profile_put(name=name, mac_version=mac_version, device_class=device_class, **wishes)
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


def setup_of(udp: tuple[str, int], seed: int = 1, lanes: int = 24) -> Setup:
    ru864 = plan("RU864")
    channels = [channel.frequency_hz for channel in ru864.default_channels] + list(ru864.presets["864"])
    return Setup(Where(udp), ru864, channels, seed, lanes)


def udp_of(network: Any) -> tuple[str, int]:
    host, port = network.settings.gateways.udp.listen.split(":")
    return host, int(port)


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "answers 50 ms late": ("windows.every-channel", {"plant": saboteur.later(50_000)}),
    "answers 1 ms early": ("windows.one-downlink", {"plant": saboteur.later(-1_000)}),
    "RX1's channel in RX2's time": ("windows.every-channel", {"plant": saboteur.later(1_000_000)}),
    "wrong RX1 frequency": ("windows.every-channel", {"plant": saboteur.shifted_channel}),
    "wrong data rate": ("windows.every-channel", {"plant": saboteur.with_(datr="SF8BW125")}),
    "IQ is not inverted": ("counters.f-cnt-down", {"plant": saboteur.with_(ipol=False)}),
    "payload checksum is on": ("windows.radio-parameters", {"plant": saboteur.with_(ncrc=False)}),
    "too much power": ("windows.radio-parameters", {"plant": saboteur.with_(powe=27)}),
    "every downlink twice": ("windows.one-downlink", {"plant": saboteur.twice}),
    "FCntDown used again": ("counters.f-cnt-down", {"plant": saboteur.reused}),
    "wrong MIC": ("downlinks.item", {"plant": saboteur.forged}),
    "wrong MIC of the accept": ("join.one-accept", {"plant": saboteur.forged}),
    "no answer at all": ("asked-by-device.link-check", {"plant": saboteur.nothing}),
    "no PUSH_ACK": ("gateways.acknowledgements", {"drops_push_ack": True}),
    "a replay is accepted": ("counters.replay", {"answers_replays": True}),
}


async def test_every_planted_fault_is_found(tmp_path: Path) -> None:
    """A proxy makes the server's answers wrong in one way each; a case written for it says so."""
    async with live_network.server(tmp_path) as (network, client, _):
        adapter = Internal(client)

        async def judged(seed: int, name: str, fault: dict[str, Any]) -> tuple[Result, int]:
            async with saboteur.sabotage(udp_of(network), **fault) as between:
                setup = setup_of(between.address, seed, 1)
                [result] = await runner.run(setup, adapter, [registry.load()[name]])
                return result, between.planted

        found = await asyncio.gather(
            *(judged(seed, name, fault) for seed, (name, fault) in enumerate(FAULTS.values(), start=2))
        )
    for what, (result, planted) in zip(FAULTS, found, strict=True):
        assert planted, f"{what}: nothing was planted"
        assert result.verdict is Verdict.FAIL and result.reason, f"{what}: {result}"


async def test_short_form_is_green(tmp_path: Path) -> None:
    """The real network process over real UDP."""
    async with live_network.server(tmp_path, channels="864") as (network, client, _):
        cases = registry.choose(short=True)
        results = await runner.run(setup_of(udp_of(network)), Internal(client), cases)
    assert [f"{one.name}: {one.reason}" for one in results if one.verdict is not Verdict.PASS] == []
    assert len(results) >= 40


STATION_CASES = [
    "join.otaa-1-0-4",
    "windows.one-downlink",
    "windows.every-channel",
    "windows.radio-parameters",
    "counters.replay",
    "counters.f-cnt-down",
    "downlinks.item",
    "asked-by-device.link-check",
    "asked-by-device.device-time",
    "class-c.at-once",
    "frames.rfu-bits",
    "asked-by-server.force-rejoin",
    "gateways.acknowledgements",
]


async def test_cases_over_basics_stations(tmp_path: Path) -> None:
    """All gateways of the run are stations, on WebSockets of the real network process."""
    port = free_port(socket.SOCK_STREAM)
    udp, base = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}", f"ws://127.0.0.1:{port}"
    gateways = {"udp": {"listen": udp}, "basicstation": {"listen": f"127.0.0.1:{port}"}}
    async with live_network.server(tmp_path, channels="864", gateways=gateways) as (network, client, _):
        setup = replace(setup_of(udp_of(network)), where=Where(udp_of(network), StationEntry(url=base)))
        cases = [registry.load()[name] for name in STATION_CASES]
        results = {one.name: one for one in await runner.run(setup, Internal(client), cases)}
    left = results.pop("windows.radio-parameters")
    assert left.verdict is Verdict.NOT_PROVOKED and "Station decides" in left.reason
    for name, why in (
        ("frames.rfu-bits", "does not forward"),
        ("asked-by-server.force-rejoin", "does not forward"),
        ("gateways.acknowledgements", "Semtech UDP"),
    ):
        unfit = results.pop(name)
        assert unfit.verdict is Verdict.NOT_SUPPORTED and why in unfit.reason, name
    assert [f"{one.name}: {one.reason}" for one in results.values() if one.verdict is not Verdict.PASS] == []


RESULTS = [
    Result("a.one", "a", "First", "§1", Verdict.PASS, "", 1.0),
    Result("a.two", "a", "Second", "§2", Verdict.FAIL, "wrong <bits>", 2.0),
    Result("b.three", "b", "Third", "§3", Verdict.NOT_PROVOKED, "never came", 3.0),
]


def test_table_json_and_junit() -> None:
    lines = list(output.table(RESULTS))
    assert any("FAIL" in line and "a.two" in line for line in lines)
    assert lines[-1] == "3 cases: 1 pass, 1 fail, 1 not provoked"
    read = json.loads(output.as_json(RESULTS, "host:1700", 7))
    assert [one["verdict"] for one in read["cases"]] == ["pass", "fail", "not provoked"] and read["seed"] == 7
    suites = ElementTree.fromstring(output.as_junit(RESULTS, "host:1700", 7))
    assert [suite.get("failures") for suite in suites] == ["1", "0"]
    assert suites.find(".//failure").get("message") == "wrong <bits>"  # type: ignore[union-attr]
    assert len(suites.findall(".//skipped")) == 1


def test_wrong_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in (
        (["nonsense"], "nonsense"),
        (["--server", "x", "--token", "t"], "--server"),
        (["--dev-addr", "12", "--token", "t"], "--dev-addr"),
        (["--adapter", "chirpstack", "--token", "t"], "--tenant"),
        ([], "--token"),
    ):
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2 and why in capsys.readouterr().err
    assert command.main(["--list", "join"]) == 0
    assert "join.otaa-1-0-4" in capsys.readouterr().out

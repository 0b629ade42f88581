"""The whole program with a Basics Station on wss: credentials as an operator makes them, a meter's frame as the API shows it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from Crypto.Hash import SHA512
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from lorasim.crypto import SessionKeys

from tests.support.certificates import Authority
from tests.support.live_station import station
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice
from tests.support.ports import free_port
from tests.support.program import Program, make_program
from tests.support.server import Server

EUI = "0016c001ff1e5a01"
OTHER = "0016c001ff1e5a02"


class StationProgram(Program):
    """``meterwan`` that listens for stations, with certificates of its own authority."""

    @property
    def settings(self) -> list[str]:
        return super().settings + [part for item in self.stations.items() for part in ("--set", "=".join(item))]

    @property
    def base(self) -> str:
        return f"wss://{self.stations['gateways.basicstation.listen']}"

    stations: dict[str, str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Server]:
    plain = make_program(tmp_path_factory.mktemp("station") / "a folder")
    program = StationProgram(plain.folder, plain.http, plain.udp, plain.metrics)
    pem = authority.issue("lns.example.com")
    section = "gateways.basicstation"
    program.stations = {
        f"{section}.listen": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}",
        f"{section}.certificate": str(pem.certificate),
        f"{section}.private_key": str(pem.private_key),
        f"{section}.client_ca": str(authority.certificate),
        f"{section}.trust": str(authority.certificate),
    }
    server = Server(program)
    try:
        server.start()
        yield server
        assert server.stop() == 0, program.output()
        assert "Traceback" not in program.output()
    finally:
        server.kill_supervisor()


async def run(server: Server, *arguments: str) -> str:
    result = await asyncio.to_thread(server.program.run, *arguments, *server.program.settings)
    assert result.code == 0, result.err
    return result.out


async def ask(server: Server, method: str, path: str, body: Any = None) -> Any:
    return await asyncio.to_thread(server.ask, method, path, body)


def node_of(device: OtaaDevice, phy: bytes, nonce: int) -> Node:
    accept = device.accept(phy, nonce)
    return Node(accept.dev_addr, SessionKeys.of_1_0(accept.keys["NwkSKey"], accept.keys["AppSKey"]))


async def test_a_station_with_the_files_that_the_command_wrote(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    program = server.program
    assert isinstance(program, StationProgram)
    device = OtaaDevice()
    await ask(server, "POST", "/gateways", {"gateway_eui": EUI, "name": "Roof"})
    body = {"dev_eui": f"{device.dev_eui:016x}", "join_eui": f"{device.join_eui:016x}", "app_key": device.app_key.hex()}
    await ask(server, "POST", "/devices", body | {"mac_version": "1.0.3", "name": "meter"})
    folder = tmp_path / "files"
    await run(server, "gateway", "credentials", EUI, "--folder", str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "cups.key", "cups.trust", "cups.uri", "tc.key", "tc.trust", "tc.uri",
    ]  # fmt: skip
    key = (folder / "tc.key").read_bytes()
    assert key.startswith(b"Authorization: Bearer mwgw-") and key.endswith(b"\r\n")
    assert (folder / "tc.key").stat().st_mode & 0o077 == 0
    refused = await asyncio.to_thread(program.run, "gateway", "credentials", EUI, "--folder", str(folder))
    assert refused.code == 1 and "not empty" in refused.err

    base = (folder / "tc.uri").read_text().strip()
    assert base == program.base
    tls = ssl.create_default_context(cafile=str(folder / "tc.trust"))
    async with station(base, EUI, key.decode().split()[-1], tls=tls) as one:
        await one.connect()
        await one.hear(device.join_request(1))
        node = node_of(device, (await one.sent(1, 8)).phy, 1)
        await one.hear(node.up(b"\x11\x22", confirmed=True))
        assert node.read((await one.sent(2)).phy).ack
        shown = await ask(server, "GET", f"/gateways/{EUI}")
        assert shown["protocol"] == "basicstation" and shown["station"]["version"].startswith("2.0.6")
        assert shown["station"]["credential"] == "token" and shown["station"]["tls"].startswith("TLSv1.")
    certificate = authority.issue(f"eui-{EUI}.gw.example.com")
    tls.load_cert_chain(certificate.certificate, certificate.private_key)
    async with station(base, EUI, tls=tls) as one:
        await one.connect()
        await one.hear(node.up(b"\x33\x44", confirmed=True))
        assert node.read((await one.sent(1)).phy).ack
        shown = await ask(server, "GET", f"/gateways/{EUI}")
        assert shown["station"]["credential"] == "certificate"
    events = (await ask(server, "GET", f"/events?dev_eui={device.dev_eui:016x}&type=up"))["items"]
    assert [event["fCnt"] for event in events] == [0, 1]
    assert all(event["rxInfo"][0]["gatewayId"] == EUI for event in events)
    revoked = await ask(server, "DELETE", f"/gateways/{EUI}/credentials")
    assert revoked == {"tokens": 2}, "one for the LNS, one for CUPS"


async def test_credentials_by_the_api_and_an_update_by_cups(server: Server, tmp_path: Path) -> None:
    await ask(server, "POST", "/gateways", {"gateway_eui": OTHER})
    made = await ask(server, "POST", f"/gateways/{OTHER}/credentials", {})
    image, key = os.urandom(200_000), ECC.generate(curve="P-256")
    public = b"".join(int(part).to_bytes(32, "big") for part in (key.pointQ.x, key.pointQ.y))
    for name, content in (
        ("update.bin", image),
        ("update.sig", DSS.new(key, "fips-186-3", encoding="der").sign(SHA512.new(image))),
        ("sig-0.key", public),
    ):
        (tmp_path / name).write_bytes(content)
    add = ("gateway", "firmware", "add", str(tmp_path / "update.bin"), "--package", "2.0", "--model", "linux")
    signed = ("--signature", str(tmp_path / "update.sig"), "--key", str(tmp_path / "sig-0.key"))
    (tmp_path / "wrong.sig").write_bytes((tmp_path / "update.sig").read_bytes()[:-1] + b"!")
    wrong = ("--signature", str(tmp_path / "wrong.sig"), "--key", str(tmp_path / "sig-0.key"))
    refused = await asyncio.to_thread(server.program.run, *add, *wrong)
    assert refused.code == 1 and "does not hold" in refused.err
    await run(server, *add, *signed)
    (listed,) = json.loads(await run(server, "gateway", "firmware", "list", "--json"))
    assert (listed["name"], listed["package"], listed["size"]) == ("update.bin", "2.0", 200_000)
    has = {
        "router": OTHER, "cupsUri": made["cups_uri"], "tcUri": made["lns_uri"], "cupsCredCrc": 0, "tcCredCrc": 0,
        "station": "2.0.6", "model": "linux", "package": "1.0", "keys": [zlib.crc32(public)],
    }  # fmt: skip
    tls = ssl.create_default_context(cadata=made["trust"])
    headers = {"Authorization": f"Bearer {made['cups_token']}"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
        http.post(f"{made['cups_uri']}/update-info", json=has, headers=headers) as answer,
    ):
        body = await answer.read()
    assert body[:2] == b"\0\0" and body.endswith(len(image).to_bytes(4, "little") + image)
    assert zlib.crc32(public).to_bytes(4, "little") + (tmp_path / "update.sig").read_bytes() in body
    await run(server, "gateway", "firmware", "remove", "update.bin")
    assert not list((server.program.data / "firmware").glob("*.bin"))
    await run(server, "gateway", "station", OTHER, "--region", "EU868", "--max-eirp", "10")
    assert (await ask(server, "GET", f"/gateways/{OTHER}"))["station_setup"]["region"] == "EU868"

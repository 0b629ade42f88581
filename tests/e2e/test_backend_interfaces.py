"""Two servers, one for the gateways and one for the keys, over HTTPS with client certificates and wrapped keys (TS002).

Devices of the simulator, with their own cryptography, join through the first, send, are sent to, and join again in every
way. The root keys exist on the second server alone.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lorasim import checker, runner, scenario
from lorasim.recording import Recorder
from lorasim.runner import Simulation
from lorasim.world import World

from tests.support.certificates import Authority, Pem
from tests.support.ports import free_port
from tests.support.program import WITHIN_S, Program, make_program, wait_for
from tests.support.server import Server, wait_until

NET_KEK = "8f1d2a70c4b9e6533a7704d21c55ee90"
APP_KEK = "2b6a90e1d35c48f7a1094de3c8725bf63d80e9174aa652cb1f3e5d7788a9c0b1"
MESSAGE = b"open the valve"
DEVICES = {"70b3d5fffe000001": "1.0.4", "70b3d5fffe000011": "1.1"}

HOME = """
[joinserver.http]
listen = "127.0.0.1:{port}"
certificate = "{pem}/join.example.net.crt"
private_key = "{pem}/join.example.net.key"
client_ca = "{pem}/Test CA.pem"
[[joinserver.http.peers]]
id = "000013"
certificate_names = ["ns.example.net"]
kek_label = "network"
app_kek_label = "application"
[joinserver.keks]
network = "{net_kek}"
application = "{app_kek}"
"""

SERVING = """
[network]
net_id = "000013"
[[joinserver.external]]
join_euis = "70b3d5fffe000000/40"
url = "https://127.0.0.1:{port}/"
ca = "{pem}/Test CA.pem"
certificate = "{pem}/ns.example.net.crt"
private_key = "{pem}/ns.example.net.key"
protocol_version = "1.1"
timeout_s = 4.0
[joinserver.keks]
network = "{net_kek}"
application = "{app_kek}"
"""

GATEWAY = """
[[gateways]]
eui = "0016c001ff1e5a{number:02x}"
"""
GATEWAYS = 4
"""Each has its own duty cycle: with several, answers seldom have to wait for the slow second window."""

DEVICE = """
[[devices]]
dev_eui = "{dev_eui}"
join_eui = "70b3d5fffe0000ff"
mac_version = "{mac_version}"
profile = "lorawan-{mac_version}"
confirmed = true
interval_s = 3
join_spread_s = 1
"""

SCENARIO = "\n".join(
    (
        'name = "two servers"',
        'preset = "default"',
        *(GATEWAY.format(number=number) for number in range(GATEWAYS)),
        *(DEVICE.format(dev_eui=dev_eui, mac_version=version) for dev_eui, version in DEVICES.items()),
    )
)


@dataclass
class Lived:
    """What is left after the two servers have stopped."""

    home: Program
    serving: Program
    lines: list[dict[str, Any]]
    events: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    """Of the serving server's API."""
    root_keys: list[bytes]
    answers: list[str]
    """What the join server says to a POST with a client certificate, and without."""


class Air(Recorder):
    """Records, and knows which devices have heard the message, and which have had a frame acknowledged."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.heard: set[str] = set()
        self.acknowledged: set[str] = set()

    def write(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        super().write(t, kind, fields)
        if kind == "downlink" and bytes.fromhex(fields["data"]) == MESSAGE:
            self.heard.add(fields["dev_eui"])
        if kind == "uplink_done" and fields["acked"]:
            self.acknowledged.add(fields["dev_eui"])


async def live(server: Server, world: World, air: Air) -> None:
    """Join, send, hear, rejoin in each way, and join again after a restart."""
    devices = list(world.devices.values())
    oldest, newest = devices
    async with Simulation(world, server.udp) as simulation:
        await simulation.until(lambda w: w.snapshot().joined == len(devices), WITHIN_S)
        for device in devices:
            item = {"f_port": 7, "data": "b3BlbiB0aGUgdmFsdmU=", "confirmed": True, "attempts": 1}
            await asyncio.to_thread(server.ask, "POST", f"/devices/{device.config.dev_eui:016x}/queue", item)
        await simulation.until(lambda w: air.heard == set(DEVICES), WITHIN_S)
        before = oldest.session
        simulation.act(oldest, lambda now: oldest.restart(now, keep_session=False))
        for kind in (0, 2, 1):
            last = newest.session
            simulation.act(newest, lambda now, kind=kind: newest.rejoin(kind, now))  # type: ignore[misc]
            await simulation.until(lambda w, last=last: newest.session is not last, WITHIN_S)  # type: ignore[misc]
            await simulation.until(lambda w: bool(newest.session and newest.session.rekeyed), WITHIN_S)
        await simulation.until(lambda w: oldest.session is not None and oldest.session is not before, WITHIN_S)
        air.acknowledged.clear()
        await simulation.until(lambda w: air.acknowledged == set(DEVICES), WITHIN_S)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder: Path = tmp_path_factory.mktemp("backend interfaces")
    authority = Authority(folder)
    authority.issue("join.example.net")
    certificate = authority.issue("ns.example.net")
    values = {"port": free_port(socket.SOCK_STREAM), "pem": folder, "net_kek": NET_KEK, "app_kek": APP_KEK}
    home, serving = make_program(folder / "home"), Server(make_program(folder / "serving"))
    (home.folder / "meterwan.toml").write_text(HOME.format(**values))
    (serving.program.folder / "meterwan.toml").write_text(SERVING.format(**values))
    process = home.start("serve", "--role", "join", "--set", f"network.http.listen={home.metrics}")
    air = Air(folder / "air.jsonl")
    world = World(scenario.parse(SCENARIO), runner.now_us(), recorder=air)
    keys = []
    try:
        wait_for(home, process, ["network"])
        serving.start()
        serving.add_gateways(world.scenario)
        for device, group in zip(world.devices.values(), world.scenario.devices, strict=True):
            config = device.config
            dev_eui, join_eui = f"{config.dev_eui:016x}", f"{config.join_eui:016x}"
            root = {"APP_KEY": config.app_key.hex()}
            if config.lorawan_1_1:
                root["NWK_KEY"] = config.nwk_key.hex()
            keys += [bytes.fromhex(key) for key in root.values()]
            added = home.run("device", "add", dev_eui, "--profile", group.profile, "--join-eui", join_eui, **root)
            assert added.code == 0, added.err
            serving.ask("POST", "/devices", {"dev_eui": dev_eui, "join_eui": join_eui, "profile": group.profile})
        asyncio.run(live(serving, world, air))
        lines = checker.read(folder / "air.jsonl")
        last = {(frame.dev_eui, frame.f_cnt, frame.dev_addr) for frame in checker.acknowledged(lines)}
        # The last frames are acknowledged before their windows have closed.
        wait_until(lambda: last <= set(named(serving)), 30, "every frame has its event")
        yield Lived(
            home,
            serving.program,
            lines,
            list(serving.every("/events?type=up")),
            list(serving.every("/devices")),
            keys,
            [said(values["port"], authority, pem) for pem in (certificate, None)],
        )
        assert serving.stop() == 0, serving.program.output()
    finally:
        serving.kill_supervisor()
        process.terminate()
        process.wait(WITHIN_S)


def named(server: Server) -> list[tuple[str, int, str]]:
    """What the server's events of uplinks are of."""
    return [(e["deviceInfo"]["devEui"], e.get("fCnt", 0), e["devAddr"]) for e in server.every("/events?type=up")]


def said(port: int, authority: Authority, certificate: Pem | None) -> str:
    """The answer to a POST over TLS; empty when the other side closes."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if certificate is not None:
        context.load_cert_chain(certificate.certificate, certificate.private_key)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            return secure.recv(4096).decode()
    except (ssl.SSLError, ConnectionError):
        return ""


def test_the_devices_joined_in_every_way_and_no_rule_is_broken(lived: Lived) -> None:
    assert checker.check(lived.lines) == [], lived.serving.output() + lived.home.output()
    for dev_eui, mac_version in DEVICES.items():
        joined = [line for line in lived.lines if line["type"] == "joined" and line["dev_eui"] == dev_eui]
        kinds = [line["join_req_type"] for line in joined]
        assert kinds == ([0xFF, 0, 2, 1] if mac_version == "1.1" else [0xFF, 0xFF])
        assert {line["lorawan_1_1"] for line in joined} == {mac_version == "1.1"}


def test_what_was_acknowledged_is_an_event_and_can_be_read(lived: Lived) -> None:
    """Both halves of each envelope were right: the network keys by the MIC, AppSKey by the payload."""
    promised = {(f.dev_eui, f.f_cnt, f.dev_addr) for f in checker.acknowledged(lived.lines)}
    told = {(e["deviceInfo"]["devEui"], e.get("fCnt", 0), e["devAddr"]): e for e in lived.events}
    assert {dev_eui for dev_eui, _, _ in promised} == set(DEVICES)
    assert not promised - set(told)
    sent = {(line["dev_eui"], line["data"]) for line in lived.lines if line["type"] == "uplink"}
    assert {(e["deviceInfo"]["devEui"], base64.b64decode(e["data"]).hex()) for e in lived.events} <= sent
    heard = [bytes.fromhex(line["data"]) for line in lived.lines if line["type"] == "downlink"]
    assert heard.count(MESSAGE) == len(DEVICES), "encrypted by one side, read by the other"


def test_the_root_keys_are_on_the_join_server_alone(lived: Lived) -> None:
    with closing(sqlite3.connect(lived.serving.data / "join.db")) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (0,)
    with closing(sqlite3.connect(lived.home.data / "join.db")) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (len(DEVICES),)
    for program in (lived.serving, lived.home):
        files = [file for file in program.folder.rglob("*") if file.is_file() and file.suffix != ".toml"]
        assert {"network.db", "join.db"} <= {file.name for file in files}
        content = b"".join(file.read_bytes() for file in files)
        for key in lived.root_keys:
            assert key not in content and key.hex().encode() not in content.lower()
        for kek in (NET_KEK, APP_KEK):
            assert kek.encode() not in content and bytes.fromhex(kek) not in content


def test_without_a_certificate_there_is_no_answer(lived: Lived) -> None:
    with_certificate, without = lived.answers
    assert with_certificate.startswith("HTTP/1.1 400 ") and without == ""

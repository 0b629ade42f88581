"""Two servers: one holds the devices' keys, the other serves their gateways (Backend Interfaces, TS002)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from lorasim.house import key_of

from tests.support.ports import free_port
from tests.support.program import WITHIN_S, Program, make_program, wait_for

SEED = 7
JOIN_EUI = "70b3d5fffe0000ff"
DEVICES = {"70b3d5fffe000001": ("1.0.3", "lorawan-1.0.3"), "70b3d5fffe000011": ("1.1.0", "lorawan-1.1")}
KEK = "8f1d2a70c4b9e6533a7704d21c55ee90"
TOKEN = "Bearer 4f0c3d0e77a94d1b"

HOME = """
[joinserver.http]
listen = "127.0.0.1:{port}"
[[joinserver.http.peers]]
id = "000013"
token = "{token}"
kek_label = "between-us"
app_kek_label = "between-us"
[joinserver.keks]
between-us = "{kek}"
"""

SERVING = """
[network]
net_id = "000013"
[[joinserver.external]]
join_euis = "70b3d5fffe000000/40"
url = "http://127.0.0.1:{port}/"
token = "{token}"
timeout_s = 4.0
[joinserver.keks]
between-us = "{kek}"
"""

AIR = """
name = "two-servers"
seed = {seed}
preset = ""
[[gateways]]
eui = "0016c001ff1e5a01"
"""

GROUP = """
[[devices]]
dev_eui = "{dev_eui}"
join_eui = "{join_eui}"
mac_version = "{mac_version}"
interval_s = 2.0
join_spread_s = 0.5
"""


def started(folder: Path, settings: str) -> tuple[Program, object]:
    program = make_program(folder)
    (program.folder / "meterwan.toml").write_text(settings)
    process = program.start("serve", "--role", "network", *program.settings)
    wait_for(program, process, ["network"])
    return program, process


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Program]]:
    port = free_port(socket.SOCK_STREAM)
    folder = tmp_path_factory.mktemp("two")
    processes = []
    try:
        programs = []
        for name, settings in (("home", HOME), ("serving", SERVING)):
            program, process = started(folder / name, settings.format(port=port, token=TOKEN, kek=KEK))
            programs.append(program)
            processes.append(process)
        yield programs[0], programs[1]
    finally:
        for process in processes:
            process.terminate()  # type: ignore[attr-defined]
            process.wait(WITHIN_S)  # type: ignore[attr-defined]


def test_devices_join_through_the_server_that_has_their_keys(servers: tuple[Program, Program]) -> None:
    home, serving = servers
    air = AIR.format(seed=SEED)
    for dev_eui, (mac_version, profile) in DEVICES.items():
        keys = {"APP_KEY": key_of(SEED, int(dev_eui, 16)).hex()}
        if mac_version.startswith("1.1"):
            keys["NWK_KEY"] = key_of(SEED, int(dev_eui, 16), "nwk_key").hex()
        device = ("device", "add", dev_eui, "--profile", profile, "--join-eui", JOIN_EUI)
        refused = home.run(*device)
        assert refused.code == 1 and "needs its AppKey" in refused.err
        assert home.run(*device, **keys).code == 0
        without_keys = serving.run(*device)
        assert without_keys.code == 0, without_keys.err
        air += GROUP.format(dev_eui=dev_eui, join_eui=JOIN_EUI, mac_version=mac_version)
    assert serving.run("gateway", "add", "0016c001ff1e5a01").code == 0
    (serving.folder / "air.toml").write_text(air)

    said = serving.run("simulate", "air.toml", "--server", serving.udp, "--duration", "15", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["joined"] == len(DEVICES), serving.output() + home.output()
    for dev_eui in DEVICES:
        # An accepted uplink proves the network session keys: its MIC is right under what came in the envelope.
        record = json.loads(serving.run("device", "show", dev_eui, "--json").out)
        assert record["f_cnt_up"] is not None and record["session"]["confirmed_by_uplink"]
        assert json.loads(home.run("device", "show", dev_eui, "--json").out)["dev_addr"] is None
    log = serving.output() + home.output()
    assert KEK not in log and TOKEN.removeprefix("Bearer ") not in log


def test_check_shows_no_secret(servers: tuple[Program, Program]) -> None:
    for program in servers:
        shown = program.run("check")
        assert shown.code == 0 and "joinserver.keks" in shown.out
        assert KEK not in shown.out and TOKEN not in shown.out


def test_a_wrong_kek_is_not_shown_either(program: Program) -> None:
    (program.folder / "meterwan.toml").write_text(f'[joinserver.keks]\nbetween-us = "{KEK}00"\n')
    result = program.run("check")
    assert result.code == 1 and "joinserver.keks.between-us" in result.err
    assert KEK not in result.err

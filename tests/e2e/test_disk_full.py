"""A full disk: frames are not acknowledged, nothing dies, and it goes on by itself when there is room again.

The limit is put on the running network process (RLIMIT_FSIZE: no file may grow beyond where it is), which is a disk without
room as far as the store can tell, and needs no mount.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from tests.e2e.test_foreign_device import GATEWAY, joined
from tests.support.server import Server, running, wait_until
from tests.support.wire_gateway import WireGateway


def test_inv_40_a_full_disk_stops_acknowledgements_and_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.ask("POST", "/gateways", {"gateway_eui": GATEWAY, "name": "bare socket"})
        gateway = WireGateway(server.udp, GATEWAY)
        gateway.pull()
        device = joined(server, gateway, "00000000000b0001")
        assert gateway.acknowledged(gateway.push(device.uplink(0, "00", confirmed=False)))

        pid = server.pid("network")
        assert pid is not None
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        refused = gateway.push(device.uplink(1, "01", confirmed=False))
        assert not gateway.acknowledged(refused, within_s=2.5)
        wait_until(lambda: "network.db" in _status(server)["storage"], 10, "the status says what is wrong")
        gateway.pull()  # a sign of life needs no disk

        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        assert gateway.acknowledged(refused, within_s=5), "what waited is kept and acknowledged"
        assert gateway.acknowledged(gateway.push(device.uplink(2, "02", confirmed=False)))
        wait_until(lambda: _status(server)["storage"] == "ok", 10, "the status is well again")
        wait_until(lambda: _payloads(server, device.dev_eui) == [0, 1, 2], 10, "every frame is one event, in order")
        assert server.pid("network") == pid, "the process has lived through it"
        gateway.close()


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        second = server.program.run("serve", *server.program.settings)
        assert second.code == 1
        (line,) = second.err.splitlines()
        assert str(server.program.data.name) in line and str(server.pid("supervisor") or "") in line


def _status(server: Server) -> dict[str, Any]:
    status: dict[str, Any] = server.ask("GET", "/status")
    return status.get("network", status)


def _payloads(server: Server, dev_eui: str) -> list[int]:
    events = server.every(f"/events?dev_eui={dev_eui}")
    return [one.get("body", one)["fCnt"] for one in events if one["type"] == "up"]

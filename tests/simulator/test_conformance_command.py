"""``meterwan simulate conformance``: options reach the run. And the ChirpStack adapter against a server that writes down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from lorasim.conformance import command, runner
from lorasim.conformance.adapters import AdapterError
from lorasim.conformance.adapters.chirpstack import ChirpStack
from lorasim.conformance.probe import Identity
from lorasim.conformance.verdicts import NotSupported, Result, Verdict
from lorasim.crypto import SessionKeys
from typer.testing import CliRunner

from meterwan.cli import app

SOUND = Result("join.one", "join", "First", "§1", Verdict.PASS, "", 1.0)


def simulate(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["simulate", *words])
    return done.exit_code, done.output


def test_all_options_reach_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def run(setup: Any, adapter: Any, cases: Any, told: Any) -> list[Result]:
        seen.update(setup=setup, adapter=adapter, cases=[case.name for case in cases])
        return [SOUND]

    monkeypatch.setattr(runner, "run", run)
    junit = tmp_path / "out.xml"
    options = (
        "--server 192.0.2.1:1701 --station wss://192.0.2.1:8887 --station-token secret --adapter chirpstack "
        f"--url http://192.0.2.1:8090 --token key --tenant T --application A --seed 9 --lanes 3 --short --json --junit {junit}"
    )
    code, out = simulate("conformance", *options.split(), "join", "counters.replay")
    assert code == 0, out
    setup, adapter = seen["setup"], seen["adapter"]
    assert setup.where.udp == ("192.0.2.1", 1701) and (setup.seed, setup.lanes) == (9, 3)
    assert (setup.where.station.url, setup.where.station.token) == ("wss://192.0.2.1:8887", "secret")
    assert isinstance(adapter, ChirpStack) and (adapter._tenant, adapter._application) == ("T", "A")
    assert adapter._rest._base == "http://192.0.2.1:8090/api"
    assert "counters.replay" in seen["cases"]
    assert {name.split(".")[0] for name in seen["cases"]} == {"join", "counters"}
    assert json.loads(out)["cases"][0]["name"] == "join.one" and "join.one" in junit.read_text("utf-8")


def test_the_exit_code_is_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def main(words: list[str]) -> int:
        given.append(list(words))
        return 1

    monkeypatch.setattr(command, "main", main)
    assert simulate("conformance", "--short")[0] == 1
    assert given == [["--server", "127.0.0.1:1700", "--short"]]


def test_its_cases_are_listed() -> None:
    code, out = simulate("conformance", "--list", "join")
    assert code == 0 and "join.otaa-1-0-4" in out and "counters.replay" not in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("satka", "--station", "ws://x"), "--station"),
        (("conformance", "--virtual"), "--virtual"),
        (("conformance", "--nonsense"), ""),
    ],
)
def test_wrong_use_is_status_2(words: tuple[str, ...], why: str) -> None:
    code, out = simulate(*words)
    assert code == 2 and why in out


# ---------------------------------------------------------------------------------------------------------- ChirpStack


class Written:
    """A server that writes down what it is asked, knows no gateway at first, and has a fault on wish."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.keys: set[str] = set()
        self.broken = False

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path, body))
        self.keys.add(request.headers["Grpc-Metadata-Authorization"])
        if self.broken:
            return web.json_response({"message": "object already exists"}, status=409)
        if request.method == "GET":
            return web.json_response({}, status=404)
        return web.json_response({"id": "profile-1"} if request.path == "/api/device-profiles" else {})


@pytest.fixture
async def chirpstack() -> AsyncIterator[tuple[Written, ChirpStack]]:
    written, application = Written(), web.Application()
    application.router.add_route("*", "/{path:.*}", written.answer)
    async with TestServer(application) as server:
        adapter = ChirpStack(str(server.make_url("")), "key", "RU864", "T", "A")
        await adapter.open()
        yield written, adapter
        await adapter._rest.close()


async def test_chirpstack_is_asked_by_its_rest_interface(chirpstack: tuple[Written, ChirpStack]) -> None:
    written, adapter = chirpstack
    await adapter.add_gateway(0x0016C001FF0C0001)
    keys = SessionKeys.of_1_0(bytes([3] * 16), bytes([4] * 16))
    abp = Identity(0xA, 0xB, bytes(16), bytes(16), "1.0.3", "ABP", "C", 0x00F00001, keys)
    otaa = Identity(0xC, 0xB, bytes([1] * 16), bytes([2] * 16), "1.1", "OTAA")
    older = Identity(0xD, 0xB, bytes([1] * 16), bytes([2] * 16), "1.0.4", "OTAA")
    for one in (abp, otaa, older):
        await adapter.add_device(one)
    await adapter.queue(0xA, 7, b"\x01\x02", True)
    assert await adapter.uplinks(0xA) is None
    with pytest.raises(NotSupported):
        await adapter.rejoin(0xA, 0)
    with pytest.raises(NotSupported):
        await adapter.add_gateway(1, beacons=True)
    asked = {(method, path): body for method, path, body in written.asked}
    gateway = asked["POST", "/api/gateways"]["gateway"]
    assert (gateway["gatewayId"], gateway["tenantId"], gateway["statsInterval"]) == ("0016c001ff0c0001", "T", 30)
    profiles = [body["deviceProfile"] for _, path, body in written.asked if path == "/api/device-profiles"]
    assert [one["macVersion"] for one in profiles] == ["LORAWAN_1_0_3", "LORAWAN_1_1_0", "LORAWAN_1_0_4"]
    assert [one["supportsOtaa"] for one in profiles] == [False, True, True]
    assert [one["supportsClassC"] for one in profiles] == [True, False, False]
    assert {(one["region"], one["tenantId"]) for one in profiles} == {("RU864", "T")}
    devices = [body["device"] for method, path, body in written.asked if (method, path) == ("POST", "/api/devices")]
    assert devices[0] == {
        "devEui": "000000000000000a",
        "joinEui": "000000000000000b",
        "name": "conformance 000000000000000a",
        "applicationId": "A",
        "deviceProfileId": "profile-1",
    }
    activation = asked["POST", "/api/devices/000000000000000a/activate"]["deviceActivation"]
    assert (activation["devAddr"], activation["appSKey"]) == ("00f00001", "04" * 16)
    assert {activation[name] for name in ("nwkSEncKey", "sNwkSIntKey", "fNwkSIntKey")} == {"03" * 16}
    assert asked["POST", "/api/devices/000000000000000c/keys"] == {
        "deviceKeys": {"nwkKey": "02" * 16, "appKey": "01" * 16}
    }
    assert asked["POST", "/api/devices/000000000000000d/keys"] == {"deviceKeys": {"nwkKey": "01" * 16}}
    assert asked["POST", "/api/devices/000000000000000a/queue"] == {
        "queueItem": {"fPort": 7, "data": "AQI=", "confirmed": True}
    }
    begun = len(written.asked)
    await adapter.close()
    gone = [(method, path) for method, path, _ in written.asked[begun:]]
    assert gone[:4] == [
        ("DELETE", "/api/devices/000000000000000d"),
        ("DELETE", "/api/devices/000000000000000c"),
        ("DELETE", "/api/devices/000000000000000a"),
        ("DELETE", "/api/gateways/0016c001ff0c0001"),
    ]
    assert len(gone) == 7 and {path for _, path in gone[4:]} == {"/api/device-profiles/profile-1"}
    assert written.keys == {"Bearer key"}


async def test_what_chirpstack_refuses_is_told_with_its_own_words(chirpstack: tuple[Written, ChirpStack]) -> None:
    written, adapter = chirpstack
    written.broken = True
    with pytest.raises(AdapterError, match=r"409 .*object already exists"):
        await adapter.queue(0xA, 7, b"x", False)

"""The conformance run: green against this server, red where a fault is planted.

The live runs wait nearly all of their time, so they go side by side, once for the module.
"""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lorasim.conformance import command, output, registry, runner
from lorasim.conformance.bench import Where
from lorasim.conformance.ground import Ground
from lorasim.conformance.punctual import Punctual
from lorasim.conformance.registry import Case
from lorasim.conformance.verdicts import Result, Verdict, expect
from lorasim.station_entry import StationEntry

from regional import plan
from tests.support import live_network, saboteur
from tests.support.certificates import Authority
from tests.support.conformance_lab import Internal, setup_of, udp_of
from tests.support.program import free_port
from tests.support.station_server import tls_settings

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


FIXED_CASES = [
    "join.cf-list",
    "windows.every-data-rate",
    "windows.every-channel",
    "counters.two-down-counters",
    "downlinks.item",
    "asked-by-server.channel-mask",
    "asked-by-server.rx-param-setup",
    "class-b.ping-slot",
    "class-c.at-once",
]
"""What is another thing where channels are only switched and downlinks have frequencies and data rates of their own."""


async def faulty(folder: Path) -> list[tuple[Result, int]]:
    """A proxy makes the server's answers wrong in one way each."""
    async with live_network.server(folder) as (network, client, _):
        adapter = Internal(client)

        async def judged(seed: int, name: str, fault: dict[str, Any]) -> tuple[Result, int]:
            async with saboteur.sabotage(udp_of(network), **fault) as between:
                setup = setup_of(Where(between.address), seed, 1)
                [result] = await runner.run(setup, adapter, [registry.load()[name]])
                return result, between.planted

        return await asyncio.gather(
            *(judged(seed, name, fault) for seed, (name, fault) in enumerate(FAULTS.values(), start=2))
        )


async def short_form(folder: Path) -> list[Result]:
    """The real network process over real UDP."""
    async with live_network.server(folder, channels="864") as (network, client, _):
        setup = setup_of(Where(udp_of(network)))
        return await runner.run(setup, Internal(client), registry.choose(short=True, ground=setup.ground))


async def over_stations(folder: Path) -> list[Result]:
    """All gateways are stations, on WebSockets with TLS, each with the token that the server has made for it."""
    port, authority = free_port(socket.SOCK_STREAM), Authority(folder)
    gateways = {
        "udp": {"listen": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"},
        "basicstation": {"listen": f"127.0.0.1:{port}", "open_to": "nobody"} | tls_settings(authority, folder),
    }
    async with live_network.server(folder, channels="864", gateways=gateways) as (network, client, _):
        entry = StationEntry(url=f"wss://127.0.0.1:{port}", trust=str(authority.certificate))
        cases = [registry.load()[name] for name in STATION_CASES]
        strangers = replace(entry, token="of-nobody")
        runs = [
            runner.run(setup_of(Where(udp_of(network), entry)), Internal(client), cases),
            runner.run(setup_of(Where(udp_of(network), strangers), seed=2), Internal(client), cases[:1]),
        ]
        return [result for results in await asyncio.gather(*runs) for result in results]


async def fixed_plan(folder: Path, region: str) -> list[Result]:
    async with live_network.server(folder, region=region, channels="2") as (network, client, _):
        setup = setup_of(Where(udp_of(network)), region=region)
        cases = [registry.load()[name] for name in FIXED_CASES]
        return await runner.run(setup, Internal(client, region), cases)


@dataclass
class Played:
    faulty: list[tuple[Result, int]]
    short: list[Result]
    stations: list[Result]
    us915: list[Result]
    au915: list[Result]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    async def everything() -> Played:
        return Played(
            *await asyncio.gather(
                faulty(folder("faulty")),
                short_form(folder("short")),
                over_stations(folder("stations")),
                fixed_plan(folder("us"), "US915"),
                fixed_plan(folder("au"), "AU915"),
            )
        )

    return asyncio.run(everything())


def not_passed(results: list[Result]) -> list[str]:
    return [f"{one.name}: {one.verdict.value}, {one.reason}" for one in results if one.verdict is not Verdict.PASS]


def test_every_planted_fault_is_found(played: Played) -> None:
    """A case written for it says so."""
    for what, (result, planted) in zip(FAULTS, played.faulty, strict=True):
        assert planted, f"{what}: nothing was planted"
        assert result.verdict is Verdict.FAIL and result.reason, f"{what}: {result}"


def test_short_form_is_green(played: Played) -> None:
    assert not_passed(played.short) == []
    assert len(played.short) >= 40


def test_cases_over_basics_stations_with_tls_and_tokens(played: Played) -> None:
    *found, stranger = played.stations
    results = {one.name: one for one in found}
    left = results.pop("windows.radio-parameters")
    assert left.verdict is Verdict.NOT_PROVOKED and "Station decides" in left.reason
    for name, why in (
        ("frames.rfu-bits", "does not forward"),
        ("asked-by-server.force-rejoin", "does not forward"),
        ("gateways.acknowledgements", "Semtech UDP"),
    ):
        unfit = results.pop(name)
        assert unfit.verdict is Verdict.NOT_SUPPORTED and why in unfit.reason, name
    assert not_passed(list(results.values())) == []
    assert stranger.verdict is Verdict.FAIL, "stations with another token are let in"


@pytest.mark.parametrize("region", ["us915", "au915"])
def test_fixed_plans_are_green_on_a_sub_band(played: Played, region: str) -> None:
    results: list[Result] = getattr(played, region)
    assert not_passed(results) == []
    [mask] = [one.reason for one in results if one.name == "asked-by-server.channel-mask"]
    assert mask == "channels 8, 9, 10, 11, 12, 13, 14, 15, 65"


def test_a_region_has_the_cases_that_it_has_a_place_for() -> None:
    def names(region: str) -> set[str]:
        of = plan(region)
        ground = Ground(of, command.channels_of(of, None))
        return {one.name for one in registry.choose(ground=ground)}

    ru864, us915 = names("RU864"), names("US915")
    assert {"asked-by-server.new-channel", "asked-by-server.dl-channel", "gateways.duty-cycle"} <= ru864 - us915
    assert us915 - ru864 == {"asked-by-server.channel-mask", "asked-by-server.no-channel-requests"}
    assert "asked-by-server.tx-param-setup" in us915 - names("AU915")
    assert len(ru864 & us915) > 90


class OneCase:
    """An adapter that is never asked, and a case that fails some times."""

    def __init__(self, failures: int) -> None:
        self.failures, self.played = failures, 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def add_gateway(self, eui: int, beacons: bool = False) -> None: ...

    async def play(self, lab: Any) -> str:
        self.played += 1
        expect(self.played > self.failures, "nothing came")
        return "came"


@pytest.mark.parametrize(
    ("late", "failures", "played", "verdict"),
    [
        (False, 1, 1, Verdict.FAIL),
        (True, 1, 2, Verdict.PASS),
        (True, 9, runner.TRIES, Verdict.FAIL),
        (True, 0, 1, Verdict.PASS),
    ],
)
async def test_what_fails_while_this_machine_is_late_is_played_again(
    monkeypatch: pytest.MonkeyPatch, late: bool, failures: int, played: int, verdict: Verdict
) -> None:
    monkeypatch.setattr(Punctual, "late_s", lambda self, since_s: 0.9 if late else 0.0)
    one = OneCase(failures)
    case = Case("one.case", "one", "One", "§1", one.play)
    [result] = await runner.run(setup_of(Where(("127.0.0.1", 9)), lanes=1), one, [case])  # type: ignore[arg-type]
    assert (result.verdict, one.played) == (verdict, played)
    assert ("0.9 s late" in result.reason) is (verdict is Verdict.FAIL and late)


def test_a_late_timer_is_remembered() -> None:
    punctual = Punctual()
    punctual.rang(10.0, 10.2)
    assert punctual.late_s(0) == 0
    punctual.rang(11.0, 11.5)
    punctual.rang(12.0, 12.3)
    assert punctual.late_s(0) == 0.5 and punctual.late_s(12) == pytest.approx(0.3) and punctual.late_s(13) == 0


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
        (["--token", "t", "--region", "US915", "--preset", ""], "eight of US915's channels: default, 1, 2"),
        (["--token", "t", "--preset", "999"], "RU864 has"),
        (["--token", "t", "--region", "MARS"], "MARS"),
    ):
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2 and why in capsys.readouterr().err
    assert command.main(["--list", "join"]) == 0
    assert "join.otaa-1-0-4" in capsys.readouterr().out

"""The scenarios that come along, each run in virtual time against the network server; and what each is there to show."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from lorasim import checker, outcome, scenario, virtual
from lorasim.recording import Recorder
from lorasim.scenario import Scenario
from lorasim.summary import Summary
from lorasim.world import World
from typer.testing import CliRunner

from internalapi import messages as m
from meterwan import virtual_events
from meterwan.cli import app
from meterwan.virtual import VirtualNetwork

HOUR_S = 3600.0
DAY_S = 86_400.0
SHORT: dict[str, tuple[float, float]] = {
    "town": (0.005, HOUR_S),
    "power_returns": (0.005, 3 * HOUR_S),
    "load_hourly": (0.01, HOUR_S),
    "load_year": (0.01, 2 * DAY_S),
    "load_confirmed": (0.05, 900.0),
    "aloha": (1.0, 120.0),
    "satka": (1.0, 6 * HOUR_S),
    "satka_month": (1.0, 2 * DAY_S),
    "novouralsk": (1.0, 2 * DAY_S),
    "firmware_reset": (1.0, 2 * HOUR_S),
    "roaming": (1.0, 2 * HOUR_S),
}
"""Share of the devices, virtual seconds; of the others all, for an hour."""
PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_ACK = 0, 1, 2, 4


_event = m.decoder(m.Event)


@dataclass
class Done:
    """A run that is over, and its server."""

    summary: Summary
    world: World
    network: VirtualNetwork
    lines: list[dict[str, Any]]

    def events(self, kind: str) -> list[m.Event]:
        found: list[m.Event] = []
        while page := self.network.call("events", after=found[-1].id if found else 0, limit=1000)["events"]:
            found += [_event.decode(body) for body in page]
        return [one for one in found if one.type == kind]

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] in kinds]


def play(plan: Scenario, path: Path, duration_s: float, seed: int | None = None) -> Done:
    worlds: list[VirtualNetwork] = []
    world: list[World] = []

    def server_of(made: World) -> VirtualNetwork:
        world.append(made)
        worlds.append(VirtualNetwork(made))
        return worlds[0]

    with Recorder(path) as recorder:
        summary = virtual.run(plan, server_of, seed, duration_s=duration_s, recorder=recorder)
    return Done(summary, world[0], worlds[0], list(checker.read(path)))


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_runs_breaks_no_rule_and_comes_to_what_it_asserts(name: str, tmp_path: Path) -> None:
    share, duration_s = SHORT.get(name, (1.0, 3600.0))
    plan = scenario.scaled(scenario.load(name), share)
    done = play(plan, tmp_path / "run.jsonl", duration_s)
    with done.network:
        assert done.summary.uplinks > 0 and done.summary.push_ack > 0
        assert done.network.engine.counters["internal_errors"] == 0
        assert checker.check_air(done.lines) == [] and checker.check_transmitters(done.lines) == []
        virtual_events.settle(done.network)
        events = list(virtual_events.lines(done.network))
    judged = outcome.judge(tmp_path / "run.jsonl", plan.assertions, False, events)
    assert [f"{one.assertion}: {one.text}" for one in judged.verdicts if not one.holds] == []
    assert len(judged.verdicts) >= 2


class Dead:
    """A network that nobody listens in: no acknowledgement, no downlink."""

    def receive(self, gateway_eui: int, pull: bool, datagram: bytes, now_us: int) -> None:
        pass

    def timer(self) -> int | None:
        return None

    def handle_timer(self, now_us: int) -> None:
        pass

    def next_datagram(self) -> tuple[int, bytes] | None:
        return None

    def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        pass


class Mute(Dead):
    """A network that acknowledges all that gateways bring, and says nothing to devices."""

    def __init__(self) -> None:
        self._acks: deque[tuple[int, bytes]] = deque()

    def receive(self, gateway_eui: int, pull: bool, datagram: bytes, now_us: int) -> None:
        if datagram[3] in (PUSH_DATA, PULL_DATA):
            answer = PUSH_ACK if datagram[3] == PUSH_DATA else PULL_ACK
            self._acks.append((gateway_eui, datagram[:3] + bytes([answer])))

    def next_datagram(self) -> tuple[int, bytes] | None:
        return self._acks.popleft() if self._acks else None


@pytest.mark.parametrize("broken", [Dead, Mute])
@pytest.mark.parametrize("name", scenario.names())
def test_what_a_scenario_asserts_does_not_hold_in_a_broken_network(
    name: str, broken: Callable[[], Dead], tmp_path: Path
) -> None:
    share, duration_s = SHORT.get(name, (1.0, 3600.0))
    plan = scenario.scaled(scenario.load(name), share)
    with Recorder(tmp_path / "run.jsonl") as recorder:
        virtual.run(plan, lambda _: broken(), duration_s=min(duration_s, 900.0), recorder=recorder)
    judged = outcome.judge(tmp_path / "run.jsonl", plan.assertions, False, [])
    assert [one for one in judged.verdicts if not one.holds]


def test_every_scenario_tells_what_it_is() -> None:
    for name, title in scenario.titles().items():
        assert title, name


# ------------------------------------------------------------------------------------------------------- theory


def test_pure_aloha_agrees_with_theory_over_ten_seeds(tmp_path: Path) -> None:
    """Poisson arrivals of equal frames on two channels: e^(-2 G), within 2 % absolute."""
    plan = scenario.load("aloha")
    shares = []
    for seed in range(10):
        world = virtual.world_of(plan, seed)
        world.start(world.start_us)
        world.handle_timer(world.start_us + 180_000_000)
        summary = world.snapshot()
        shares.append(1 - summary.unheard / summary.uplinks)
    group = plan.devices[0]
    load = group.count / group.interval_s * 0.061696 / 2
    assert mean(shares) == pytest.approx(math.exp(-2 * load), abs=0.02)


# ------------------------------------------------------------------------------------------------ reproducible


@pytest.mark.parametrize("name", ["replay", "bad_radio"])
def test_one_seed_is_one_run_byte_for_byte(name: str, tmp_path: Path) -> None:
    plan = scenario.load(name)
    runs = []
    for number, seed in enumerate((5, 5, 6)):
        with play(scenario.load(name), tmp_path / f"{number}.jsonl", 900.0, seed).network:
            runs.append((tmp_path / f"{number}.jsonl").read_bytes())
    assert runs[0] == runs[1] != runs[2]
    assert plan.seed not in (5, 6)


def test_virtual_time_is_faster_than_time(tmp_path: Path) -> None:
    begin = time.process_time()
    with play(scenario.scaled(scenario.load("load_year"), 0.005), tmp_path / "r.jsonl", 5 * 86_400.0).network:
        assert time.process_time() - begin < 5 * 86_400 / 1000


# --------------------------------------------------------------------------------------------- what they show


def test_replayed_frames_become_no_second_event(tmp_path: Path) -> None:
    done = play(scenario.load("replay"), tmp_path / "r.jsonl", 2700.0)
    with done.network:
        assert len(done.of("replayed")) >= 150
        frames = Counter((one.dev_eui, one.f_cnt) for one in done.events("up"))
        assert max(frames.values()) == 1
        assert done.summary.joined == done.summary.devices
        assert len(done.of("joined")) == done.summary.devices  # nobody had to join again


def test_a_rogue_gateway_is_not_served(tmp_path: Path) -> None:
    done = play(scenario.load("rogue_gateway"), tmp_path / "r.jsonl", 2700.0)
    with done.network:
        rogue = "badc0ffee0ddf00d"
        assert [line for line in done.of("push_data") if line["gateway"] == rogue and line["phys"]]
        assert not [line for line in done.of("push_ack", "pull_ack", "pull_resp", "on_air") if line["gateway"] == rogue]
        assert rogue in [one.gateway_eui for one in done.network.call("gateways_unknown").items]
        counts = Counter((one.dev_eui, one.f_cnt) for one in done.events("up"))
        assert max(counts.values()) == 1


def test_faulty_firmware_is_told_apart(tmp_path: Path) -> None:
    done = play(scenario.load("firmware_reset"), tmp_path / "r.jsonl", 5 * HOUR_S)
    with done.network:
        group = {line["dev_eui"]: line["group"] for line in done.of("device")}
        resets = [
            line for line in done.of("uplink") if group[line["dev_eui"]] == "counter_resets" and line["f_cnt"] == 0
        ]
        assert len(resets) >= 8  # each of four began at least twice
        refused = {one.dev_eui for one in done.events("up") if group.get(one.dev_eui) == "sound"}
        assert len(refused) == 10
        nonces = {
            (line["dev_eui"], line["dev_nonce"])
            for line in done.of("join_request")
            if group[line["dev_eui"]] == "same_nonce"
        }
        assert len(nonces) == 4
        later = {line["dev_eui"] for line in done.of("join_unanswered") if group[line["dev_eui"]] == "same_nonce"}
        assert len(later) == 4  # a DevNonce that was used is not answered again
        missed = [
            line
            for line in done.of("downlink_missed")
            if group[line["dev_eui"]] == "wrong_rx2" and "RX2" in line["why"]
        ]
        assert all("869525000" in line["why"] for line in missed)
        assert {group[line["dev_eui"]] for line in done.of("battery_empty")} == {"old_battery"}


def test_gateways_come_and_go(tmp_path: Path) -> None:
    done = play(scenario.scaled(scenario.load("gateway_outage"), 0.5), tmp_path / "r.jsonl", 27_000.0)
    with done.network:
        off = "0016c001ff1e6302"
        begin = done.world.start_us
        silent = [
            one for one in done.of("push_data") if one["gateway"] == off and 7300 < (one["t"] - begin) / 1e6 < 14_300
        ]
        back = [one for one in done.of("push_data") if one["gateway"] == off and (one["t"] - begin) / 1e6 > 14_500]
        assert not silent and back
        assert done.of("backhaul_loss") and done.summary.tx_ack["TOO_LATE"] >= 20
        outcomes = [line["acked"] for line in done.of("uplink_done")]
        assert mean(outcomes) > 0.99  # confirmed frames were repeated until they got through


def test_a_riding_device_changes_its_gateway(tmp_path: Path) -> None:
    done = play(scenario.load("roaming"), tmp_path / "r.jsonl", 6000.0)
    with done.network:
        group = {line["dev_eui"]: line["group"] for line in done.of("device")}
        assert len({line["gateway"] for line in done.of("on_air") if _asked_by(done, line, group) == "riding"}) >= 3
        acked = [line["acked"] for line in done.of("uplink_done") if group[line["dev_eui"]] == "riding"]
        assert mean(acked) > 0.9


def _asked_by(done: Done, line: dict[str, Any], group: dict[str, str]) -> str:
    """The group of the device that a downlink is for."""
    dev_addr = bytes.fromhex(line["phy"])[4:0:-1].hex()
    owners = {one["dev_addr"]: group[one["dev_eui"]] for one in done.of("joined")}
    return owners.get(dev_addr, "")


def test_power_returns_and_joins_keep_to_their_airtime(tmp_path: Path) -> None:
    """1 % of the first hour: 36 s of join-requests at most from each (TS001-1.0.4 §7)."""
    done = play(scenario.scaled(scenario.load("power_returns"), 0.005), tmp_path / "r.jsonl", 2 * HOUR_S)
    with done.network:
        assert done.summary.joined == 50
        airtime: Counter[str] = Counter()
        for line in done.of("transmit"):
            if line["phy"].startswith("00") and line["t"] < done.world.start_us + 3_600_000_000:
                airtime[line["dev_eui"]] += line["airtime_us"]
        assert len(airtime) == 50 and max(airtime.values()) <= 36_000_000


# ------------------------------------------------------------------------------------------- the command line


def test_simulate_lists_and_runs_in_virtual_time() -> None:
    def run_cli(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.stdout

    listed = run_cli("simulate", "--list")
    assert set(scenario.names()) <= {line.split("\t")[0] for line in listed.splitlines()}
    said = run_cli("simulate", "aloha", "--virtual", "--duration", "20", "--scale", "0.1", "--json")
    assert '"uplinks"' in said


def test_simulate_takes_events_in_real_time(tmp_path: Path) -> None:
    plan, kept = tmp_path / "plan.toml", tmp_path / "events.jsonl"
    plan.write_text(
        'name = "short"\n[[gateways]]\neui = "0016c001ff1e5a01"\n[[devices]]\n'
        '[[assert]]\nthat = "foreign_events == 0"\n',
        encoding="utf-8",
    )
    stranger = '{"t": 1, "type": "event", "event": "up", "dev_eui": "01", "f_cnt": 1, "f_port": 1}\n'

    def run(*words: str) -> tuple[int, str]:
        words = ("simulate", str(plan), "--server", "127.0.0.1:9", "--duration", "0.3", "--settle", "0", *words)
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.output

    code, said = run()
    assert code == 1 and "no events: give --sink or --events" in said
    kept.write_text(stranger, encoding="utf-8")
    assert run("--events", str(kept))[0] == 1
    assert run("--events", str(kept), "--sink", "http://127.0.0.1:0/")[0] == 0  # of this run alone
    assert run("--sink", "http://127.0.0.1:0/")[0] == 0
    assert run("--sink", "nowhere")[0] == 1
    assert run("--sink", "http://127.0.0.1:0/", "--virtual")[0] == 2

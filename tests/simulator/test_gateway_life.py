"""What a scenario plans for its gateways, in counted time: outages, restarts, refusals; and what a recording hides."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from lorasim import scenario
from lorasim.backhaul import Backhaul, BackhaulOutage, Way
from lorasim.recording import Recorder
from lorasim.world import Dialling, World

from tests.simulator.conftest import T0, Lab, MakeLab

FIRST, SECOND = "0016c001ff1e5a01", "0016c001ff1e5a02"
OUTAGE = "[[gateways.outages]]\nat_s = 60\nfor_s = 60\nbuffered = {buffered}"


def within(lab: Lab, kind: str, first_s: float, last_s: float, eui: str = FIRST) -> list[dict[str, Any]]:
    return [
        line
        for line in lab.lines(kind)
        if line["gateway"] == eui and T0 + first_s * 1e6 <= line["t"] < T0 + last_s * 1e6
    ]


def heard_in(lab: Lab, first_s: float, last_s: float) -> list[str]:
    """Frames that the first gateway has heard and wanted to hand over, in order."""
    return [phy for line in within(lab, "push_data", first_s, last_s) for phy in line["phys"]]


def arrived_from(lab: Lab, first_s: float) -> list[str]:
    """Frames that the server got of the first gateway after a moment, by what the gateway then had acknowledged."""
    tokens = {line["token"] for line in within(lab, "push_ack", first_s, 1e6)}
    return [
        p
        for line in lab.lines("push_data")
        if line["gateway"] == FIRST and line["token"] in tokens
        for p in line["phys"]
    ]


def test_an_outage_loses_what_is_heard_and_what_is_sent(make_lab: MakeLab) -> None:
    lab = make_lab(gateway=OUTAGE.format(buffered="false"))
    lab.run(200)
    assert heard_in(lab, 61, 119), "the radio goes on"
    assert not [kind for kind in ("push_ack", "pull_ack", "pull_resp") if within(lab, kind, 61, 119)]
    assert within(lab, "backhaul_loss", 60, 120) and not within(lab, "backhaul_loss", 121, 200)
    assert not set(heard_in(lab, 61, 119)) & set(arrived_from(lab, 120)), "lost for good"
    assert within(lab, "push_ack", 0, 60) and within(lab, "push_ack", 121, 200)
    assert within(lab, "push_ack", 61, 119, SECOND), "the other gateway has a way of its own"


def test_a_buffered_outage_hands_over_afterwards_in_order_with_the_counters_of_reception(make_lab: MakeLab) -> None:
    lab = make_lab(gateway=OUTAGE.format(buffered="true") + "\n[gateways.backhaul]\njitter_ms = 0\ndelay_ms = 20")
    lab.run(119)
    before = len(lab.network.pushed)
    kept = heard_in(lab, 60, 119)
    assert len(kept) >= 4 and not within(lab, "push_ack", 61, 119)
    lab.run(2)
    assert arrived_from(lab, 119) == kept
    gateway = lab.world.gateways[int(FIRST, 16)]
    ends = {line["phy"]: line["t"] + line["airtime_us"] for line in lab.lines("transmit")}
    late = [p for p in lab.network.pushed[before:] if base64.b64decode(p["data"]).hex() in kept]
    assert [base64.b64decode(p["data"]).hex() for p in late][: len(kept)] == kept
    for packet in late:
        assert packet["tmst"] == gateway.tmst(ends[base64.b64decode(packet["data"]).hex()])  # type: ignore[union-attr]


def test_a_way_in_an_outage() -> None:
    """From its first moment to the last; what waits leaves in order behind it."""
    way = Way(Backhaul(delay_ms=10, jitter_ms=0), random.Random(1), [BackhaulOutage(1.0, 2.0, True)], T0)
    assert way.datagram(T0 + 999_999, True) == [T0 + 1_009_999]
    assert way.datagram(T0 + 1_000_000) == [] and way.lost == 1
    arrivals = [way.datagram(T0 + at, True)[0] for at in (1_000_000, 2_000_000, 2_999_999)]
    assert arrivals == [T0 + 3_015_000, T0 + 3_020_000, T0 + 3_025_000] and way.buffered == 3
    assert way.datagram(T0 + 3_000_000) == [T0 + 3_010_000]
    assert way.message(T0 + 2_000_000, "up") == T0 + 3_010_000


def test_restarts_begin_the_counter_anew(make_lab: MakeLab) -> None:
    lab = make_lab(gateway="restarts_s = [50, 100]\ntmst_offset_us = 7000000")
    lab.run(49)
    gateway = lab.world.gateways[int(FIRST, 16)]
    assert gateway.tmst(lab.now) == 7_000_000 + 49_000_000  # type: ignore[union-attr]
    lab.run(2)
    assert gateway.tmst(lab.now) == 7_000_000 + 1_000_000  # type: ignore[union-attr]
    lab.run(60)
    assert [line["t"] for line in lab.lines("gateway_restart")] == [T0 + 50_000_000, T0 + 100_000_000]
    assert within(lab, "pull_data", 100, 100.1) and within(lab, "push_ack", 101, 111)
    assert not [line for line in lab.lines("gateway_restart") if line["gateway"] == SECOND]


@pytest.mark.parametrize("shares", [{"COLLISION_PACKET": 1.0}, {"TOO_LATE": 0.2, "COLLISION_BEACON": 0.3}])
def test_refusals_come_in_their_shares(make_lab: MakeLab, shares: dict[str, float]) -> None:
    """Each is a share of all downlinks, whatever stands beside it."""
    table = ", ".join(f"{name} = {share}" for name, share in shares.items())
    both = f"tx_ack_errors = {{ {table} }}"
    lab = make_lab(gateway=both, device="confirmed = false", interval_s=10)
    gateway = lab.world.gateways[int(FIRST, 16)]
    counted = refusals(gateway, 4000)
    for name, share in shares.items():
        assert counted.get(name, 0) / 4000 == pytest.approx(share, abs=0.03)
    assert counted.get("NONE", 0) / 4000 == pytest.approx(1 - sum(shares.values()), abs=0.03)


def refusals(gateway: Any, number: int) -> dict[str, int]:
    """Outcomes of so many sound requests to send at once, each in a gap of its own."""
    body = {"imme": True, "freq": 869.1, "datr": "SF7BW125", "powe": 14, "modu": "LORA", "codr": "4/5", "ipol": True}
    datagram = b"\x02\0\0\x03" + json.dumps({"txpk": body | {"size": 4, "data": "AAAAAA=="}}).encode()
    counted: dict[str, int] = {}
    for n in range(number):
        now = T0 + n * 2_000_000
        gateway.receive(datagram, now)
        gateway.handle_timer(now + 1_999_999)
        while (effect := gateway.next_effect()) is not None:
            if getattr(effect, "kind", "") == "tx_ack":
                outcome = effect.fields["outcome"]["error"]
                counted[outcome] = counted.get(outcome, 0) + 1
    return counted


def test_a_stations_token_does_not_stand_in_the_recording(tmp_path: Path) -> None:
    text = f'''name = "secret"
[[gateways]]
eui = "{FIRST}"
kind = "station"
[gateways.station]
url = "ws://127.0.0.1:1"
token = "Authorization: Bearer hush-hush"
'''
    path = tmp_path / "run.jsonl"
    plan = scenario.parse(text)
    with Recorder(path) as recorder:
        world = World(plan, T0, recorder=recorder)
        world.start(T0)
    said = path.read_text("utf-8")
    assert "hush" not in said and json.loads(said.splitlines()[0])["plan"]["gateways"][0]["station"]["token"] == "***"
    assert plan.gateways[0].station.token == "Authorization: Bearer hush-hush", "the run itself needs it"


@pytest.mark.parametrize(("buffered", "broken"), [(False, True), (True, False)])
def test_an_outage_breaks_a_stations_connection_unless_it_buffers(buffered: bool, broken: bool) -> None:
    text = f'''name = "station"
[[gateways]]
eui = "{FIRST}"
kind = "station"
[gateways.station]
url = "ws://lns:8887"
reconnect_s = 5
[[gateways.outages]]
at_s = 60
for_s = 60
buffered = {str(buffered).lower()}
'''
    world = World(scenario.parse(text), T0)
    world.start(T0)
    eui = int(FIRST, 16)
    dialled: list[float] = []
    hung_up: list[float] = []

    def until(end_us: int) -> None:
        while (due := world.timer()) is not None and due <= end_us:
            world.handle_timer(due)
            collect(due)

    def collect(now: int) -> None:
        while (one := world.next_datagram()) is not None:
            if isinstance(one, Dialling):
                (dialled if one.uri else hung_up).append((now - T0) / 1e6)

    collect(T0)
    world.connected(eui, T0 + 1_000_000)
    until(T0 + 59_000_000)
    assert dialled == [0.0] and not hung_up
    until(T0 + 200_000_000)
    assert ([at for at in hung_up if at == 60.0] != []) == broken
    again = [at for at in dialled if at > 0]
    assert (again != []) == broken and all(at >= 120 for at in again), "nobody can be reached before the end"

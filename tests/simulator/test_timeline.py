"""Events of a scenario's timeline: that they happen, when, to whom, and that they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lorasim import checker, scenario, timeline, virtual
from lorasim.recording import Recorder
from lorasim.world import World

from appserver.codecs import registry
from meterwan.virtual import VirtualNetwork

LAB = """
name = "timeline"
[radio]
snr_db = 10
spread_db = 1
[[gateways]]
eui = "0016c001ff1e5a01"
[[gateways]]
eui = "0016c001ff1e5a02"
[[devices]]
name = "one"
count = 6
interval_s = 60
join_spread_s = 20
[[devices]]
name = "other"
count = 6
dev_eui = "70b3d5fffe100001"
mac_version = "1.1"
interval_s = 60
join_spread_s = 20
"""

Play = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run the lab with an event and return the recording, with ``s`` the seconds since the start on each line."""

    def play(event: str, seconds: float = 900.0, text: str = LAB) -> list[dict[str, Any]]:
        nets: list[VirtualNetwork] = []
        begin: list[int] = []

        def server_of(world: World) -> VirtualNetwork:
            begin.append(world.start_us)
            nets.append(VirtualNetwork(world))
            return nets[0]

        plan = scenario.parse(text + "[[events]]\n" + event)
        with Recorder(tmp_path / "r.jsonl") as recorder:
            virtual.run(plan, server_of, duration_s=seconds, recorder=recorder)
        nets[0].close()
        return [line | {"s": (line["t"] - begin[0]) / 1e6} for line in checker.read(tmp_path / "r.jsonl")]

    return play


def kinds(lines: list[dict[str, Any]], kind: str, begin_s: float = 0, end_s: float = 1e9) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == kind and begin_s <= line["s"] < end_s]


@pytest.mark.parametrize(
    ("keep", "rejoins", "counters"), [("session", 0, False), ("keys", 0, True), ("nothing", 6, True)]
)
def test_restart_keeps_what_it_says(play: Play, keep: str, rejoins: int, counters: bool) -> None:
    lines = play(f'at_s = 400\ndo = "restart"\ngroup = "one"\nkeep = "{keep}"')
    assert len(kinds(lines, "restart")) == 6
    assert len(kinds(lines, "joined", 400)) == rejoins
    begun = {line["dev_eui"] for line in kinds(lines, "uplink", 400) if line["f_cnt"] == 0}
    assert len(begun) == (6 if counters else 0)


def test_power_off_and_on(play: Play) -> None:
    lines = play('at_s = 300\ndo = "power_off"\ngroup = "one"\nfor_s = 300\nkeep = "session"')
    quiet = {line["dev_eui"] for line in kinds(lines, "uplink", 301, 599)}
    back = {line["dev_eui"] for line in kinds(lines, "uplink", 601)}
    assert len(quiet) == 6 and len(back) == 12


def test_who_is_switched_off_comes_back_and_nobody_else(play: Play) -> None:
    lines = play('at_s = 300\ndo = "power_off"\nshare = 0.5\nspread_s = 100\nfor_s = 200\nkeep = "nothing"')
    back = {line["dev_eui"]: line["s"] for line in kinds(lines, "restart")}
    assert 1 <= len(back) < 12 and all(500 <= s < 600 for s in back.values())
    for dev_eui, s in back.items():
        mine = [line["s"] for line in kinds(lines, "uplink") if line["dev_eui"] == dev_eui]
        assert not [at_s for at_s in mine if s - 199 < at_s < s] and max(mine) > s
    others = {line["dev_eui"] for line in kinds(lines, "uplink")} - set(back)
    assert {line["dev_eui"] for line in kinds(lines, "uplink", 780)} >= others


def test_a_share_and_a_spread(play: Play) -> None:
    lines = play('at_s = 300\ndo = "restart"\nshare = 0.5\nspread_s = 100')
    moments = [line["s"] for line in kinds(lines, "restart")]
    assert 1 <= len(moments) < 12 and all(300 <= s < 400 for s in moments) and len(set(moments)) == len(moments)


def test_named_devices_and_repetition(play: Play) -> None:
    lines = play('at_s = 200\ndo = "restart"\ndevices = ["70b3d5fffe000002"]\nevery_s = 200')
    restarts = [(line["dev_eui"], round(line["s"])) for line in kinds(lines, "restart")]
    assert restarts == [("70b3d5fffe000002", s) for s in (200, 400, 600, 800)]


def test_rejoin(play: Play) -> None:
    lines = play('at_s = 300\ndo = "rejoin"\ngroup = "other"\nspread_s = 120')
    assert len(kinds(lines, "rejoin_request")) >= 6 and len(kinds(lines, "joined", 300)) == 6


def test_devices_of_1_0_know_no_rejoin(play: Play) -> None:
    """The event is for all devices, whatever they speak: they go on as before."""
    lines = play('at_s = 300\ndo = "rejoin"\ngroup = "one"')
    assert not kinds(lines, "rejoin_request")
    assert len({line["dev_eui"] for line in kinds(lines, "uplink", 600)}) == 12


@pytest.mark.parametrize("what", ["restart", "power_off", "rejoin"])
def test_who_was_not_switched_on_yet_is_left_alone(play: Play, what: str) -> None:
    text = LAB.replace("join_spread_s = 20", "join_spread_s = 600")
    lines = play(f'at_s = 300\ndo = "{what}"\nfor_s = 100\nkeep = "nothing"', 1200.0, text)
    assert checker.check_air(lines) == []  # it knows the devices by their lines
    born = [line["s"] for line in kinds(lines, "device")]
    assert len(born) == 12 and 0 < sum(s > 300 for s in born) < 12
    if what != "rejoin":
        assert len(kinds(lines, "restart")) == sum(s < 300 for s in born)


def test_radio_is_bad_for_a_while(play: Play) -> None:
    lines = play('at_s = 300\ndo = "radio"\nloss = 1.0\nfor_s = 200')
    why = [(line["s"], set(line["why"].values())) for line in kinds(lines, "unheard")]
    assert [s for s, reasons in why if reasons == {"loss"} and 300 <= s < 500]
    assert not [s for s, reasons in why if "loss" in reasons and not 300 <= s < 500]
    assert not [one for one in kinds(lines, "push_data", 301, 499) if one["phys"]]


def test_backhaul_is_bad_for_a_while(play: Play) -> None:
    lines = play('at_s = 300\ndo = "backhaul"\ngateway = "0016c001ff1e5a01"\nloss = 1.0\nfor_s = 200')
    lost = kinds(lines, "backhaul_loss")
    assert lost and {one["gateway"] for one in lost} == {"0016c001ff1e5a01"}
    assert all(300 <= one["s"] < 500 for one in lost)


def test_a_gateway_restarts_and_one_is_off(play: Play) -> None:
    lines = play('at_s = 300\ndo = "gateway_restart"\ngateway = "0016c001ff1e5a02"')
    assert [round(one["s"]) for one in kinds(lines, "gateway_restart")] == [300]
    lines = play('at_s = 300\ndo = "gateway_off"\ngateway = "0016c001ff1e5a02"\nfor_s = 200')
    mine = [one["s"] for one in kinds(lines, "pull_data") if one["gateway"] == "0016c001ff1e5a02"]
    assert not [s for s in mine if 301 < s < 499] and [s for s in mine if s > 501]


def test_downlinks_are_refused(play: Play) -> None:
    lines = play('at_s = 1\ndo = "refuse"\nerror = "COLLISION_PACKET"\ncount = 2')
    outcomes = [line["outcome"].get("error") for line in kinds(lines, "tx_ack")]
    assert outcomes.count("COLLISION_PACKET") == 4  # two of each gateway


def test_every_event_of_a_gateway_may_meet_a_basics_station() -> None:
    kinds_of_gateways = ("gateway_restart", "gateway_off", "refuse", "backhaul", "replay", "forge_joins", "move")
    events = "".join(
        f'[[events]]\nat_s = {60 + n}\ndo = "{kind}"\nfor_s = 5\n' for n, kind in enumerate(kinds_of_gateways)
    )
    station = 'kind = "station"\nstation = { url = "ws://127.0.0.1:1" }\n[[gateways]]\neui = "0016c001ff1e5a02"'
    text = LAB.replace('[[gateways]]\neui = "0016c001ff1e5a02"', station)
    happened: list[str] = []
    world = virtual.world_of(scenario.parse(text + events))
    world.recorder.observers.append(lambda t, kind, fields: happened.append(fields["do"]) if kind == "event" else None)
    world.start(world.start_us)
    while (due := world.timer()) is not None and due < world.start_us + 90_000_000:
        world.handle_timer(due)
    assert happened == list(kinds_of_gateways)


def test_forged_joins_change_nothing(play: Play) -> None:
    lines = play('at_s = 300\ndo = "forge_joins"\ncount = 12\nevery_s = 60')
    assert not kinds(lines, "joined", 300)
    assert len({line["dev_eui"] for line in kinds(lines, "uplink", 700)}) == 12


def test_an_archive_query_goes_all_the_way(play: Play) -> None:
    """Application → server → gateway → air → module → meter, and its answer back, in the application's codec."""
    codec = registry.CODECS["karat"]
    assert codec.encode is not None
    query = {"command": "archive_query", "protocol": "2.0", "archive": "hour_integral", "time": "2026-01-12T03:00:00"}
    f_port, data = codec.encode(query)
    text = LAB.split("[[devices]]")[0] + (
        '[[meters]]\ncount = 3\nevery_h = 0.5\njoin_spread_s = 60\npayload = "karat-926-v20"\nduty_cycle = false\n'
    )
    lines = play(f'at_s = 14400\ndo = "downlink"\nf_port = {f_port}\ndata = "{data.hex()}"', 20_000.0, text)
    answers = [line for line in kinds(lines, "uplink", 14_400) if line["data"][4:6] == "0e"]
    assert len({line["dev_eui"] for line in answers}) == 3
    got = codec.decode(5, bytes.fromhex(answers[0]["data"]), answers[0]["t"])
    assert str(got.measurements[0].at) == "2026-01-12 03:00:00"
    assert got.measurements[0].value == pytest.approx(answers[0]["tag"]["units"] / 10_000)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ('at_s = 1\ndo = "explode"', "events.0.do: 'explode' is none of restart"),
        ('at_s = 1\ndo = "restart"\nkeep = "half"', "events.0.keep: 'half' is none of session"),
        ('at_s = -1\ndo = "restart"', "events.0.at_s"),
        ('do = "restart"', "events.0.at_s: missing"),
        ('at_s = 1\ndo = "downlink"\ndata = "xyz"', "events.0"),
    ],
)
def test_impossible_events(event: str, complaint: str) -> None:
    with pytest.raises(scenario.ScenarioError, match=complaint):
        scenario.parse(LAB + "[[events]]\n" + event)


def test_every_kind_is_played_here() -> None:
    played = Path(__file__).read_text(encoding="utf-8") + "".join(
        entry.read_text(encoding="utf-8")
        for entry in Path(scenario.__file__).parent.joinpath("scenarios").glob("*.toml")
    )
    assert [kind for kind in timeline.KINDS if f'do = "{kind}"' not in played] == []

"""Assertions of a scenario: how they are written, what they measure, and how a build server learns of them."""

from __future__ import annotations

import json
import time
from typing import Any
from xml.etree import ElementTree

import pytest
from lorasim import assertions, junit, scenario
from lorasim.assertions import Assertion
from lorasim.checker import Violation
from lorasim.course import Course, follow
from lorasim.energy import transmit_mj
from lorasim.metrics import METRICS, percentile

from tests.simulator.conftest import T0, Lab, MakeLab

HEAD = 'name = "x"\n[[gateways]]\neui = "0016c001ff1e5a01"\n[[devices]]\nname = "meters"\n'


def course_of(lab: Lab, events: list[dict[str, Any]] | None = None) -> Course:
    return follow(lab.lines(), events)


def value(course: Course, that: str, **more: Any) -> float | None:
    [verdict] = assertions.judge([Assertion(that, **more)], course)
    return verdict.value


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('that = "delivry >= 0.9"', "there is no metric 'delivry': did you mean delivery"),
        ('that = "join.p95_s <= 60"', "did you mean joins.p95_s"),
        ('that = "rain == 0"', "there is no metric 'rain': "),
        ('that = "delivery => 0.9"', "a comparison (>= <= == != > <)"),
        ('that = "delivery >= much"', "such as 'delivery >= 0.98'"),
        ('that = "delivery >= 1"\nuntil_s = 5\nfrom_s = 6', "until_s = 5 is not after from_s = 6"),
        ('that = "tx_ack.refused == 0"\nof = "meters"', "is not of devices: leave out of"),
        ('that = "joins.share == 1"\nuntil_s = 5', "joins.share is of the whole run: leave out from_s and until_s"),
        ('that = "uplinks > 1"\nuntil = 5', "assert.0.until: unknown key; known are that, of, from_s, until_s, note"),
        ('of = "meters"', "assert.0.that: missing"),
    ],
)
def test_what_cannot_be_understood_is_named(table: str, complaint: str) -> None:
    with pytest.raises(scenario.ScenarioError) as error:
        scenario.parse(HEAD + "[[assert]]\n" + table)
    assert complaint in str(error.value)


def test_a_group_that_the_scenario_does_not_have() -> None:
    asked = [Assertion("delivery > 0", of="meter"), Assertion("delivery > 0", of="70b3d5fffe000001")]
    [complaint] = assertions.unknown_groups(asked, ["meters"])
    assert complaint == "'delivery > 0' is of 'meter', which the scenario does not have: did you mean 'meters'?"


def test_values_are_those_of_the_recording(make_lab: MakeLab) -> None:
    lab = make_lab('name = "meters"\ncount = 3\nconfirmed = true\nmac_version = "1.0.4"', interval_s=10)
    lab.run(65)
    course, lines = course_of(lab), lab.lines()
    ups = [line for line in lines if line["type"] == "uplink"]
    frames = {(line["dev_eui"], line["dev_addr"], line["f_cnt"]) for line in ups}
    assert value(course, "uplinks > 0") == len(frames) > 10
    assert value(course, "transmissions > 0") == len(ups)
    assert value(course, "delivery > 0") == value(course, "delivery.radio > 0") == 1.0
    assert value(course, "joins == 3") == 3 and value(course, "joins.share == 1") == 1.0
    assert value(course, "confirmed.acked == 1") == 1.0
    joined = {line["dev_eui"]: line["t"] for line in lines if line["type"] == "joined"}
    asked = {line["dev_eui"]: line["t"] for line in reversed(lines) if line["type"] == "join_request"}
    took = sorted((joined[eui] - asked[eui]) / 1e6 for eui in joined)
    assert value(course, "joins.max_s < 60") == took[-1] > 5.0
    on_air = [line for line in lines if line["type"] == "on_air"]
    assert value(course, "downlinks > 0") == len(on_air)
    assert value(course, "downlinks.heard > 0") == sum(line["type"] in ("downlink", "joined") for line in lines)
    assert value(course, "downlinks.missed == 0") == 0
    sent = [line for line in lines if line["type"] == "transmit"]
    busiest = max(sum(one["airtime_us"] for one in sent if one["dev_eui"] == eui) for eui in joined)
    assert value(course, "airtime.device_max < 1") == pytest.approx(busiest / 1e6 / course.duration_s)
    assert value(course, "sf.mean == 7") == 7.0


def test_a_part_of_the_devices_and_of_the_time(make_lab: MakeLab) -> None:
    lab = make_lab(
        'name = "a"\n[[devices]]\nname = "b"\ndev_eui = "70b3d5fffe0000b1"\ninterval_s = 5\njoin_spread_s = 0.1',
        interval_s=20,
    )
    lab.run(100)
    course = course_of(lab)
    a, b = (value(course, "uplinks > 0", of=name) for name in "ab")
    assert a is not None and b is not None and 3 < a < 7 < 15 < b
    assert value(course, "uplinks > 0") == a + b
    assert value(course, "uplinks > 0", of="70b3d5fffe0000b1") == b
    early, late = value(course, "uplinks > 0", until_s=50), value(course, "uplinks > 0", from_s=50)
    assert early is not None and late is not None and early + late == a + b and early < late


def test_what_was_not_heard_is_not_delivered(make_lab: MakeLab) -> None:
    lab = make_lab("count = 2", interval_s=5)
    lab.run(30)
    before = course_of(lab)
    for gateway in lab.world.gateways.values():
        gateway.stop()
    lab.run(30)
    course = course_of(lab)
    frames, heard = len(course.frames), len(before.frames)
    assert value(course, "delivery < 1") == pytest.approx(heard / frames, abs=2.5 / frames)
    [bad, good] = assertions.judge([Assertion("delivery >= 98 %"), Assertion("delivery >= 98%", until_s=28)], course)
    assert (bad.holds, good.holds) == (False, True) and good.text == "100.00 %"


def test_the_application_is_told_of_all(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(40)
    events = [
        {"t": line["t"] + 300_000, "type": "event", "event": "up", "dev_eui": line["dev_eui"]}
        | {"dev_addr": line["dev_addr"], "f_cnt": line["f_cnt"]}
        for line in lab.lines("uplink")
    ]
    assert value(course_of(lab, events), "lost_acknowledged == 0") == 0
    assert value(course_of(lab, events), "delivery.application == 1") == 1.0
    assert value(course_of(lab, events[1:]), "lost_acknowledged == 0") == 1
    assert value(course_of(lab, [*events, events[0]]), "duplicates == 0") == 1
    assert value(course_of(lab, [*events, events[0] | {"f_cnt": 999}]), "foreign_events == 0") == 1
    within = value(course_of(lab, events), "latency.application.p50_ms > 0")
    assert within is not None and 200 < within < 300
    [verdict] = assertions.judge([Assertion("lost_acknowledged == 0")], course_of(lab))
    assert not verdict.holds and verdict.text == "no events: give --sink or --events"


def test_nothing_to_measure_does_not_hold(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    [verdict] = assertions.judge([Assertion("delivery >= 0")], course_of(lab))
    assert not verdict.holds and verdict.text == "nothing to measure"


def test_every_metric_measures(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=5)
    lab.run(40)
    lines = lab.lines("uplink")
    events = [
        {"t": line["t"] + 1, "event": "up", "dev_eui": line["dev_eui"], "f_cnt": line["f_cnt"], "dev_addr": ""}
        for line in lines
    ]
    course = course_of(lab, events)
    missing = [name for name in METRICS if value(course, f"{name} >= 0") is None]
    assert missing == []


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentiles_are_values_that_occurred(share: float, wanted: float) -> None:
    assert percentile(range(100, 0, -1), share) == wanted
    assert percentile([], share) is None


def test_energy_of_a_transmission() -> None:
    assert transmit_mj(1_000_000, 14.0) == pytest.approx(3.3 * 44)
    assert transmit_mj(500_000, 15.0) == pytest.approx(3.3 * 85 / 2)
    assert transmit_mj(1_000_000, 30.0) == pytest.approx(3.3 * 85)


def test_junit(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(30)
    verdicts = assertions.judge(
        [Assertion("delivery == 1"), Assertion("joins == 7", note="seven <were> bought")], course_of(lab)
    )
    violations = [Violation("FCntDown reused", T0, "70b3", "with \x00 & <b>")]
    root = ElementTree.fromstring(junit.text("lab", 7, 30.0, verdicts, violations, {violations[0]: ["how it came"]}))
    [suite] = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("name")) == ("3", "2", "lab")
    cases = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert cases["delivery == 1"] is None
    fault = cases["joins == 7"]
    assert fault is not None and fault.get("message") == "joins == 7: 1" and "seven <were> bought" in (fault.text or "")
    broken = cases["no invariant is broken"]
    assert broken is not None and "FCntDown reused: 70b3 with \ufffd & <b>" in (broken.text or "")
    assert "seed 7" in (broken.text or "") and "how it came" in (broken.text or "")
    [seed] = suite.iter("property")
    assert (seed.get("name"), seed.get("value")) == ("seed", "7")


def test_a_long_recording_is_followed_quickly() -> None:
    """Twenty thousand frames of five hundred devices: no step looks through all of them."""
    lines: list[dict[str, Any]] = [{"t": 0, "type": "run", "scenario": "x", "seed": 1}]
    lines += [
        {"t": 0, "type": "device", "dev_eui": f"{d:016x}", "mac_version": "1.0.3", "dev_addr": f"{d:08x}"}
        for d in range(500)
    ]
    for n in range(20_000):
        eui, f_cnt = f"{n % 500:016x}", n // 500
        head = {"t": n * 1000, "dev_eui": eui}
        phy = f"40{n % 500:08x}00{f_cnt:04x}{n:08x}"
        up = {"dev_addr": f"{n % 500:08x}", "f_cnt": f_cnt, "f_port": 1, "confirmed": True, "phy": phy}
        lines += [
            head | {"type": "uplink"} | up,
            head | {"type": "uplink_done", "f_cnt": f_cnt, "confirmed": True, "acked": True},
        ]
    began = time.process_time()
    course = follow(json.loads(json.dumps(lines)))
    assert len(course.frames) == 20_000 and all(frame.acked for frame in course.frames)
    assert time.process_time() - began < 5


def test_what_a_basics_station_has_streamed_is_delivered_but_promised_by_nobody(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(30)
    lines = [
        line | ({"front": "basicstation"} if line["type"] == "gateway" else {})
        for line in lab.lines()
        if line["type"] != "push_ack"
    ]
    course = follow(lines, [])
    assert value(course, "delivery == 1") == 1.0 and value(course, "delivery.application == 0") == 0.0
    assert value(course, "lost_acknowledged == 0") == 0
    assert value(follow([line for line in lab.lines() if line["type"] != "push_ack"]), "delivery == 0") == 0.0

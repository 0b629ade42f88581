"""INV-06: a reset of FCntUp is taken from ABP devices of such a profile only, never from a replay, and always told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lab import SECOND_US, Lab
from tests.support.node import Node

FAR = 70_000


@pytest.fixture
def node(lab: Lab) -> Node:
    """An ABP device that has counted far, its first frames long taken."""
    lab.gateway()
    node = lab.abp(profile=lab.profile(relaxed_f_cnt_reset=True), f_cnt_down=40)
    for f_cnt in (0, 1, 5):
        lab.uplink(node.up(b"first life", f_cnt=f_cnt))
        lab.advance(5 * SECOND_US)
    session = lab.session(node)
    session.f_cnt_up, session.window = FAR, 1
    lab.state.dirty(session)
    lab.pump()
    return node


def taken(lab: Lab) -> list[tuple[int, bytes]]:
    return [one for one in lab.ups() if one[1] != b"first life"]


@pytest.mark.parametrize("killed", [False, True])
def test_inv_06_a_replay_of_the_first_life_resets_nothing(lab: Lab, node: Node, killed: bool) -> None:
    if killed:
        lab.kill()
    for f_cnt in (0, 1, 5):
        lab.uplink(node.up(b"first life", f_cnt=f_cnt))
    lab.uplink(node.up(b"goes on", f_cnt=FAR))
    assert taken(lab) == [(FAR, b"goes on")]
    assert lab.events("log") == []


def test_inv_06_a_device_that_was_reset_is_heard_once_and_told(lab: Lab, node: Node) -> None:
    down = lab.session(node).n_f_cnt_down
    frames = [node.up(b"second life", f_cnt=f_cnt) for f_cnt in (2, 3, 4)]
    for phy in frames:
        lab.uplink(phy)
        lab.advance(5 * SECOND_US)
    lab.kill()
    for phy in frames:
        lab.uplink(phy)
    assert taken(lab) == [(2, b"second life"), (3, b"second life"), (4, b"second life")]
    (entry,) = lab.events("log")
    assert (entry.level, entry.code) == ("WARNING", "UPLINK_F_CNT_RESET") and "reset from 69999 to 2" in entry.text
    assert entry.context == {"audit": "device.f_cnt_reset"}
    assert "reset from 69999" in lab.rows("SELECT what FROM audit ORDER BY id DESC")[0][0]
    assert lab.session(node).n_f_cnt_down == down, "FCntDown is never reset"
    lab.uplink(node.up(b"first life", f_cnt=5))
    assert taken(lab)[-1] == (4, b"second life"), "a replay of the first life is none of the second"


def test_inv_06_whoever_resets_with_an_unheard_frame_strands_nobody(lab: Lab, node: Node) -> None:
    """A captured frame that never reached the server resets the counter; the device goes on where it was."""
    lab.uplink(node.up(b"captured", f_cnt=7))
    lab.kill()
    lab.uplink(node.up(b"goes on", f_cnt=FAR + 1))
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(b"and on", f_cnt=FAR + 2))
    assert taken(lab) == [(7, b"captured"), (FAR + 1, b"goes on"), (FAR + 2, b"and on")]
    assert "was a replay" in lab.events("log")[-1].text
    lab.uplink(node.up(b"captured", f_cnt=7))
    assert taken(lab)[-1] == (FAR + 2, b"and on"), "the same trick works once"


@pytest.mark.parametrize("killed", [False, True])
def test_inv_06_a_device_of_1_1_loses_no_frame_and_replays_none(tmp_path: Path, killed: bool) -> None:
    """Half of its MIC goes with the channel: the other 16 bits alone would take every hundredth new frame for an old one."""
    lab = Lab(tmp_path, gateways={"udp": {"datagrams_per_s": 0}})
    lab.gateway()
    node = lab.abp(mac_version="1.1.0", profile=lab.profile("1.1.0", relaxed_f_cnt_reset=True))
    first = [node.up(b"first") for _ in range(700)]
    for phy in first:
        lab.uplink(phy)
    assert len(lab.ups()) == 700
    if killed:
        lab.kill()
    node.f_cnt = 0
    second = [node.up(b"second") for _ in range(200)]
    lab.uplink(second[0])
    for phy in first[:300]:
        lab.uplink(phy)
    for phy in second[1:]:
        lab.uplink(phy)
    assert lab.ups()[700:] == [(f_cnt, b"second") for f_cnt in range(200)], "each once, and no replay between them"
    lab.close()


@pytest.mark.parametrize("count", [1, 6, 40, 127])
def test_inv_06_a_young_device_may_begin_anew_too(lab: Lab, count: int) -> None:
    """Its battery was changed before 128 frames were heard: the old counters are still in the window of late frames."""
    lab.gateway()
    node = lab.abp(profile=lab.profile(relaxed_f_cnt_reset=True))
    before = [node.up(b"before") for _ in range(count)]
    for phy in before:
        lab.uplink(phy)
    node.f_cnt = 0
    after = [node.up(b"after") for _ in range(3)]
    for phy in (*after, *before[:17], *after):
        lab.uplink(phy)
        lab.advance(5 * SECOND_US)
    assert [event.f_cnt for event in lab.events("up") if event.data == b"after"] == [0, 1, 2]
    assert len(lab.events("up")) == count + 3, "no replay among them"


@pytest.mark.parametrize("f_cnt", [17, 400])
def test_inv_06_only_low_counters_begin_anew(lab: Lab, node: Node, f_cnt: int) -> None:
    lab.uplink(node.up(b"no", f_cnt=f_cnt))
    assert taken(lab) == [] and lab.counters["mic_failed"] == 1


def test_inv_06_without_the_profile_nothing_is_reset(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(f_cnt_up=FAR)
    lab.uplink(node.up(b"reset", f_cnt=0))
    assert lab.ups() == [] and lab.events("log") == []
    assert lab.rows("SELECT count(*) FROM f_cnt_reset") == [(0,)]


def test_inv_06_the_beginnings_go_with_their_session(lab: Lab, node: Node) -> None:
    lab.uplink(node.up(b"second life", f_cnt=2))
    kept = "SELECT (SELECT count(*) FROM f_cnt_reset), (SELECT count(*) FROM taken_mic)"
    assert lab.rows(kept) == [(1, 4)]
    lab.call("session_delete", key=node.dev_eui)
    lab.kill()
    assert lab.rows(kept) == [(0, 0)] and lab.state.resets == {}


def test_inv_08_alarm_before_the_end_of_the_counter(lab: Lab) -> None:
    """2**20 frames before it: told once, also over a kill."""
    lab.gateway()
    near = 2**32 - 2**20
    node = lab.abp(mac_version="1.0.4", f_cnt_up=near - 1)
    for f_cnt in (near - 1, near, near + 1):
        lab.uplink(node.up(b"\x01", f_cnt=f_cnt))
        lab.advance(5 * SECOND_US)
    lab.kill()
    lab.uplink(node.up(b"\x01", f_cnt=near + 5))
    (entry,) = lab.events("log")
    assert entry.level == "WARNING" and "1048575 frames before its end" in entry.text

"""ADR: the recommended algorithm's decisions, and how the server asks, waits, believes and gives up."""

from __future__ import annotations

from pathlib import Path

import pytest

from internalapi.adr import AdrReason, in_english, pack, unpack
from lns.adr import ALGORITHMS, Current, Limits, Sample, chosen
from lns.adr.recommended import loss_of, nb_trans_for
from lns.api.errors import Refused
from lns.mac.link_adr import DECISIONS_KEPT, memory_of
from tests.support.lab import SECOND_US, Lab
from tests.support.node import Down, Node

LIMITS = Limits(max_dr=5, max_tx_power=7, required_snr_db=-20.0, margin_db=10.0)
recommended = ALGORITHMS["recommended"]


def samples(snr_db: float, count: int = 20, step: int = 1) -> list[Sample]:
    return [Sample(number * step, snr_db) for number in range(count)]


@pytest.mark.parametrize(
    ("snr_db", "dr", "tx_power", "expected"),
    [
        (-10.0, 0, 0, (0, 0)),  # 0 dB to spare
        (-7.1, 0, 0, (0, 0)),
        (-7.0, 0, 0, (1, 0)),
        (0.0, 0, 0, (3, 0)),
        (5.0, 0, 0, (5, 0)),
        (8.0, 0, 0, (5, 1)),
        (40.0, 0, 0, (5, 7)),
        (-13.0, 0, 2, (0, 1)),  # one step missing: more power
        (-40.0, 0, 2, (0, 0)),
        (-40.0, 4, 0, (4, 0)),  # never a lower data rate
    ],
)
def test_decisions_on_a_full_history(snr_db: float, dr: int, tx_power: int, expected: tuple[int, int]) -> None:
    decision = recommended(samples(snr_db), Current(dr, tx_power, 1), LIMITS)
    assert (decision.dr, decision.tx_power) == expected
    assert decision.changes is (expected != (dr, tx_power))
    assert decision.reason


def test_few_frames_decide_little() -> None:
    """The data rate may rise from the first frame on; less power and another NbTrans need twenty."""
    assert not recommended([], Current(0, 0, 1), LIMITS).changes
    for count in (1, 19):
        decision = recommended(samples(20.0, count, step=2), Current(0, 0, 1), LIMITS)
        assert decision[:3] == (5, 0, 1)
    assert recommended(samples(20.0, 20, step=2), Current(0, 0, 1), LIMITS)[:3] == (5, 5, 3)
    assert recommended(samples(-30.0, 5), Current(3, 4, 1), LIMITS).tx_power < 4


@pytest.mark.parametrize(
    ("loss", "now", "then"), [(0.0, 1, 1), (0.0, 3, 2), (0.07, 1, 1), (0.2, 1, 2), (0.5, 1, 3), (0.07, 3, 3)]
)
def test_repetitions_by_loss(loss: float, now: int, then: int) -> None:
    assert nb_trans_for(loss, now) == then


def test_loss_is_read_off_the_counters() -> None:
    assert loss_of(samples(0.0)) == 0.0
    assert loss_of(samples(0.0, 20, step=2)) == pytest.approx(1 - 20 / 39)
    assert loss_of([]) == loss_of(samples(0.0, 1)) == 0.0


def test_who_chooses() -> None:
    assert chosen("default", "default") == "default"
    assert chosen("off", "recommended") == "off"
    assert chosen("default", "off") == "off"
    assert not ALGORITHMS["off"](samples(20.0), Current(0, 0, 1), LIMITS).changes


# ------------------------------------------------------------------------------------------------ on the server


def strong_uplinks(lab: Lab, node: Node, count: int) -> list[Down]:
    """So many uplinks at DR0 with plenty of signal; the downlinks they got."""
    downs: list[Down] = []
    for _ in range(count):
        sent = lab.uplink(node.up(adr=True), datr="SF12BW125", lsnr=5.0)
        downs += [node.read(one.phy) for one in sent]
        lab.advance(5 * SECOND_US)
    return downs


def fast_uplinks(lab: Lab, node: Node, count: int) -> list[Down]:
    """The same at DR5, where only power is left to save, a minute apart."""
    downs: list[Down] = []
    for _ in range(count):
        downs += [node.read(one.phy) for one in lab.uplink(node.up(adr=True), datr="SF7BW125", lsnr=9.0)]
        lab.advance(60 * SECOND_US)
    return downs


@pytest.fixture
def node(lab: Lab) -> Node:
    lab.gateway()
    return lab.abp(profile=lab.profile("1.0.3", adr="recommended"))


def test_request_after_the_first_frame(lab: Lab, node: Node) -> None:
    (down,) = strong_uplinks(lab, node, 1)
    cid, dr_power, mask, redundancy = down.f_opts[0], down.f_opts[1], down.f_opts[2:4], down.f_opts[4]
    assert (cid, dr_power >> 4, dr_power & 15) == (0x03, 5, 0)
    assert (int.from_bytes(mask, "little"), redundancy) == (0b11, 1)
    assert "DR0→DR5" in lab.call("session", key=node.dev_eui).adr_reason
    assert strong_uplinks(lab, node, 3) == [], "it waits for the answer"


def test_accepted(lab: Lab, node: Node) -> None:
    strong_uplinks(lab, node, 1)
    assert lab.uplink(node.up(adr=True, f_opts=b"\x03\x07"), datr="SF7BW125", lsnr=3.0) == []
    session = lab.call("session", key=node.dev_eui)
    assert (session.dr, session.nb_trans) == (5, 1)
    for _ in range(3):
        assert lab.uplink(node.up(adr=True), datr="SF7BW125", lsnr=3.0) == [], "the history began anew"


def test_refusals_teach_and_end(lab: Lab, node: Node) -> None:
    """Data rate refused: the next request is for less; after three refusals it stays as it is."""
    asked = [strong_uplinks(lab, node, 1)[0].f_opts[1] >> 4]
    for _ in range(6):
        sent = lab.uplink(node.up(adr=True, f_opts=b"\x03\x05"), datr="SF12BW125", lsnr=5.0)
        asked += [node.read(one.phy).f_opts[1] >> 4 for one in sent]
        lab.advance(5 * SECOND_US)
    assert asked == [5, 4, 3]
    entries = [entry for entry in lab.events("log") if "refused" in entry.text]
    assert len(entries) == 3 and all("data rate refused" in entry.text for entry in entries)
    assert ["nothing is asked for 64 uplinks" in entry.text for entry in entries] == [False, False, True]


def test_lost_answers_end_too(lab: Lab, node: Node) -> None:
    downs = strong_uplinks(lab, node, 40)
    assert len(downs) == 3


def test_request_that_could_not_be_sent_is_no_refusal(lab: Lab, node: Node) -> None:
    """Without tmst there is no downlink: the device has refused nothing."""
    for _ in range(30):
        lab.uplink(node.up(adr=True), datr="SF12BW125", lsnr=5.0, tmst=None)
    assert lab.air == []
    lab.advance(600 * SECOND_US)
    assert strong_uplinks(lab, node, 2), "a settled device that sends often is looked at every ten minutes"


def test_without_the_adr_bit_nothing_is_asked(lab: Lab, node: Node) -> None:
    for _ in range(8):
        assert lab.uplink(node.up(), datr="SF12BW125", lsnr=5.0) == []


def test_inv_36_history_survives_a_restart(lab: Lab, node: Node) -> None:
    """At most the last frame is forgotten, for the row is written with the frame that follows."""
    assert fast_uplinks(lab, node, 19) == []
    lab.kill()
    assert len(fast_uplinks(lab, node, 2)) == 1, "the twentieth frame: less power will do"


def test_new_session_begins_anew(lab: Lab, node: Node) -> None:
    fast_uplinks(lab, node, 19)
    fresh = lab.abp(1, profile="quiet-1.0.3")
    assert fast_uplinks(lab, fresh, 19) == []
    assert len(fast_uplinks(lab, fresh, 2)) == 1


# ------------------------------------------------------------------------------- what is no fault of the device


def lost_of(lab: Lab, node: Node) -> int:
    """Frames that ADR counts as lost."""
    (device,) = lab.state.devices.values()
    assert device.session is not None
    samples = memory_of(device.session).samples
    return samples[-1].f_cnt - samples[0].f_cnt + 1 - len(samples)


def test_frames_sent_to_a_gateway_that_was_off_are_not_lost(lab: Lab, node: Node) -> None:
    (gateway,) = lab.gateways.values()
    for _ in range(3):
        strong_uplinks(lab, node, 1)
    lab.advance(7200 * SECOND_US)
    node.f_cnt += 12
    gateway.pull()
    strong_uplinks(lab, node, 1)
    assert lost_of(lab, node) == 0


def test_frames_lost_on_a_gateway_that_was_on_are_lost(lab: Lab, node: Node) -> None:
    (gateway,) = lab.gateways.values()
    strong_uplinks(lab, node, 3)
    for _ in range(120):
        lab.advance(60 * SECOND_US)
        gateway.pull()
    node.f_cnt += 12
    strong_uplinks(lab, node, 1)
    assert lost_of(lab, node) == 12


def test_inv_36_frames_sent_while_the_server_was_down_are_not_lost(lab: Lab, node: Node) -> None:
    strong_uplinks(lab, node, 4)
    lab._move(lab.mono_us + 7200 * SECOND_US)
    lab.kill()
    node.f_cnt += 12
    strong_uplinks(lab, node, 1)
    assert lost_of(lab, node) <= 1, "at most the frame whose sample was not yet written"


def test_every_change_is_kept_for_people(lab: Lab, node: Node) -> None:
    """As code and numbers, with the log event in words; the last ten."""
    strong_uplinks(lab, node, 1)
    adr = lab.call("session", key=node.dev_eui).adr
    assert (adr.algorithm, adr.waiting) == ("recommended", True)
    (decision,) = adr.decisions
    assert (decision.reason.code, decision.reason.dr_from, decision.reason.dr_to) == ("steps", 0, 5)
    (event,) = (one for one in lab.events("log") if one.code == "ADR")
    assert event.text.startswith("DR0→DR5 because ") and event.context["reason"] == pack(decision.reason)
    assert adr.present.frames == 1
    for n in range(30):
        lab.state.batch.operations.append(("adr_decision_add", (1, n + 1, session_reason(lab, node))))
        lab.state.batch.operations.append(("adr_decision_trim", (1, 1, DECISIONS_KEPT)))
    lab.pump()
    assert len(lab.call("session", key=node.dev_eui).adr.decisions) == DECISIONS_KEPT


def session_reason(lab: Lab, node: Node) -> str:
    (device,) = lab.state.devices.values()
    assert device.session is not None
    return device.session.adr_reason


@pytest.mark.parametrize(
    "reason",
    [AdrReason("few", 1, 1, frames=2), AdrReason("spare", 2, 4, 0, 1, 3, 1, 20, -3.5, 2.25, 9.0, 0.0, 0.125, 0.01)],
)
def test_reasons_survive_their_row(reason: AdrReason) -> None:
    assert unpack(pack(reason)) == reason
    assert in_english(reason)


def test_prose_of_older_rows_is_shown_as_it_is(lab: Lab, node: Node) -> None:
    assert unpack("") is None and unpack("DR0→DR5: best SNR") is None
    (device,) = lab.state.devices.values()
    assert device.session is not None
    device.session.adr_reason = "DR0→DR5: best SNR"
    assert lab.call("session", key=node.dev_eui).adr_reason == "DR0→DR5: best SNR"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"adr": "magic"}, "adr"),
        ({"adr_margin_db": 60.0}, "adr_margin_db"),
        ({"adr_min_dr": 4, "adr_max_dr": 3}, "adr_max_dr"),
        ({"adr_max_dr": 99}, "adr_max_dr"),
        ({"adr_min_tx_power": 3, "adr_max_tx_power": 2}, "adr_max_tx_power"),
        ({"adr_static_tx_power": 8}, "adr_static_tx_power"),
        ({"adr_max_nb_trans": 0}, "adr_max_nb_trans"),
    ],
)
def test_settings_that_cannot_be(lab: Lab, fields: dict[str, object], name: str) -> None:
    with pytest.raises(Refused, match=name):
        lab.profile("1.0.3", **fields)


def test_static_takes_the_profiles_values(lab: Lab) -> None:
    lab.gateway()
    fields = {"adr_static_dr": 3, "adr_static_tx_power": 2, "adr_static_nb_trans": 2}
    node = lab.abp(profile=lab.profile("1.0.3", adr="static", **fields))
    (down,) = strong_uplinks(lab, node, 1)
    assert (down.f_opts[1], down.f_opts[4] & 15) == (3 << 4 | 2, 2)
    assert lab.uplink(node.up(adr=True, f_opts=b"\x03\x07"), datr="SF9BW125", lsnr=5.0) == []
    assert lab.uplink(node.up(adr=True), datr="SF9BW125", lsnr=-9.0) == []


def test_limits_of_the_profile_hold(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", adr="default", adr_min_dr=1, adr_max_dr=3, adr_max_nb_trans=1))
    downs = strong_uplinks(lab, node, 14)
    assert {down.f_opts[1] >> 4 for down in downs} == {3}


def test_inv_36_adr_ack_req_is_answered_with_the_parameters(lab: Lab) -> None:
    """A device with less than full power that asks for a sign is told its parameters again: it may have raised its power."""
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", adr="static", adr_static_dr=5, adr_static_tx_power=4))
    lab.uplink(node.up(adr=True), datr="SF7BW125", lsnr=8.0)
    assert lab.uplink(node.up(adr=True, f_opts=b"\x03\x07"), datr="SF7BW125", lsnr=8.0) == []
    (sent,) = lab.uplink(node.up(adr=True, adr_ack_req=True), datr="SF7BW125", lsnr=8.0)
    assert node.read(sent.phy).f_opts[:2] == bytes((3, 5 << 4 | 4))


@pytest.mark.parametrize(
    ("network", "profile", "told"),
    [("off", "default", False), ("default", "default", True), ("default", "off", False), ("off", "static", True)],
)
def test_downlinks_say_whether_the_network_adapts(tmp_path: Path, network: str, profile: str, told: bool) -> None:
    """FCtrl.ADR of a downlink (TS001-1.0.4 §4.3.1.1)."""
    lab = Lab(tmp_path, adr=network)
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", adr=profile))
    (sent,) = lab.uplink(node.up(adr=True, adr_ack_req=True), datr="SF12BW125", lsnr=5.0)
    assert node.read(sent.phy).adr is told
    lab.close()

"""Current and desired parameters: what the server asks, what it believes, and that both sides end with the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lorasim.manners import Manners

from internalapi.messages import ChannelWrite
from lns.radio import RadioParameters, at_boot, from_text, to_text
from regional import plan
from tests.support.lab import SECOND_US, Lab
from tests.support.mac_world import MacWorld, abp_world, differences, otaa_world

CHANNELS = [ChannelWrite(864_100_000 + 200_000 * n) for n in range(4)] + [
    ChannelWrite(864_900_000, downlink_frequency_hz=869_100_000)
]
WINDOWS: dict[str, Any] = {"rx1_delay_s": 3, "rx1_dr_offset": 2, "rx2_dr": 3, "rx2_frequency_hz": 868_900_000}
EVERYTHING = WINDOWS | {"max_duty_cycle": 4, "channels": CHANNELS}
ONLY_1_1 = {"adr_ack_limit_exp": 5, "adr_ack_delay_exp": 4, "rejoin_time_n": 6, "rejoin_count_n": 7}
VERSIONS = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0"]


def wanted(version: str) -> dict[str, Any]:
    if version in ("1.0.0", "1.0.1"):  # DlChannelReq came with 1.0.2
        return EVERYTHING | {"channels": [ChannelWrite(channel.frequency_hz) for channel in CHANNELS]}
    return EVERYTHING | (ONLY_1_1 if version == "1.1.0" else {})


def in_step(world: MacWorld) -> bool:
    return not differences(world) and not world.session.radio.asked


def asked_names(world: MacWorld) -> list[str]:
    """Requests that the device heard in the last downlinks."""
    heard = [text.split(":")[0] for note in world.notes if note.kind == "downlink" for text in note.fields["mac"]]
    world.notes.clear()
    return heard


# ---------------------------------------------------------------------------------------------------- convergence


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_is_brought_in_step(lab: Lab, version: str) -> None:
    world = abp_world(lab, version, **wanted(version))
    downlinks = sum(len(world.uplink()) for _ in range(8))
    assert in_step(world)
    radio = world.session.radio
    assert (radio.rx1_delay_s, radio.rx1_dr_offset, radio.rx2_dr, radio.rx2_frequency_hz) == tuple(WINDOWS.values())
    assert radio.dl_channels == (() if version in ("1.0.0", "1.0.1") else ((6, 869_100_000),))
    assert downlinks <= 5
    assert all(world.uplink() == [] for _ in range(3)), "in step there is nothing to say"


def test_otaa_gets_what_it_can_with_the_join_accept(lab: Lab) -> None:
    world = otaa_world(lab, **EVERYTHING)
    names = asked_names(world)
    assert "RXTimingSetupReq" not in names and "NewChannelReq" not in names
    for _ in range(5):
        world.uplink()
    assert in_step(world)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_inv_34_mac_state_converges(lab: Lab, version: str, seed: int) -> None:
    """30 % of all frames lost in both directions and kill -9 in between: after 20 uplinks both sides agree.

    An exchange needs both its frames, so with some luck even 20 are too few; 20 more without loss must do.
    """
    world = abp_world(lab, version, seed=seed, loss=0.3, **wanted(version))
    for _ in range(20):
        world.uplink()
        if world.rng.random() < 0.2:
            lab.kill()
    if not in_step(world):
        world.loss = 0.0
        for _ in range(20):
            world.uplink()
    assert differences(world) == {}


def test_inv_34_share_of_devices_in_step_after_20_uplinks(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    worlds = [abp_world(lab, "1.0.3", seed=seed, loss=0.3, **EVERYTHING) for seed in range(20)]
    for round in range(20):
        for world in worlds:
            world.uplink(gap_us=SECOND_US)
        if round % 5 == 4:
            lab.kill()
    assert sum(in_step(world) for world in worlds) >= 18
    lab.close()


@pytest.mark.parametrize("step", ["commit", "committed", "acked", "sent"])
@pytest.mark.parametrize("lost_answer", [False, True])
def test_inv_34_death_between_request_and_answer(lab: Lab, step: str, lost_answer: bool) -> None:
    """The process dies at each step of the exchange; the answer names no value, and is understood all the same."""
    world = abp_world(lab, "1.0.3", **WINDOWS)
    with lab.dying(step):
        world.uplink()
    world.device.stop()
    world.device.start(lab.mono_us)
    world.uplink(lost=lost_answer)
    for _ in range(6):
        world.uplink()
    assert in_step(world)


def test_answer_after_a_restart(lab: Lab) -> None:
    """RXTimingSetupAns carries nothing: what was asked lies in the journal, not in the process."""
    world = abp_world(lab, "1.0.3", rx1_delay_s=5)
    world.uplink()
    assert world.truth.rx1_delay_s == 5 and world.session.radio.rx1_delay_s == 1
    lab.call("profile_put", name="quiet-1.0.3", dev_status_interval_s=0, adr="off", rx1_delay_s=7)
    lab.kill()
    world.uplink()
    assert world.session.radio.rx1_delay_s == 5, "what the device was told then, not what is wanted now"
    for _ in range(4):
        world.uplink()
    assert world.session.radio.rx1_delay_s == world.truth.rx1_delay_s == 7


# --------------------------------------------------------------------------------------------------- sticky answers


def test_repeated_answers_are_not_misread(lab: Lab) -> None:
    """The profile changes while the device repeats its answer to the request before: that answer is for the old one."""
    world = abp_world(lab, "1.0.3", rx1_delay_s=5)
    world.uplink()
    world.uplink(down_lost=True)  # the answer came; the device does not know that, and repeats it
    assert world.session.radio.rx1_delay_s == 5
    lab.call("profile_put", name="quiet-1.0.3", dev_status_interval_s=0, adr="off", rx1_delay_s=9)
    for lost in (True, True, False, True, False, False, False, False, False):
        world.uplink(down_lost=lost)
        server, device = world.session.radio, world.truth
        assert server.rx1_delay_s == device.rx1_delay_s or server.asked
    assert in_step(world) and world.truth.rx1_delay_s == 9


def test_a_sticky_answer_gets_a_downlink(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", rx1_delay_s=5)
    world.uplink()
    (sent,) = world.uplink()
    assert world.truth.rx1_delay_s == 5 and sent.txpk["tmst"] is not None
    assert world.uplink() == [], "heard: it repeats nothing more"


def test_nobody_hears_the_downlinks_for_sticky_answers(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", rx1_delay_s=5)
    world.uplink()
    assert sum(len(world.uplink(down_lost=True)) for _ in range(40)) <= 3 + 40 // 4


def test_windows_of_both_cases(lab: Lab) -> None:
    """After a request without an answer the frame goes where the device listens either way."""
    world = abp_world(lab, "1.0.1", rx2_dr=3, rx2_frequency_hz=868_900_000, manners=Manners(sticky=False))
    world.uplink()
    assert world.truth.rx2_dr == 3
    world.uplink(lost=True)  # the one answer
    for _ in range(3):
        lab.queue(world.dev_eui, b"valve")
        (sent,) = world.uplink()
        assert sent.txpk["datr"] == "SF7BW125", "RX1 is the same in both cases"


def test_windows_without_anything_in_common_take_turns(lab: Lab) -> None:
    world = abp_world(lab, "1.0.0", rx1_delay_s=4, manners=Manners(sticky=False))
    world.uplink()
    world.uplink(lost=True)
    assert (world.truth.rx1_delay_s, world.session.radio.rx1_delay_s) == (4, 1)
    for _ in range(12):
        world.uplink()
    assert in_step(world)


def test_a_device_in_step_costs_no_memory(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", dev_status_interval_s=86_400, **EVERYTHING)
    device = lab.state.devices[int(world.dev_eui, 16)]
    world.uplink()
    assert device.mac is not None
    for _ in range(6):
        world.uplink()
    assert device.mac is None and device.battery is not None
    others = [abp_world(lab, "1.0.3", seed=seed, dev_status_interval_s=86_400, **EVERYTHING) for seed in range(2, 5)]
    for other in others:
        for _ in range(6):
            other.uplink()
    assert len({id(other.session.radio) for other in (world, *others)}) == 1, "the same parameters are one value"


# ---------------------------------------------------------------------------------------- refusals, silence, distance


def test_refused_three_times_then_left_in_peace(lab: Lab) -> None:
    manners = Manners(refused=frozenset({"RXParamSetupReq.rx2_data_rate_ack"}))
    world = abp_world(lab, "1.0.3", rx2_dr=3, manners=manners)
    for _ in range(40):
        world.uplink()
    assert asked_names(world).count("RXParamSetupReq") == 3
    entries = [entry for entry in lab.events("log") if entry.code == "MAC_REFUSED"]
    assert len(entries) == 3 and "rx2 data rate" in entries[0].text and "not asked again for 7 days" in entries[2].text
    assert differences(world) == {}
    (refusal,) = lab.call("session", key=world.dev_eui).mac.refusals
    assert (refusal.request, refusal.parts, refusal.count) == ("RXParamSetupReq", ["rx2 data rate"], 3)
    assert refusal.until_us is not None and refusal.until_us > lab.wall_us
    lab.advance(8 * 86_400 * SECOND_US)
    world.uplink()
    assert asked_names(world) == ["RXParamSetupReq"], "a week later it is tried once more"


def test_another_wish_is_asked_although_one_was_refused(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", rx2_dr=3, manners=Manners(refused=frozenset({"RXParamSetupReq.rx2_data_rate_ack"})))
    for _ in range(20):
        world.uplink()
    world.truth.manners.refused = frozenset()
    lab.call("profile_put", name="quiet-1.0.3", dev_status_interval_s=0, adr="off", rx2_dr=2)
    for _ in range(5):
        world.uplink()
    assert world.truth.rx2_dr == world.session.radio.rx2_dr == 2
    assert lab.call("session", key=world.dev_eui).mac.refusals == []


def test_no_answer_is_no_refusal_and_is_asked_more_and_more_rarely(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", max_duty_cycle=3, manners=Manners(ignored=frozenset({"DutyCycleReq"})))
    asked = [number for number in range(120) if world.uplink()]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == sorted(gaps) and len(asked) <= 13
    assert not [entry for entry in lab.events("log") if entry.code == "MAC_REFUSED"]
    (entry,) = [entry for entry in lab.events("log") if entry.code == "MAC_NO_ANSWER"]
    assert "asked 8 times" in entry.text
    report = lab.call("session", key=world.dev_eui).mac
    assert report.refusals == [] and report.state == "waiting" and "DutyCycleAns" in report.text


def test_a_device_of_one_frame_a_day_is_asked_each_day(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", max_duty_cycle=3, manners=Manners(ignored=frozenset({"DutyCycleReq"})))
    assert sum(bool(world.uplink(gap_us=86_400 * SECOND_US)) for _ in range(30)) == 30


@pytest.mark.parametrize("late", [1, 2])
def test_late_answers(lab: Lab, late: int) -> None:
    world = abp_world(lab, "1.0.3", manners=Manners(late=late), **EVERYTHING)
    for _ in range(20):
        world.uplink()
    assert in_step(world)


def test_obeyed_and_never_answered(lab: Lab) -> None:
    """The server must reach such a device although it never learns what it uses."""
    world = abp_world(lab, "1.0.3", rx1_delay_s=4, manners=Manners(mute=frozenset({"RXTimingSetupReq"})))
    for _ in range(20):
        world.uplink()
    world.notes.clear()
    heard = 0
    for _ in range(30):
        lab.queue(world.dev_eui, b"x")
        world.uplink()
        heard += any(note.kind == "downlink" for note in world.notes)
        world.notes.clear()
    assert heard >= 5


# ----------------------------------------------------------------------------------------------------- airtime, room


@pytest.mark.parametrize("dr", [0, 1, 2])
def test_a_51_byte_frame_keeps_its_room(lab: Lab, dr: int) -> None:
    """Our requests wait: nothing that the device must answer beside its 51 bytes."""
    world = abp_world(lab, "1.0.3", device_fields={"dr": dr}, **WINDOWS)
    assert [len(world.uplink(bytes(51))) for _ in range(8)] == [0] * 8
    assert world.uplink(bytes(51)), "patience has an end"
    before = [note.fields["data"] for note in world.notes if note.kind == "uplink" and note.fields["data"]]
    assert len(before) == 9


def test_a_short_frame_is_the_better_moment(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", device_fields={"dr": 0}, **WINDOWS)
    assert world.uplink(bytes(51)) == []
    assert world.uplink(bytes(30)) != []
    world.uplink(bytes(30))
    assert in_step(world)


def test_an_item_goes_before_requests(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", device_fields={"dr": 0}, **EVERYTHING)
    lab.queue(world.dev_eui, bytes(51))
    world.uplink()
    (note,) = [note for note in world.notes if note.kind == "downlink"]
    assert note.fields["data"] == bytes(51).hex() and note.fields["mac"] == []


def test_more_than_15_bytes_travel_on_port_0(lab: Lab) -> None:
    world = abp_world(lab, "1.0.3", **EVERYTHING)
    world.uplink()
    (note,) = [note for note in world.notes if note.kind == "downlink"]
    assert note.fields["f_port"] == 0 and len(note.fields["mac"]) >= 5


# -------------------------------------------------------------------------------------------- 1.1: reset, class, MIC


def test_reset_ind_makes_both_sides_begin_anew(lab: Lab) -> None:
    world = abp_world(lab, "1.1.0", **EVERYTHING)
    for _ in range(6):
        world.uplink()
    assert in_step(world)
    world.device.reset_radio()
    world.uplink(lost=True)
    for _ in range(8):
        world.uplink()
    assert in_step(world) and world.truth.rx1_delay_s == 3


def test_device_mode_changes_the_class_and_not_before(lab: Lab) -> None:
    world = abp_world(lab, "1.1.0")
    world.uplink()
    assert world.session.radio.device_class == ""
    world.device.change_class("C")
    world.uplink(down_lost=True)
    assert world.session.radio.device_class == "C"
    world.uplink()
    assert world.truth.device_class == "C" and world.uplink() == []
    lab.kill()
    assert world.session.radio.device_class == "C"


def test_an_unacknowledged_channel_is_known_to_the_1_1_mic(lab: Lab) -> None:
    """The device may send on the new channel before its answer was heard: the channel's number is in the MIC."""
    world = abp_world(lab, "1.1.0", channels=CHANNELS[:4])
    world.uplink()
    assert len(world.truth.channels) > 2
    world.uplink(lost=True)
    for _ in range(12):
        world.uplink()
    assert lab.counters["mic_failed"] == 0
    assert in_step(world)


# ------------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("region", "text", "expected"),
    [
        ("RU864", "1 0 0 869100000 ", RadioParameters(1, 0, 0, 869_100_000)),
        (
            "RU864",
            "5 2 3 868900000 864100000,0,864500000",
            RadioParameters(5, 2, 3, 868_900_000, ((864_100_000, 0, 5), (0, 0, 0), (864_500_000, 0, 5))),  # type: ignore[arg-type]
        ),
        ("US915", "1 0 8 923300000 902300000,903000000", None),
    ],
)
def test_text_of_version_0_1_0(region: str, text: str, expected: RadioParameters | None) -> None:
    radio = from_text(text, plan(region))
    if expected is None:
        on = [index for index in range(72) if not radio.disabled >> index & 1]
        assert on == [plan(region).channel_index(902_300_000), plan(region).channel_index(903_000_000)]
    else:
        assert radio == expected
    assert from_text(to_text(radio), plan(region)) == radio


def test_text_names_only_what_is_not_as_usual() -> None:
    ru864 = plan("RU864")
    assert to_text(at_boot(ru864)) == "1 0 0 869100000 "
    full = RadioParameters(
        5, 2, 3, 868_900_000, ((864_100_000, 0, 5), (0, 0, 0)), ((0, 869_100_000),), 0b110, 4, True, True, 16, 5, 4, 6, 7,  # type: ignore[arg-type]
        868_500_000, 3, 869_000_000, 4,
    )._replace(device_class="C", relay=(b"\x40\x01",), asked=b"\x08\x05")  # fmt: skip
    assert from_text(to_text(full), ru864) == full
    with pytest.raises(ValueError, match="colour"):
        from_text("1 0 0 869100000  colour=red", ru864)

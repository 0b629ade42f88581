"""LinkADRReq in all its blocks: masks of every plan, one block whole or not at all, partial refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from lorasim.manners import Manners

import regional
from internalapi.messages import ChannelWrite
from lns.radio import enabled_channels, mask_of
from tests.support.lab import Lab
from tests.support.mac_world import MacWorld, abp_world, differences, otaa_world

FIXED = [("US915", "2"), ("AU915", "1"), ("US915", "8")]


def masks(world: MacWorld) -> list[str]:
    """LinkADRReq that the device heard."""
    heard = [text for note in world.notes if note.kind == "downlink" for text in note.fields["mac"]]
    world.notes.clear()
    return [text for text in heard if text.startswith("LinkADRReq")]


@pytest.mark.parametrize(("region", "preset"), FIXED)
@pytest.mark.parametrize("version", ["1.0.2", "1.0.3", "1.0.4", "1.1.0"])
def test_a_fixed_plans_sub_band(tmp_path: Path, region: str, preset: str, version: str) -> None:
    """An ABP device has all 72 channels on; a block of masks leaves it those of the sub-band."""
    lab = Lab(tmp_path, region=region, channels=preset)
    world = abp_world(lab, version, device_fields={"dr": 2})
    frequencies = lab.state.plan.presets[preset]
    wanted = {lab.state.plan.channel_index(hz) for hz in frequencies}
    for _ in range(4):
        world.uplink(b"\x01")
        if world.truth.enabled == wanted:
            break
    for _ in range(3):
        world.uplink(b"\x01")
    assert world.truth.enabled == wanted == set(enabled_channels(lab.state.plan, world.session.radio))
    assert differences(world) == {}
    assert len(masks(world)) <= 5
    lab.close()


@pytest.mark.parametrize("seed", range(4))
def test_inv_34_masks_of_a_fixed_plan_converge(tmp_path: Path, seed: int) -> None:
    """Several commands in one block, 30 % loss, deaths: never half of it."""
    lab = Lab(tmp_path, region="US915", channels="2")
    world = abp_world(lab, "1.0.2", seed=seed, loss=0.3, device_fields={"dr": 2})
    every, target = set(range(72)), {*range(8, 16), 65}
    for _ in range(30):
        world.uplink(b"\x01")
        assert world.truth.enabled in (every, target)
        if world.rng.random() < 0.2:
            lab.kill()
    world.loss = 0.0
    for _ in range(16):
        world.uplink(b"\x01")
    assert differences(world) == {} and world.truth.enabled == target
    lab.close()


def test_otaa_of_a_fixed_plan_gets_its_mask_with_the_join(tmp_path: Path) -> None:
    """The CFList says it since 1.0.3; before that, masks do."""
    for number, (version, asks) in enumerate((("1.0.4", False), ("1.0.2", True))):
        folder = tmp_path / str(number)
        folder.mkdir()
        lab = Lab(folder, region="US915", channels="2")
        world = otaa_world(lab, version, device_fields={"dr": 2})
        for _ in range(5):
            world.uplink(b"\x01")
        assert bool(masks(world)) is asks
        assert differences(world) == {} and world.truth.enabled == {*range(8, 16), 65}
        lab.close()


@pytest.mark.parametrize("region", ["CN470", "CN470-20A", "US915", "AU915"])
def test_blocks_beyond_15_bytes_go_whole(tmp_path: Path, region: str) -> None:
    """Every other channel: more masks than FOpts hold travel on port 0, and are never cut."""
    lab = Lab(tmp_path, region=region)
    plan = lab.state.plan
    dr = 0 if region == "CN470" else 2
    odd = {index for index in range(len(plan.default_channels)) if index % 2 or index >= 64}
    world = abp_world(lab, "1.0.4", device_fields={"dr": dr})
    world.uplink()
    name = world.session.device.profile.name
    off = mask_of(set(range(len(plan.default_channels))) - odd)
    lab.state.desired_radio[name] = lab.state.radio(lab.state.desired_radio[name]._replace(disabled=off))
    world.uplink()
    heard = masks(world)
    assert len(heard) * 5 > 15
    world.uplink()
    assert world.truth.enabled == odd and differences(world) == {}
    lab.close()


def test_an_item_does_not_cut_a_block(tmp_path: Path) -> None:
    lab = Lab(tmp_path, region="US915", channels="2")
    world = abp_world(lab, "1.0.2", device_fields={"dr": 3})
    for number in range(6):
        if number < 3:
            lab.queue(world.dev_eui, bytes(40))
        world.uplink(b"\x01")
        assert world.truth.enabled in (set(range(72)), {*range(8, 16), 65})
    assert world.truth.enabled == {*range(8, 16), 65}
    lab.close()


def test_a_refused_mask_makes_the_channels_anew(lab: Lab) -> None:
    """The device has lost channels that the server believes it has: it refuses the mask, and gets them again."""
    channels = [ChannelWrite(864_100_000), ChannelWrite(864_300_000)]
    world = abp_world(lab, "1.0.3", channels=channels)
    for _ in range(4):
        world.uplink()
    assert differences(world) == {}
    del world.truth.channels[3]
    world.truth.enabled = {0, 1, 2}
    session = world.session
    session.radio = lab.state.radio(session.radio._replace(disabled=0b1000))  # the server wants channel 3 on again
    for _ in range(8):
        world.uplink()
    assert differences(world) == {} and 3 in world.truth.channels


def test_a_mask_refused_for_ever_is_asked_three_times(tmp_path: Path) -> None:
    lab = Lab(tmp_path, region="US915", channels="2")
    manners = Manners(refused=frozenset({"LinkADRReq.channel_mask_ack"}))
    world = abp_world(lab, "1.1.0", device_fields={"dr": 2}, manners=manners)
    for _ in range(30):
        world.uplink(b"\x01")
    blocks = sum(any("LinkADRReq" in text for text in n.fields["mac"]) for n in world.notes if n.kind == "downlink")
    assert blocks == 3
    (refusal,) = lab.call("session", key=world.dev_eui).mac.refusals
    assert (refusal.request, refusal.parts, refusal.count) == ("LinkADRReq", ["channel mask"], 3)
    assert world.truth.enabled == set(range(72))
    lab.close()


@pytest.mark.parametrize(("part", "named"), [("data_rate_ack", "data rate"), ("power_ack", "power")])
@pytest.mark.parametrize("version", ["1.0.3", "1.1.0"])
def test_a_mask_that_goes_down_with_the_rest_is_not_asked_for_ever(
    tmp_path: Path, version: str, part: str, named: str
) -> None:
    """1.0.x knows no «as it is»: a mask has a data rate and a power with it, and who refuses one of them does nothing."""
    lab = Lab(tmp_path, region="US915", channels="2")
    manners = Manners(refused=frozenset({f"LinkADRReq.{part}"}))
    world = abp_world(lab, version, device_fields={"dr": 2}, manners=manners)
    for _ in range(60):
        world.uplink(b"\x01")
    blocks = sum(any("LinkADRReq" in text for text in n.fields["mac"]) for n in world.notes if n.kind == "downlink")
    assert 3 <= blocks <= 12
    (refusal,) = lab.call("session", key=world.dev_eui).mac.refusals
    assert (refusal.request, refusal.parts, refusal.count) == ("LinkADRReq", [named], 3)
    lab.close()


def test_a_mask_waits_for_the_channel_that_is_being_made(lab: Lab) -> None:
    """A mask of what is acknowledged would switch off a channel whose answer is on its way."""
    world = abp_world(lab, "1.0.3", channels=[ChannelWrite(864_100_000)], adr="recommended", device_fields={"dr": 0})
    world.device.config.adr = True
    for number in range(30):
        world.uplink(lost=number == 1)
        assert differences(world) == {} or world.session.radio.asked
    assert differences(world) == {} and world.truth.enabled == {0, 1, 2} and world.truth.dr == 5


def test_a_mask_says_what_adr_has_asked_before(lab: Lab) -> None:
    """ADR's answer is lost, then channels are to go: the one request that follows must not say otherwise than ADR."""
    channels = [ChannelWrite(864_100_000), ChannelWrite(864_300_000)]
    world = abp_world(lab, "1.0.4", channels=channels, adr="recommended", device_fields={"dr": 0})
    world.device.config.adr = True
    for _ in range(30):
        world.uplink()
        if any("LinkADRReq" in text for note in world.notes if note.kind == "downlink" for text in note.fields["mac"]):
            break
        world.notes.clear()
    world.uplink(lost=True)
    lab.profile("1.0.4", channels=channels[:1], adr="recommended")
    for _ in range(12):
        world.uplink()
    server, device = world.session, world.truth
    assert (server.dr, server.tx_power, server.nb_trans) == (device.dr, device.tx_power, device.nb_trans)
    assert device.enabled == {0, 1, 2} and set(differences(world)) <= {"channels"}


@pytest.mark.parametrize("version", ["1.0.2", "1.1.0"])
def test_a_mask_in_doubt_is_settled_although_nobody_wants_it_any_more(tmp_path: Path, version: str) -> None:
    """The device obeyed, its answer was lost, and meanwhile the wish is gone: it must be told to go back."""
    lab = Lab(tmp_path, region="US915")
    world = abp_world(lab, version, device_fields={"dr": 3})
    world.uplink(b"\x01")
    name = world.session.device.profile.name
    every = lab.state.desired_radio[name]
    lab.state.desired_radio[name] = lab.state.radio(every._replace(disabled=mask_of({1, 17, 33, 49})))
    world.uplink(b"\x01")
    world.uplink(b"\x01", lost=True)
    assert world.truth.enabled == set(range(72)) - {1, 17, 33, 49}
    lab.state.desired_radio[name] = every
    for _ in range(6):
        world.uplink(b"\x01")
    assert differences(world) == {} and world.truth.enabled == set(range(72)) and not world.session.radio.asked
    lab.close()


@pytest.mark.parametrize("region", [name for name in regional.names() if regional.plan(name).default_channels])
def test_every_plan_has_a_picture(tmp_path: Path, region: str) -> None:
    """A device at its defaults is in step in every region: nothing is asked that the plan does not need."""
    lab = Lab(tmp_path, region=region)
    world = abp_world(lab, "1.0.4", device_fields={"dr": 2 if region.startswith(("US", "AU", "AS")) else 0})
    for _ in range(3):
        assert world.uplink(b"\x01") == []
    assert differences(world) == {} and lab.call("session", key=world.dev_eui).mac.state == "in_step"
    lab.close()

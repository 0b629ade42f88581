"""Relay commands, and forced rejoins: both sides end with the same."""

from __future__ import annotations

import pytest
from lorasim import crypto
from lorasim.manners import Manners

from internalapi.mac import RelayFilter, RelaySettings, RelayUse
from lns.api.errors import Refused
from lns.mac.force_rejoin import request
from lorawan.commands import NotifyNewEndDeviceReq, parse_commands
from lorawan.identifiers import DevAddr
from tests.support.lab import SECOND_US, Lab
from tests.support.mac_world import MacWorld, abp_world, otaa_world

SETTINGS = RelaySettings(
    cad_periodicity=2, second_channel_hz=868_800_000, second_channel_dr=3, second_channel_ack_offset=1,
    filters=[RelayFilter("forward", "0102030405060708"), RelayFilter("filter")], joins_per_hour=5, total_per_hour=100,
    uplinks_per_hour_of_a_device=12,
)  # fmt: skip


def settle(world: MacWorld, uplinks: int = 8) -> None:
    for _ in range(uplinks):
        world.uplink()


def test_a_relay_is_told_everything(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", relay=True, relay_settings=SETTINGS)
    settle(world)
    state = world.truth.relay
    assert state.conf is not None and state.limits is not None
    assert (state.conf.start_stop, state.conf.cad_periodicity, state.conf.second_ch_frequency_hz) == (
        True,
        2,
        868_800_000,
    )
    assert state.filters == {1: (1, bytes.fromhex("0102030405060708")), 0: (2, b"")}
    assert (state.limits.join_req_reload_rate, state.limits.overall_reload_rate) == (5, 100)
    assert state.limits.notify_reload_rate == 127
    assert lab.call("session", key=world.dev_eui).mac.state == "in_step"
    lab.kill()
    assert world.uplink() == [], "what it acknowledged survives a restart"


def test_a_device_is_told_how_to_use_relays(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", relay_use=RelayUse("on", smart_enable_level=2, back_off=8))
    settle(world)
    conf = world.truth.relay.end_device
    assert conf is not None and (conf.relay_mode_activation, conf.smart_enable_level, conf.back_off) == (1, 2, 8)


def test_a_refused_part_is_named(lab: Lab) -> None:
    manners = Manners(refused=frozenset({"RelayConfReq.cad_periodicity_ack"}))
    world = abp_world(lab, "1.0.4", relay=True, relay_settings=SETTINGS, manners=manners)
    settle(world, 20)
    (refusal,) = lab.call("session", key=world.dev_eui).mac.refusals
    assert (refusal.request, refusal.parts, refusal.count) == ("RelayConfReq", ["cad periodicity"], 3)


def test_inv_34_relay_settings_converge(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", seed=3, loss=0.3, relay=True, relay_settings=SETTINGS)
    for _ in range(30):
        world.uplink()
        if world.rng.random() < 0.2:
            lab.kill()
    world.loss = 0.0
    settle(world, 16)
    state = world.truth.relay
    assert state.conf is not None and state.limits is not None and len(state.filters) == 2
    assert lab.call("session", key=world.dev_eui).mac.state == "in_step"


def test_filters_that_are_gone_are_taken_back(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", relay=True, relay_settings=SETTINGS)
    settle(world)
    lab.profile("1.0.4", relay=True, relay_settings=RelaySettings(cad_periodicity=2))
    settle(world)
    assert {action for action, _ in world.truth.relay.filters.values()} == {0}
    assert lab.call("session", key=world.dev_eui).mac.state == "in_step"


# ---------------------------------------------------------------------------------------------------- trusted devices


def notice(dev_addr: int) -> NotifyNewEndDeviceReq:
    return NotifyNewEndDeviceReq(DevAddr(dev_addr), -80, 5)


def test_a_device_of_ours_is_trusted(lab: Lab) -> None:
    """The entry has the key of its wake-on-radio frames: aes128(NwkSKey, 01 | pad), as TS011-1.0.1 has it."""
    world = abp_world(lab, "1.0.4", relay=True, relay_settings=SETTINGS)
    settle(world)
    node = lab.abp(77)
    world.uplink(wishes=[notice(node.dev_addr), notice(0x01FF_FFFF)])
    assert len(world.truth.relay.trusted) == 1
    (entry,) = world.truth.relay.trusted.values()
    key = crypto.encrypt_block(node.keys.nwk_s_enc_key, b"\x01" + bytes(15))
    assert (entry.dev_addr, entry.reload_rate, entry.key) == (node.dev_addr, 12, key)
    world.uplink(wishes=[notice(node.dev_addr)])
    world.uplink()
    assert len(world.truth.relay.trusted) == 1
    assert node.keys.nwk_s_enc_key.hex() not in str(lab.rows("SELECT radio FROM session"))
    assert key.hex() not in str(lab.rows("SELECT radio FROM session")), "no key lies in the journal in clear"


def test_a_lost_entry_is_told_again_when_the_relay_asks_again(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", relay=True)
    node = lab.abp(77)
    world.uplink(wishes=[notice(node.dev_addr)], down_lost=True)
    assert world.truth.relay.trusted == {}
    lab.kill()
    world.uplink(wishes=[notice(node.dev_addr)])
    world.uplink()
    assert len(world.truth.relay.trusted) == 1 and world.uplink() == []


def test_a_device_that_is_gone_is_forgotten_by_the_relay(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4", relay=True)
    node = lab.abp(77)
    world.uplink(wishes=[notice(node.dev_addr)])
    world.uplink()
    assert len(world.truth.relay.trusted) == 1
    lab.call("session_delete", key=node.dev_eui)
    settle(world, 4)
    assert world.truth.relay.trusted == {} and world.uplink() == []


def test_only_relays_speak_of_new_devices(lab: Lab) -> None:
    world = abp_world(lab, "1.0.4")
    node = lab.abp(77)
    assert world.uplink(wishes=[notice(node.dev_addr)]) == []
    assert lab.counters["unsupported_mac_commands"] == 1


# ----------------------------------------------------------------------------------------------------- forced rejoins


@pytest.mark.parametrize("rejoin_type", [0, 2])
@pytest.mark.parametrize("dr", range(8))
def test_force_rejoin_reads_the_same_in_both_orders(rejoin_type: int, dr: int) -> None:
    command = request(rejoin_type, dr)
    assert command.encode() == command.encode_period_first()
    assert parse_commands(command.encode(), uplink=False, lorawan_1_1=True) == [command]
    assert (command.rejoin_type, command.dr) == (rejoin_type, dr)


@pytest.mark.parametrize("lost", [False, True])
def test_an_operator_has_a_device_rejoin(lab: Lab, lost: bool) -> None:
    world = otaa_world(lab, "1.1.0")
    before = world.session.id
    lab.call("rejoin", dev_eui=world.dev_eui)
    lab.kill()
    assert lab.call("session", key=world.dev_eui).mac.text == "waits for rejoin-request"
    world.uplink(down_lost=lost)
    lab.advance(60 * SECOND_US)
    for _ in range(4):
        world.uplink()
        lab.advance(60 * SECOND_US)
    assert world.session.id > before
    assert lab.call("session", key=world.dev_eui).mac.state == "in_step"
    assert world.uplink() == []


def test_who_cannot_be_told_to_rejoin(lab: Lab) -> None:
    for version in ("1.0.4", "1.1.0"):
        node = lab.abp(mac_version=version)
        with pytest.raises(Refused, match=r"1\.1 session|ABP"):
            lab.call("rejoin", dev_eui=node.dev_eui)
    world = otaa_world(lab, "1.1.0")
    with pytest.raises(Refused, match="rejoin_type"):
        lab.call("rejoin", dev_eui=world.dev_eui, rejoin_type=1)
    with pytest.raises(Refused, match="dr"):
        lab.call("rejoin", dev_eui=world.dev_eui, dr=15)

"""INV-34 at random: profiles that change, versions, loss, deaths, and ADR in between, against the device's truth."""

from __future__ import annotations

import random
from typing import Any

import pytest
from lorasim.manners import Manners

from internalapi.messages import ChannelWrite
from lns.mac.negotiate import after_all
from lns.radio import RadioParameters
from tests.support.lab import SECOND_US, Lab
from tests.support.mac_world import MacWorld, abp_world, differences, otaa_world

VERSIONS = ("1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")


def wishes(rng: random.Random, version: str) -> dict[str, Any]:
    """Some profile."""
    with_downlinks = version != "1.0.1"
    channels = [
        ChannelWrite(
            864_100_000 + 200_000 * n,
            downlink_frequency_hz=869_100_000 if with_downlinks and rng.random() < 0.3 else None,
        )
        for n in range(rng.randrange(5))
    ]
    values = {
        "rx1_delay_s": rng.choice([1, 1, 2, 5]),
        "rx1_dr_offset": rng.choice([None, 0, 3]),
        "rx2_dr": rng.choice([None, 0, 3]),
        "rx2_frequency_hz": rng.choice([None, 868_900_000]),
        "max_duty_cycle": rng.choice([None, 3]),
        "channels": rng.choice([None, channels]),
    }
    if version == "1.1.0":
        values |= {"adr_ack_limit_exp": rng.choice([None, 5]), "rejoin_time_n": rng.choice([None, 4])}
    return values


def windows(radio: RadioParameters) -> tuple[Any, ...]:
    return (*radio[:4], radio.dl_channels)


def true_windows(world: MacWorld) -> tuple[Any, ...]:
    truth = world.truth
    moved = tuple(sorted((i, one.rx1_hz) for i, one in truth.channels.items() if one.rx1_hz != one.frequency_hz))
    return (truth.rx1_delay_s, truth.rx1_dr_offset, truth.rx2_dr, truth.rx2_frequency_hz, moved)


@pytest.mark.parametrize("seed", range(10))
def test_inv_34_walk(lab: Lab, seed: int) -> None:
    """At every moment the device listens by one of the two sets that the server reckons with; at the end both agree."""
    rng = random.Random(seed)
    version, adr = rng.choice(VERSIONS), rng.choice(["off", "recommended"])
    make = rng.choice([abp_world, otaa_world])
    world = make(
        lab,
        version,
        seed=seed,
        loss=rng.choice([0.0, 0.1, 0.3, 0.5]),
        manners=Manners(sticky=version != "1.0.1"),
        device_fields={"dr": rng.choice([0, 3, 5])},
        adr=adr,
        **wishes(rng, version),
    )
    world.device.config.adr = adr != "off"
    plan = lab.state.plan
    for _ in range(3):
        for _ in range(20):
            world.uplink(bytes(rng.randrange(1, 40)), gap_us=rng.choice([5, 30, 600]) * SECOND_US)
            radio = world.session.radio
            assert true_windows(world) in (windows(radio), windows(after_all(radio, plan)))
            if rng.random() < 0.1:
                lab.kill()
        lab.profile(version, adr=adr, **wishes(rng, version))
    world.loss = 0.0
    for _ in range(45):
        world.uplink()
    assert differences(world) == {} and not world.session.radio.asked
    assert (world.session.tx_power, world.session.nb_trans) == (world.truth.tx_power, world.truth.nb_trans)

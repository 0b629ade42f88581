"""LinkADRReq planning: public vectors, and minimality proved by search over small plans of the same make.

The search knows nothing of the planner: it has its own reading of ChMaskCntl (RP002-1.0.5, LinkADRReq command) on bits.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regional
from regional import PlanError
from regional.link_adr import MaskPlanner

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "regional_codec.json").read_text(encoding="utf-8"))
RU864 = regional.plan("RU864", "RP002-1.0.4")
US915 = regional.plan("US915")


def masks(plan: regional.Plan, current: object, wanted: object, **more: object) -> list[tuple[int, int]]:
    commands = plan.link_adr_commands(current, wanted, dr=5, tx_power=0, **more)  # type: ignore[arg-type]
    return [(command.ch_mask_cntl, command.ch_mask) for command in commands]


# Vectors


@pytest.mark.parametrize("row", VECTORS["ru864_linkadr_mask"])
def test_ru864_vectors(row: dict[str, object]) -> None:
    expected = [(0, int(str(row["link_adr_req"]).split()[1], 16))] if row["link_adr_req"] else []
    assert masks(RU864, row["device_channels"], row["expected_channels"]) == expected


@pytest.mark.parametrize("row", VECTORS["us915_linkadr_mask"])
def test_us915_vectors(row: dict[str, object]) -> None:
    """The vectors come from a server that never uses ChMaskCntl 5; revisions that have it need one command."""
    wanted: set[int] = set()
    for part in str(row["network_enabled"]).replace("+", ",").split(","):
        first, _, last = part.partition("-")
        wanted |= set(range(int(first), int(last or first) + 1))
    words = [str(request).split() for request in row["requests"]]  # type: ignore[attr-defined]
    expected = [(int(word[1]), int(word[3], 16)) for word in words]
    assert masks(regional.plan("US915", "RP001-1.0.2B"), range(72), wanted) == expected
    assert masks(US915, range(72), wanted) == [(5, expected[0][1])]


def test_ru864_after_a_join_with_five_channels() -> None:
    """The byte vector 03507f0001: DR5, TXPower 0, mask 0x007F, ChMaskCntl 0, NbTrans 1."""
    (command,) = RU864.link_adr_commands({0, 1}, range(7), dr=5, tx_power=0, nb_trans=1)
    assert command == (5, 0, 0x007F, 0, 1)


def test_nothing_to_change() -> None:
    assert masks(RU864, range(7), range(7)) == []
    assert masks(RU864, range(7), range(7), at_least_one=True) == [(0, 0x7F)]
    assert masks(US915, {8, 65}, {8, 65}, at_least_one=True) == [(0, 0x0100)]


def test_what_cannot_be() -> None:
    with pytest.raises(PlanError, match="at least one channel"):
        masks(RU864, range(7), [])
    with pytest.raises(PlanError, match=r"channels \[7\] are not defined on the device"):
        masks(RU864, range(7), range(8), defined=range(7))
    with pytest.raises(PlanError, match=r"channels \[72\] are not defined"):
        masks(US915, range(72), [72])
    with pytest.raises(PlanError, match="no ChMaskCntl of this plan reaches channel 16"):
        masks(RU864, range(7), [0, 16])


def test_dynamic_plans_say_all_on_only_when_they_know() -> None:
    plan = regional.plan("RU864", "RP002-1.0.5")
    assert masks(plan, range(16), range(40)) == [(1, 0xFFFF), (2, 0x00FF)]
    assert masks(plan, range(16), range(40), defined=range(40)) == [(5, 0x001F)]
    holes = [n for n in range(48) if n not in (20, 47)]
    assert masks(plan, range(16), holes, defined=holes) == [(5, 0x003F)], "a bank switches only what is defined"


def test_us915_from_all_to_one_narrow_eighth_keeps_a_channel_on_all_the_way() -> None:
    commands = masks(US915, range(72), range(8, 16))
    assert len(commands) == 2
    enabled: frozenset[int] | None = frozenset(range(72))
    for cntl, mask in commands:
        enabled = US915.apply_ch_mask(enabled or (), mask, cntl)
        assert enabled
    assert enabled == frozenset(range(8, 16))


# The device's side


def test_a_device_refuses_what_is_rfu_or_undefined() -> None:
    assert RU864.apply_ch_mask(range(7), 0x0003, 0) == {0, 1}
    assert RU864.apply_ch_mask(range(7), 0xFFFF, 1) is None
    assert RU864.apply_ch_mask(range(7), 0x0080, 0, defined=range(7)) is None
    assert RU864.apply_ch_mask([0], 0, 6, defined=range(7)) == set(range(7))
    assert RU864.apply_ch_mask(range(7), 0, 0, defined=range(7)) == frozenset()
    assert US915.apply_ch_mask(range(72), 0x0101, 4) == set(range(65)), "bit 8 means nothing for the channels 64-71"
    assert US915.apply_ch_mask([0], 0x0002, 7) == {65}
    assert US915.apply_ch_mask([0], 0x0002, 6) == {*range(64), 65}
    assert US915.apply_ch_mask([0], 0x0081, 5) == {*range(8), *range(56, 64), 64, 71}
    assert regional.plan("US915", "RP001-1.0.2B").apply_ch_mask([0], 1, 5) is None
    cn470 = regional.plan("CN470-26A")
    assert cn470.apply_ch_mask([0], 0, 3) == set(range(48)) and cn470.apply_ch_mask([0], 0, 4) == frozenset()


# Minimality. Small plans of the same make: blocks of 4 channels, banks of 2, states are bit sets.

Step = Callable[[int, int], int]


def block(first: int) -> Step:
    return lambda state, mask: state & ~(0xF << first) | mask << first


def banks_of_two(count: int, wide_first: int | None) -> Step:
    def step(state: int, mask: int) -> int:
        result = 0
        for bank in range(count):
            if mask >> bank & 1:
                result |= 0b11 << 2 * bank
                if wide_first is not None:
                    result |= 1 << wide_first + bank
        return result

    return step


SMALL: dict[str, tuple[list[str], int, dict[int, Step]]] = {
    "US915": (
        ["0-3", "4-7", "8-11", "", "", "banks 8-11", "on 8-11", "off 8-11"],
        12,
        {
            **{n: block(4 * n) for n in range(3)},
            5: banks_of_two(4, 8),
            6: lambda state, mask: 0x0FF | mask << 8,
            7: lambda state, mask: mask << 8,
        },
    ),
    "US915 before ChMaskCntl 5": (
        ["0-3", "4-7", "8-11", "", "", "", "on 8-11", "off 8-11"],
        12,
        {
            **{n: block(4 * n) for n in range(3)},
            6: lambda state, mask: 0x0FF | mask << 8,
            7: lambda state, mask: mask << 8,
        },
    ),
    "CN470": (
        ["0-3", "4-7", "8-11", "on", "off", "", "", ""],
        12,
        {**{n: block(4 * n) for n in range(3)}, 3: lambda state, mask: 0xFFF, 4: lambda state, mask: 0},
    ),
    "dynamic with banks": (
        ["0-3", "4-7", "8-11", "", "", "banks", "on", ""],
        12,
        {**{n: block(4 * n) for n in range(3)}, 5: banks_of_two(6, None), 6: lambda state, mask: 0xFFF},
    ),
}


def distances(start: int, steps: dict[int, Step], bits: int) -> dict[int, int]:
    """How many commands every state needs from `start`, by breadth-first search over all commands there are."""
    found, ring, depth = {start: 0}, [start], 0
    while ring:
        depth += 1
        after = {step(state, mask) for state in ring for step in steps.values() for mask in range(1 << bits)}
        ring = [state for state in after if state not in found]
        found.update(dict.fromkeys(ring, depth))
    return found


def members(state: int) -> frozenset[int]:
    return frozenset(n for n in range(12) if state >> n & 1)


@pytest.mark.parametrize("name", SMALL)
def test_fewest_commands_by_search(name: str) -> None:
    texts, channels, steps = SMALL[name]
    bits = 6 if "dynamic" in name else 4
    steps = {cntl: (lambda s, m, step=step: step(s, m & 0xF)) if cntl < 3 else step for cntl, step in steps.items()}
    fixed = "dynamic" not in name
    planner = MaskPlanner(texts, channels if fixed else None, bank=2)
    defined = None if fixed else range(channels)
    rng = random.Random(20180911)
    for start in (0xFFF, rng.randrange(1, 1 << 12)):
        fewest = distances(start, steps, bits)
        for wanted in range(1, 1 << 12):
            commands = planner.commands(members(start), members(wanted), defined, False)
            state = start
            for cntl, mask in commands:
                state = steps[cntl](state, mask)
            assert state == wanted, (start, wanted, commands)
            assert len(commands) == fewest[wanted], (start, wanted, commands)


@given(st.sets(st.integers(0, 71), min_size=1), st.sets(st.integers(0, 71), min_size=1))
@settings(max_examples=200)
def test_us915_any_to_any(current: set[int], wanted: set[int]) -> None:
    enabled: frozenset[int] | None = frozenset(current)
    commands = masks(US915, current, wanted)
    assert len(commands) <= 5
    for cntl, mask in commands:
        enabled = US915.apply_ch_mask(enabled or (), mask, cntl)
    assert enabled == wanted


@given(st.sets(st.integers(0, 15), min_size=1), st.sets(st.integers(0, 15), min_size=1))
def test_sixteen_channels_need_one_command_at_most(current: set[int], wanted: set[int]) -> None:
    expected = [] if current == wanted else [(0, sum(1 << n for n in wanted))]
    assert masks(RU864, current, wanted) == expected

"""DrRange of NewChannelReq: RP002-1.0.5's leap over DR6 to DR11, from regions.json and a public issue of a RU864 user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import regional
from regional import PlanError
from regional.dr_range import from_fields, to_fields

FACTS = json.loads((Path(__file__).parents[1] / "vectors" / "regions.json").read_text(encoding="utf-8"))
GAP = FACTS["common"]["new_channel_req"]["gap_encoding_RP002_1_0_5"]
RU864 = regional.plan("RU864")


@pytest.mark.parametrize("fields", GAP["table"])
@pytest.mark.parametrize("region", GAP["applies"].replace("AS923", "AS923-1").split(", "))
def test_the_leap(region: str, fields: str) -> None:
    plan = regional.plan(region)
    min_dr, max_dr = map(int, fields.split(","))
    expected = list(GAP["table"][fields])
    assert list(from_fields(plan, min_dr, max_dr)) == expected
    assert to_fields(plan, expected) == (min_dr, max_dr)


@pytest.mark.parametrize(("min_dr", "max_dr"), [(0, 5), (0, 7), (3, 3), (12, 13), (0, 0)])
def test_plain_ranges(min_dr: int, max_dr: int) -> None:
    data_rates = list(range(min_dr, max_dr + 1))
    assert to_fields(RU864, data_rates) == (min_dr, max_dr)
    assert list(from_fields(RU864, min_dr, max_dr)) == data_rates


@pytest.mark.parametrize("data_rates", [[], [0, 2], [0, 1, 2, 3, 4, 5, 12], [6, 12, 13], [12, 13, 0], [8], [7, 8]])
def test_sets_that_cannot_be_written(data_rates: list[int]) -> None:
    with pytest.raises(PlanError):
        to_fields(RU864, data_rates)


@pytest.mark.parametrize(("min_dr", "max_dr"), [(7, 0), (2, 1), (7, 8), (8, 8), (14, 15)])
def test_fields_that_mean_nothing(min_dr: int, max_dr: int) -> None:
    with pytest.raises(PlanError):
        from_fields(RU864, min_dr, max_dr)


def test_older_devices_and_fixed_plans_do_not_leap() -> None:
    for plan in (regional.plan("RU864", "RP002-1.0.4"), regional.plan("US915"), regional.plan("CN779")):
        with pytest.raises(PlanError, match="means nothing"):
            from_fields(plan, 1, 0)

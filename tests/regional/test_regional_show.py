"""The tables of `meterwan region list` and `meterwan region show NAME`."""

from __future__ import annotations

from pathlib import Path

import pytest

import regional
from regional import Library, show


def test_list_has_a_line_for_each_plan(tmp_path: Path) -> None:
    (tmp_path / "OURS.toml").write_text('name = "OURS"\nextends = "RU864"\n', encoding="utf-8")
    lines = show.list_text(Library(tmp_path)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == sorted([*regional.names(), "OURS"])
    by_name = {line.split()[0]: line.split() for line in lines[2:]}
    assert by_name["RU864"] == ["RU864", "dynamic", "864-870", "2", "869.1", "DR0", "RP002-1.0.5"]
    assert by_name["OURS"][-2:] == ["own", "file"]
    assert by_name["CN779"][-1] == "deprecated"
    assert by_name["KZ865"][-4:] == ["not", "of", "the", "LoRa", "Alliance"][-4:]
    assert show.list_text().count("\n") == len(regional.names()) + 2


@pytest.mark.parametrize("name", regional.names())
def test_every_plan_can_be_shown(name: str) -> None:
    for revision in (None, *regional.REVISIONS):
        plan = regional.plan(name, revision)
        text = show.plan_text(plan)
        lines = text.splitlines()
        assert lines[0] == f"{name}  {plan.title}"
        assert text.endswith("\n") and not any(line != line.rstrip() for line in lines)
        table = lines[lines.index("RX1 data rate by RX1DROffset") + 4 :]
        for (dr, row), line in zip([(dr, row) for dr, row in enumerate(plan.rx1_drs) if row], table, strict=False):
            assert line.split() == [f"DR{dr}", *map(str, row)]


def test_ru864_in_full() -> None:
    text = show.plan_text(regional.plan("RU864"))
    for line in (
        "864-865      0.1 %       3.6 s             14 dBm EIRP",
        "866-868      1 %         36 s              14 dBm EIRP",
        "868.7-869.2  10 %        360 s             20 dBm EIRP",
        "864      864.1 to 864.9 by 0.2",
        "0   SF12BW125 4/5  250    51 B        51 B           -20 dB",
        "Index  0   1   2   3   4  5  6  7",
        "dBm    16  14  12  10  8  6  4  2",
        "- up to RP002-1.0.3: no relay channels",
    ):
        assert line in text.splitlines()
    assert "Downlink data rates" not in text and "DownlinkDwellTime" not in text


def test_what_only_some_plans_have() -> None:
    us915 = show.plan_text(regional.plan("US915"))
    assert "Uplink data rates" in us915 and "Downlink data rates" in us915
    assert "uplink    902.3 to 914.9 by 0.2  DR0-DR3     0-63" in us915.splitlines()
    assert "none: no limit by time on air" in us915
    as923 = show.plan_text(regional.plan("AS923-1"))
    assert "RX1 data rate by RX1DROffset with DownlinkDwellTime" in as923 and "dwell 400 ms" in as923
    assert "(not a plan of the Regional Parameters)" in show.plan_text(regional.plan("KZ865"))
    assert "no limit" in show.plan_text(regional.plan("KR920"))

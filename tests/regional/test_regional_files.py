"""Plan files: where they come from, an operator's own, and what a wrong one says."""

from __future__ import annotations

import copy
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regional
from regional import Library, PlanError
from regional.library import plan_from

MINIMAL = """
name = "TEST"
title = "A test"
kind = "dynamic"
official = false
revision = "mine"
max_eirp_dbm = 14
tx_power_offsets_db = [0, -2]
rx2 = { frequency_hz = 868_300_000, dr = 0 }
ch_mask_cntl = ["0-15", "", "", "", "", "", "on", ""]
default_channels = [{ frequencies_hz = [868_100_000], min_dr = 0, max_dr = 0 }]
join_channels = [{ frequencies_hz = [868_100_000], min_dr = 0, max_dr = 0 }]

[data_rates]
0 = { datr = "SF12BW125", bitrate_bps = 250, m = 59, rx1 = [0] }
"""


def own(folder: Path, text: str, name: str = "TEST") -> Library:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return Library(folder)


def test_names_are_sorted_and_complete() -> None:
    shipped = {entry.name.removesuffix(".toml") for entry in (resources.files("regional") / "plans").iterdir()}
    assert regional.names() == sorted(shipped)
    assert {"RU864", "EU868", "KZ865"} <= shipped


def test_a_plan_is_read_once_and_in_any_case_of_letters() -> None:
    assert regional.plan("RU864") is regional.plan("RU864")
    assert regional.plan("ru864").name == "RU864"
    assert regional.plan("as923").name == regional.plan("AS923").name == "AS923-1"


def test_an_unknown_region_names_those_there_are() -> None:
    with pytest.raises(PlanError, match=r"there is no region plan 'MARS'; there are AS923-1, .*US915"):
        regional.plan("MARS")
    with pytest.raises(PlanError, match=r"no Regional Parameters are called 'RP003'; known are RP001-1.0.2A"):
        regional.plan("RU864", "RP003")


def test_reading_is_cheap() -> None:
    """A plan is ready in a few ms; the best of some reads, since the machine may be busy."""
    best = 1.0
    for _ in range(20):
        library = Library()
        start = time.perf_counter()
        library.plan("RU864")
        best = min(best, time.perf_counter() - start)
    assert best < 0.02


def test_a_new_region_is_one_file(tmp_path: Path) -> None:
    library = own(tmp_path, MINIMAL)
    plan = library.plan("test")
    assert "TEST" in library.names() and library.is_own("TEST") and not library.is_own("RU864")
    assert plan.dr_of("SF12BW125") == 0 and plan.max_payload(0) == 51 and plan.tx_power_dbm(1) == 12
    assert plan.sub_band(868_100_000) is None and plan.may_transmit(868_100_000)
    assert plan.cflist([868_300_000]) == b"", "a plan without CFList types sends none"
    assert plan.presets == {}


def test_an_operator_changes_a_shipped_plan(tmp_path: Path) -> None:
    """The example of docs/regions.md: the same name, extending itself."""
    library = own(
        tmp_path,
        """
        name = "RU864"
        title = "RU864-870 under our licence"
        extends = "RU864"
        sub_bands = [
            { min_hz = 864_000_000, max_hz = 865_000_000, duty_cycle = 0.001, max_eirp_dbm = 16.15 },
            { min_hz = 866_000_000, max_hz = 868_000_000, duty_cycle = 0.05, max_erp_dbm = 14 },
            { min_hz = 868_700_000, max_hz = 869_200_000, max_eirp_dbm = 20 },
        ]
        presets.ours = [866_100_000, 867_900_000]
        """,
        "RU864",
    )
    plan, shipped = library.plan("RU864"), regional.plan("RU864")
    assert [band.max_eirp_dbm for band in plan.sub_bands] == [16.15, 16.15, 20]
    assert [band.duty_cycle for band in plan.sub_bands] == [0.001, 0.05, 1]
    assert plan.presets == {**shipped.presets, "ours": (866_100_000, 867_900_000)}
    assert plan.data_rates == shipped.data_rates and plan.revision == shipped.revision
    assert library.plan("RU864", "RP002-1.0.4").dr_of("SF6BW125") is None
    assert shipped.sub_bands[0].max_eirp_dbm == 14, "the shipped plan stays as it is"


def test_a_folder_for_the_whole_program(tmp_path: Path) -> None:
    own(tmp_path, MINIMAL)
    try:
        regional.use_folder(tmp_path)
        assert regional.plan("TEST").title == "A test"
        assert regional.library().is_own("TEST")
    finally:
        regional.use_folder(None)
    assert "TEST" not in regional.names()
    with pytest.raises(PlanError, match="no such folder of region plans"):
        regional.use_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('name = "TEST"', 'name = "OTHER"'), r"name: must be 'TEST' as the file is called"),
        (("kind = ", "kindly = "), r"kind: is missing"),
        (('kind = "dynamic"', 'kind = "static"'), r"kind: expected \"dynamic\" or \"fixed\", got 'static'"),
        (('kind = "dynamic"', 'kind = "fixed"'), r"downlink_channels: a fixed plan needs at least one"),
        (("max_eirp_dbm = 14", 'max_eirp_dbm = "14"'), r"max_eirp_dbm: expected a number, got '14'"),
        (("max_eirp_dbm = 14", "max_eirp_dbm = true"), r"max_eirp_dbm: expected a number, got True"),
        (("dr = 0 }\nch", "dr = 3 }\nch"), r"rx2.dr: there is no downlink data rate 3"),
        (("rx1 = [0]", "rx1 = [0, 9]"), r"data_rates.0.rx1: there is no downlink data rate 9"),
        (("rx1 = [0]", "rx1 = [0], back_off = 4"), r"data_rates.0.back_off: there is no data rate 4"),
        (("rx1 = [0]", 'rx1 = ["0"]'), r"data_rates.0.rx1: expected whole numbers, got '0' among them"),
        (("rx1 = [0]", "rx1 = [0], colour = 1"), r"data_rates.0.colour: no such key in a plan; see docs/regions.md"),
        (("SF12BW125", "SF13BW125"), r"data_rates.0.datr: spreading factors are 5 to 12, got 'SF13BW125'"),
        (
            ("SF12BW125", "QAM"),
            r"data_rates.0.datr: expected \"SF7BW125\", \"M0CW137\" or the bit rate of FSK, got 'QAM'",
        ),
        (("SF12BW125", "M0CW137"), r"data_rates.0.codr: LR-FHSS needs its coding rate"),
        (("0 = { datr", "16 = { datr"), r"data_rates.16: a data rate is 0 to 15"),
        (("0 = { datr", "x = { datr"), r"data_rates.x: a data rate is 0 to 15"),
        (('"on", ""]', '"on"]'), r"ch_mask_cntl: expected 8 texts, .* got 7"),
        (('"on", ""]', '"all", ""]'), r"ch_mask_cntl: 'all': expected \"0-15\", \"on\""),
        (('"0-15"', '"0-16"'), r"ch_mask_cntl: '0-16': a mask has bits for 1 to 16 channels"),
        (('title = "A test"', "title = 1"), r"title: expected a text, got 1"),
        (('title = "A test"', 'title = "A\ntest"'), r"not a readable TOML file: "),
        (('revision = "mine"', "revision = 1"), r"revision: expected one of RP001-1.0.2A, .* got 1"),
        (("official = false", ""), r"revision: expected one of .* got 'mine'"),
        (("official = false", 'official = "no"'), r"revision: expected one of .* got 'mine'"),
        (('title = "A test"', 'title = "A"\nextends = "MARS"'), r"TEST.toml: extends: there is no plan 'MARS'"),
        (('title = "A test"', 'title = "A"\nextends = "TEST"'), r"TEST.toml: extends: there is no plan 'TEST'"),
        (('title = "A test"', 'title = "A"\nsources = "me"'), r"sources: expected an array, got 'me'"),
        (('title = "A test"', 'title = "A"\nsources = [1]'), r"sources: expected texts, got 1 among them"),
        (('title = "A test"', 'title = "A"\nclass_b = 1'), r"class_b: expected a table, got 1"),
        (('title = "A test"', 'title = "A"\nclass_b.beacon_layout = ["Time"]'), r"beacon_layout: expected pairs"),
        (('title = "A test"', 'title = "A"\nsub_bands = [1]'), r"sub_bands: expected tables, got 1 as number 0"),
        (('title = "A test"', 'title = "A"\nfrequency_range_hz = [2, 1]'), r"frequency_range_hz: expected two rising"),
        (('title = "A test"', 'title = "A"\ncflist.types = [2]'), r"cflist.types: cannot be \(2,\)"),
        (('title = "A test"', 'title = "A"\ncflist.types = [0, 1]'), r"cflist.fixed_list: is one of 800 MHz, 900 MHz"),
        (
            ('title = "A test"', 'title = "A"\ncflist.types = [0]\npresets.one = [868_100_000]'),
            r"presets.one: TEST: 868100000 Hz is a default channel",
        ),
        (
            ('title = "A test"', 'title = "A"\nsub_bands = [{ min_hz = 5, max_hz = 5 }]'),
            r"sub_bands\[0\].max_hz: must be above min_hz",
        ),
        (
            ('title = "A test"', 'title = "A"\nsub_bands = [{ min_hz = 5, max_hz = 6, duty_cycle = 10 }]'),
            r"sub_bands\[0\].duty_cycle: is a share above 0 and up to 1 \(0.01 means 1 %\), got 10",
        ),
        (
            ('title = "A test"', 'title = "A"\nsub_bands = [{ min_hz = 5, max_hz = 9 }, { min_hz = 8, max_hz = 10 }]'),
            r"sub_bands: .* overlap",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    assert change[0] in MINIMAL
    library = own(tmp_path, MINIMAL.replace(*change, 1))
    with pytest.raises(PlanError, match=problem) as caught:
        library.plan("TEST")
    assert "TEST" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('remove = ["sub_bandits"]', r"remove: there is no 'sub_bandits' to take away"),
        ('[[differences]]\nuntil = "RP9"\nwhat = "x"', r"differences\[0\].until: expected one of RP001-1.0.2A"),
        ('[[differences]]\nuntil = "RP002-1.0.3"', r"differences\[0\].what: say in words"),
        ('[[differences]]\nuntil = "RP002-1.0.5"\nwhat = "x"\ncolour = 1', r"colour: no such key in a plan"),
        ("differences = [1]", r"differences\[0\].until"),
        ("differences = 1", r"differences: expected an array"),
        ('since = "RP9"', r"since: expected one of"),
        ("aliases = 1", r"aliases: expected an array"),
    ],
)
def test_a_wrong_extension_says_where_and_what(tmp_path: Path, text: str, problem: str) -> None:
    library = own(tmp_path, f'name = "TEST"\nextends = "RU864"\n{text}\n')
    with pytest.raises(PlanError, match=problem):
        library.plan("TEST")


SHIPPED = {
    name: tomllib.loads((resources.files("regional") / "plans" / f"{name}.toml").read_text(encoding="utf-8"))
    for name in ("RU864", "US915", "CN470-20A")
}
JUNK = st.sampled_from(
    [None, True, -1, 0, 7, 10**12, 0.5, "", "x", "RP002-1.0.0", [], [1], ["x"], [[]], [{}], {}, {"0": {}}]
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, child in children for below in paths(child, (*path, key)))]


@given(st.sampled_from(sorted(SHIPPED)), st.sampled_from([None, "RP001-1.0.2A", "RP002-1.0.1"]), st.data())
@settings(max_examples=400, deadline=None)
def test_any_wrong_value_is_a_plan_error(name: str, revision: str | None, data: st.DataObject) -> None:
    values = copy.deepcopy(SHIPPED[name])
    *parents, last = data.draw(st.sampled_from(paths(values)[1:]))
    place: Any = values
    for key in parents:
        place = place[key]
    place[last] = data.draw(JUNK)
    try:
        plan = plan_from(values, "a file", revision)
    except PlanError as error:
        assert str(error)
    else:
        assert plan.data_rates


def test_two_plans_that_extend_each_other(tmp_path: Path) -> None:
    own(tmp_path, 'name = "ONE"\nextends = "TWO"', "ONE")
    library = own(tmp_path, 'name = "TWO"\nextends = "ONE"', "TWO")
    with pytest.raises(PlanError, match="extends: there is no plan 'ONE'"):
        library.plan("ONE")


def test_presets_of_a_fixed_plan_are_channel_numbers(tmp_path: Path) -> None:
    library = own(tmp_path, 'name = "TEST"\nextends = "US915"\npresets.odd = ["70-72"]\n')
    with pytest.raises(PlanError, match=r"presets.odd: expected channels such as \"8-15\" below 72, got '70-72'"):
        library.plan("TEST")


def test_nothing_is_imported_but_the_standard_library() -> None:
    import ast
    import sys

    folder = Path(str(resources.files("regional")))
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                assert top == "regional" or top in sys.stdlib_module_names, (file.name, name)

"""Heat as pure functions: units, enthalpy, energy, times, temperature graph, substitution by 99/пр."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from appserver.heat.gaps import FilledDay, HeatDay, fill, rebased
from appserver.heat.graph import GraphDay, breaches, deviation, graph_at, hot_water_breach
from appserver.heat.quantity import (
    convert,
    energy_gcal,
    enthalpy_kj_kg,
    plain_energy_gcal,
    plausible,
    times,
)
from appserver.rules import HeatQuality, HeatSubstitution, TemperatureGraph, load

D = Decimal
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "metering_calculations.json").read_text())["calculations"]
LIMITS = load().get(HeatQuality, date(2026, 1, 1))[1]
RULE = load().get(HeatSubstitution, date(2026, 1, 1))[1]
GRAPH = TemperatureGraph(
    rows=[(D(10), D(42), D(37)), (D(-5), D(64), D(50)), (D(-6), D(65), D(51)), (D(-28), D(95), D(70))]
)


def vector(name: str) -> dict[str, Any]:
    return next(v for v in VECTORS if v["id"] == name)


def test_fr_18_units() -> None:
    v = vector("gcal-units")
    kwh = D(v["input"]["kwh"])
    assert round(convert(kwh, "kWh", "Gcal"), 6) == D(str(v["expected"]["gcal"]))
    assert round(convert(kwh, "kWh", "GJ"), 9) == D(str(v["expected"]["gj"]))
    assert convert(D(1), "Gcal", "kWh") == 1163


@pytest.mark.parametrize(
    ("kelvin", "mpa", "kj_kg"), [("300", "3", "115.331273"), ("300", "80", "184.142828"), ("500", "3", "975.542239")]
)
def test_fr_18_enthalpy_by_if97(kelvin: str, mpa: str, kj_kg: str) -> None:
    """Check values of IAPWS-IF97, table 5."""
    assert abs(enthalpy_kj_kg(D(kelvin) - D("273.15"), D(mpa)) - D(kj_kg)) < D("0.0001")


def test_fr_18_reckoned_in_the_head() -> None:
    v = vector("heat-linear")
    i = v["input"]
    reckoned = plain_energy_gcal(D(str(i["m1_t"])), D(str(i["T1"])), D(str(i["T2"])))
    assert reckoned == D(str(v["expected"]["gcal"]))
    assert plausible(D("0.07216"), reckoned, LIMITS.plausibility_pct)
    assert not plausible(D("0.0760"), reckoned, LIMITS.plausibility_pct)


def test_fr_18_closed_and_open_systems() -> None:
    closed = energy_gcal(D(100), D(90), D(60))
    assert abs(closed - D("3.006")) < D("0.01")
    assert energy_gcal(D(100), D(90), D(60), D(100)) == closed
    with_draw = energy_gcal(D(100), D(90), D(60), D(80), cold_c=D(5))
    assert abs(with_draw - closed - D("1.099")) < D("0.01"), "twenty tonnes were taken at 60 instead of 5 °C"
    with pytest.raises(ValueError, match="260"):
        energy_gcal(D(1), D(260), D(60))


def test_fr_18_identity_of_working_times() -> None:
    v = vector("heat-time-sum")
    names = {"Trab": "tA_h", "Tmin": "Tmin_h", "Tmax": "Tmax_h", "Tdt": "Tdt_h", "Tf": "Tf_h", "Tep": "Tep_h"}
    parts: dict[str, Decimal | None] = {names[k]: D(str(value)) for k, value in v["input"].items()}
    day = times(parts, D(24))
    assert (day.sum_h, day.ok) == (D(str(v["expected"]["sum_h"])), v["expected"]["ok"])
    assert not times(parts, D(25)).ok, "a day of 25 hours needs 25"
    assert not times({**parts, "Tf_h": None}, D(23)).ok, "what was not told is not zero"


def test_fr_10_graph_between_rows_and_beyond_its_ends() -> None:
    v = vector("tgraph-interp")
    assert graph_at(GRAPH, D(str(v["input"]["t_out"]))) == (D(str(v["expected"]["T1"])), D(str(v["expected"]["T2"])))
    assert graph_at(GRAPH, D(-40)) == (95, 70)
    assert graph_at(GRAPH, D(20)) == (42, 37)
    cut = GRAPH.model_copy(update={"supply_max_c": D(80), "supply_min_c": D(60)})
    assert (graph_at(cut, D(-28))[0], graph_at(cut, D(10))[0]) == (80, 60)


def graph_day(day: int, supply: str, back: str, outdoor: str | None = "-5") -> GraphDay:
    return GraphDay(date(2026, 1, day), None if outdoor is None else D(outdoor), D(supply), D(back))


@pytest.mark.parametrize(
    ("supply", "back", "network", "consumer"),
    [
        ("64", "50", False, False),
        ("65.92", "50", False, False),
        ("65.93", "50", True, False),
        ("62.07", "50", True, False),
        ("64", "52.5", False, False),
        ("64", "52.6", False, True),
        ("64", "30", False, False),
    ],
)
def test_fr_10_supply_three_and_return_five_per_cent(supply: str, back: str, network: bool, consumer: bool) -> None:
    found = deviation(graph_day(1, supply, back), GRAPH, LIMITS)
    assert (found.supply_breach, found.return_breach) == (network, consumer)


def test_fr_10_breaches_are_runs_of_days() -> None:
    days = [
        graph_day(1, "60", "50"),
        graph_day(2, "58", "50"),
        graph_day(3, "60", "50", None),
        graph_day(4, "60", "55"),
        graph_day(5, "64", "55"),
    ]
    found = breaches([deviation(day, GRAPH, LIMITS) for day in days])
    assert [(b.side, b.first.day, b.last.day, b.days, b.worst_c) for b in found] == [
        ("supply", 1, 2, 2, D(-6)),
        ("return", 4, 5, 2, D(5)),
        ("supply", 4, 4, 1, D(-4)),
    ]
    assert deviation(days[1], GRAPH, LIMITS).degree_hours == 144


def test_fr_10_hot_water_by_day_and_night() -> None:
    v = vector("gvs-temp")
    found = [hot_water_breach(time.fromisoformat(at), D(str(c)), LIMITS) for at, c in v["input"]["samples"]]
    assert found == v["expected"]["breach"]
    assert hot_water_breach(time(12), D(76), LIMITS)


def test_fr_18_up_to_fifteen_days_the_mean_stands_in() -> None:
    days = [HeatDay(D("2.4"), D(-4))] * 15 + [HeatDay(None, D(-4)), HeatDay(None, D(8)), HeatDay(None, D(25))]
    filled = fill(days, RULE, D("0.2"))
    assert filled[0] == FilledDay(D("2.4"), "measured")
    assert filled[15:] == [
        FilledDay(D("2.4000"), "mean"),
        FilledDay(D("1.2000"), "mean"),
        FilledDay(D("0.0000"), "mean"),
    ]


def test_fr_18_from_the_sixteenth_day_the_load_of_the_contract() -> None:
    days = [HeatDay(D("2.4"), D(-4))] * 15 + [HeatDay(None, D(-4))] * 16
    filled = fill(days, RULE, D("0.2"))
    assert filled[-1] == FilledDay(D("2.4000"), "contract"), "0.2 Gcal/h at -28, half of it at -4"
    assert fill(days, RULE, None)[-1] == FilledDay(None, "unknown")
    assert fill([HeatDay(None, None)], RULE, D(1)) == [FilledDay(None, "unknown")]
    with pytest.raises(ValueError, match="below that indoors"):
        rebased(D(1), D(0), D(20), D(20))

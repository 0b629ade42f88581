"""FR-12 out of the database, over the API and on the page of the house."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.db import Database, open_database
from appserver.metering import house_balance
from appserver.metering.explain import Explanation, explain_balance
from tests.support import faulty_house as faulty
from tests.support import satka
from tests.support.faulty_house import FaultyHouse


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, FaultyHouse]:
    db = open_database(tmp_path_factory.mktemp("faulty") / "application.db")
    yield db, faulty.build(db)
    db.close()


@pytest.fixture(scope="module")
def told(made: tuple[Database, FaultyHouse]) -> Explanation:
    db, house = made
    balance = house_balance(db, house.building_id, "cold_water", faulty.FIRST, faulty.last_day(), "day")
    explanation = explain_balance(db, balance)
    assert explanation is not None and explanation.imbalance == balance.total.imbalance
    return explanation


@pytest.mark.parametrize(("cause", "part"), [("leak", 0.15), ("theft", 0.15), ("missing", 0.15), ("unmetered", 0.4)])
def test_fr_12_causes_come_out_as_they_were_put_in(
    made: tuple[Database, FaultyHouse], told: Explanation, cause: str, part: float
) -> None:
    truth = made[1].truth[cause]
    assert abs(float(told.row(cause).volume) - truth) <= part * truth, (told.row(cause), truth)


def test_fr_12_rows_add_up_and_little_is_left(told: Explanation) -> None:
    assert sum(row.volume for row in told.rows) == told.imbalance
    assert told.explained_pct is not None and told.explained_pct > 90


def test_fr_12_evidence_names_the_thief_the_leak_the_clock_and_the_silent(
    made: tuple[Database, FaultyHouse], told: Explanation
) -> None:
    house = made[1]
    [step] = [e for e in told.row("theft").evidence if e.what == "step"]
    assert (step.premises, step.meter_id) == (str(faulty.THIEF), house.meters[faulty.THIEF])
    assert step.since == faulty.FIRST + timedelta(days=faulty.THEFT_DAY)
    [leak] = told.row("leak").evidence
    assert leak.number == pytest.approx(Decimal("0.030"), abs=Decimal("0.002"))
    [clock] = [e for e in told.row("skew").evidence if e.what == "clock"]
    assert (clock.premises, clock.number) == (str(faulty.SLOW), Decimal(-90))
    assert clock.volume is not None and clock.volume < 0, "a slow clock shows too much, so the imbalance is too small"
    [silent] = told.row("missing").evidence
    assert (silent.premises, silent.since) == (
        str(faulty.SILENT),
        faulty.FIRST + timedelta(days=faulty.SILENT_DAY),
    )
    assert [e.premises for e in told.row("unmetered").evidence] == [str(faulty.UNMETERED)]


def test_fr_12_norm_in_place_of_the_typical(made: tuple[Database, FaultyHouse]) -> None:
    db, house = made
    balance = house_balance(db, house.building_id, "cold_water", faulty.FIRST, faulty.last_day(), "month")
    explanation = explain_balance(db, balance, Decimal("4.745"))
    assert explanation is not None
    assert explanation.row("unmetered").volume == pytest.approx(
        Decimal("9.49") * 31 / Decimal("30.4375"), abs=Decimal("0.01")
    )


def test_fr_12_without_an_imbalance_there_is_nothing_to_explain(tmp_path: Path) -> None:
    house = satka.build(tmp_path / "application.db", flats=3, days=5)
    early = satka.date(2026, 9, 1)
    balance = house_balance(house.db, house.building_id, "cold_water", early, satka.date(2026, 9, 20))
    assert balance.total.imbalance is None
    assert explain_balance(house.db, balance) is None
    house.db.close()


def test_fr_12_a_house_as_it_is_every_day(tmp_path: Path) -> None:
    """Sixty flats, a replaced, a silent and a gappy meter: the rows add up, and nobody is accused by daily values."""
    house = satka.build(tmp_path / "application.db")
    for resource in satka.RESOURCES:
        balance = house_balance(house.db, house.building_id, resource, house.first_day, house.last_day)
        explanation = explain_balance(house.db, balance)
        assert explanation is not None
        assert sum(row.volume for row in explanation.rows) == balance.total.imbalance
        assert explanation.row("theft").volume == 0
    magnet = explain_balance(
        house.db, house_balance(house.db, house.building_id, "cold_water", house.first_day, house.last_day)
    )
    assert magnet is not None
    assert [(e.what, e.premises) for e in magnet.row("theft").evidence] == [("flag_magnetic_tamper", str(satka.MAGNET))]
    house.db.close()

"""The office building in Novouralsk in January, in virtual time: a KARAT-307 and thirteen tenants, heat and cold water.

Frames of published layouts, archives stamped 23:00, through the real engine into the real application. Water is led past a
meter from the 8th to the 18th; the daily values show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from appserver.heat.days import report
from appserver.rules import book_of
from tests.support.house_lab import HouseLab

ZONE = ZoneInfo("Asia/Yekaterinburg")
FIRST, LAST = date(2026, 1, 1), date(2026, 2, 1)
STOLEN, FOUND = date(2026, 1, 8), date(2026, 1, 19)
THIEF = "6"
RESOURCES = ("heat", "cold_water")


@pytest.fixture(scope="module", params=[2018, 3])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HouseLab]:
    made = HouseLab(
        tmp_path_factory.mktemp("novouralsk"), "novouralsk", datetime(2026, 1, 1, tzinfo=ZONE), request.param
    )
    made.ask_for_gaps = True
    made.live(days=37)
    yield made
    made.close()
    made.db.close()


def test_every_frame_is_decoded_and_every_point_known(lab: HouseLab) -> None:
    assert lab.db.rows("SELECT DISTINCT state FROM uplink") == [("decoded",)]
    for resource in RESOURCES:
        total = lab.balance(FIRST, LAST, resource).total
        assert (total.start.date(), total.end.date()) == (FIRST, LAST)
        assert (total.measured, total.coverage_pct) == (13, Decimal("100.0"))


@pytest.mark.parametrize("resource", RESOURCES)
def test_fr_11_the_balance_ends_at_four_to_nine_per_cent(lab: HouseLab, resource: str) -> None:
    """Once the theft has ended; heat all the time. It is what is lost, to the resolution of the registers."""
    total = lab.balance(FOUND, LAST, resource).total
    assert total.imbalance is not None and total.imbalance_pct is not None
    assert 4 <= total.imbalance_pct <= 9
    truth = lab.truth(FOUND, LAST, resource)["lost"]
    assert float(total.imbalance) == pytest.approx(truth, rel=0.01)


def test_fr_26_daily_values_name_the_thief(lab: HouseLab) -> None:
    during = lab.balance(STOLEN, FOUND).total
    assert during.imbalance_pct is not None and during.imbalance_pct > 9
    told = lab.explanation(FIRST, LAST)
    [step] = [e for e in told.row("theft").evidence if e.what == "step"]
    assert (step.premises, step.since, step.until) == (THIEF, STOLEN, FOUND)
    truth = lab.truth(FIRST, LAST)["theft"]
    assert float(told.row("theft").volume) == pytest.approx(truth, rel=0.15)
    assert lab.explanation(FIRST, LAST, "heat").row("theft").volume == 0


def test_fr_02_the_archive_of_a_day_is_stamped_with_its_last_hour(lab: HouseLab) -> None:
    """Records stamped 23:00 are midnights: the registers of the 307 at 1 February are those of the simulator then."""
    stamps = lab.db.rows(
        "SELECT DISTINCT substr(json_extract(object, '$.device_time'), 12) FROM uplink WHERE codec LIKE 'karat-meter%'"
        " AND json_extract(object, '$.archive') = 'day_integral'"
    )
    assert stamps == [("23:00:00",)]
    at_us = lab.moment(LAST)
    [module] = [one for one in lab.house.modules if one.layout == "karat-307"]
    assert module.water is not None
    for meter, exact in ((module.meter, 1e-4), (module.water, 1e-3)):
        [(value,)] = lab.db.rows(
            "SELECT r.value_micro FROM reading r JOIN meter m ON m.id = r.meter_id WHERE m.serial = ?"
            " AND r.register IN ('heat', 'volume') AND r.measured_at_us = ?",
            (meter.serial, at_us),
        )
        assert value / 1e6 == pytest.approx(lab.house.units(meter, at_us) / meter.one, abs=exact)


def test_fr_18_the_heat_of_the_307_fits_its_masses_and_temperatures(lab: HouseLab) -> None:
    rules = book_of(lab.db.path.parent)
    made = report(lab.db, rules, lab.building_id, FIRST + timedelta(days=1), LAST)
    assert [row.plausible for row in made.rows] == [True] * 30
    assert {row.filled.basis for row in made.rows} == {"measured"}
    assert all(row.fields["tA_h"] == 24 for row in made.rows)
    assert sum(row.fields["dQ_gcal"] for row in made.rows) == pytest.approx(
        lab.balance(FIRST + timedelta(days=1), LAST, "heat").total.house, abs=Decimal("0.001")
    )


def test_fr_21_what_was_lost_on_the_air_was_asked_for(lab: HouseLab) -> None:
    lost = lab.lines("unheard")
    assert lost, "the air loses some"
    states = dict(lab.db.rows("SELECT state, count(*) FROM archive_query GROUP BY 1"))
    assert states["answered"] > 0
    [(missing,)] = lab.db.rows(
        "SELECT count(*) FROM point p WHERE (SELECT count(*) FROM boundary b WHERE b.point_id = p.id"
        " AND b.day BETWEEN ? AND ?) < 32",
        ((FIRST - date(1970, 1, 1)).days, (LAST - date(1970, 1, 1)).days),
    )
    assert missing == 0

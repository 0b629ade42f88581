"""The individual statement says what is charged, on which basis, by which version of which rule."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from appserver import reports
from appserver.metering.charges import charges, months_before
from appserver.metering.queries import house_balance
from appserver.metering.timebase import day_number
from appserver.models.columns import to_micro
from appserver.rules import book_of
from tests.support import satka


def flat_with_history(tmp_path: Path, volumes: list[str | None]) -> tuple[satka.Satka, int, date]:
    """A house whose flat 1 has these monthly volumes of cold water before November 2026."""
    house = satka.build(tmp_path / "application.db", flats=2, days=3)
    point = house.points[(1, "cold_water")]
    firsts = months_before(date(2026, 11, 1), len(volumes))
    with house.db.transaction() as connection:
        installation = connection.execute("SELECT id FROM installation WHERE point_id = ?", (point,)).fetchone()[0]
        connection.execute("DELETE FROM boundary")
        total = Decimal(0)
        for index, first in enumerate(firsts):
            known = index == len(volumes) or volumes[index] is not None or (index and volumes[index - 1] is not None)
            if known:
                connection.execute(
                    "INSERT INTO boundary (point_id, day, installation_id, value_micro, total_micro, breaks, quality,"
                    " event) VALUES (?, ?, ?, ?, ?, 0, 'measured', '')",
                    (point, day_number(first), installation, to_micro(total), to_micro(total)),
                )
            if index < len(volumes):
                total += Decimal(volumes[index] or 0)
        connection.execute("UPDATE premises SET residents = 2 WHERE number = '1'")
    return house, point, date(2026, 11, 1)


def test_fr_16_charges_of_a_house(tmp_path: Path) -> None:
    house, point, month = flat_with_history(tmp_path, ["3.1", "2.9", "3.0", "3.2", "2.8", "3.0"])
    balance = house_balance(house.db, house.building_id, "cold_water", month, date(2026, 12, 1), "month")
    found = charges(house.db, house.building_id, "cold_water", month, balance.points, book_of(tmp_path))
    assert found.by_point[point].basis == "average_6m"
    assert found.by_point[point].volume == Decimal("3.000")
    assert [rule.kind for rule in found.rules] == ["substitution", "verification"]


def test_fr_16_after_three_missing_months_the_norm_of_the_place(tmp_path: Path) -> None:
    house, _, month = flat_with_history(tmp_path, ["3.1", "2.9", "3.0", "3.2", None, None, None])
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "satka.toml").write_text(
        '[[rule]]\nkind = "norm"\naddress = "Сатка"\nvalid_from = 2024-01-01\nsource = "Норматив"\n'
        '[rule.values]\nresource = "cold_water"\nper_person = 4.2\n',
        encoding="utf-8",
    )
    statement = reports.make(house.db, "individual", house.building_id, month, date(2026, 12, 1), "cold_water")
    keys = [column.key for column in statement.columns]
    rows = [dict(zip(keys, row, strict=True)) for row in statement.rows]
    flat = next(row for row in rows if row["premises"] == "1")
    assert (flat["charge"], flat["basis"]) == (Decimal("8.400"), "норматив (п. 60)")
    assert any(note.startswith("Правило: norm@2024-01-01#") and note.endswith("Норматив") for note in statement.notes)
    assert any("354" in note for note in statement.notes)
    for form in reports.FORMATS:
        assert reports.render(statement, form)


def test_days_that_are_no_month_are_not_charged(tmp_path: Path) -> None:
    house = satka.build(tmp_path / "application.db", flats=2, days=3)
    statement = reports.make(house.db, "individual", house.building_id, house.first_day, house.last_day, "cold_water")
    charge = [column.key for column in statement.columns].index("charge")
    assert {row[charge] for row in statement.rows} == {None}
    assert statement.notes == []

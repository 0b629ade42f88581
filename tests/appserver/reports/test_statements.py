"""Statements: what stands in them, and that the same data are the same bytes (MET-07)."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import openpyxl
import pypdf
import pytest

from appserver import registry
from appserver.errors import RegistryError
from appserver.metering import house_balance
from appserver.reports import FORMATS, NAMES, make, render
from tests.support import satka as support
from tests.support.satka import REPLACED, Satka

FIRST, LAST = date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture(scope="module")
def satka(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Satka:
    return support.build(tmp_path_factory.mktemp("satka") / "application.db", flats=14, days=31)


def statement(satka: Satka, name: str, language: str = "ru", resource: str = "cold_water"):
    return make(satka.db, name, satka.building_id, FIRST, LAST, resource, language=language)


def test_fr_15_individual_statement(satka: Satka) -> None:
    made = statement(satka, "individual")
    balance = house_balance(satka.db, satka.building_id, "cold_water", FIRST, LAST, "month")
    rows = [dict(zip([c.key for c in made.columns], row, strict=True)) for row in made.rows]
    assert [row["premises"] for row in rows] == [str(n) for n in range(1, 15)]
    assert sum(row["volume"] for row in rows) == balance.total.individual
    first = rows[0]
    assert (first["end"] - first["start"], first["account"]) == (first["volume"], "7412000001")
    assert (first["start_at"], first["end_at"], first["quality"], first["unit"]) == (FIRST, LAST, "изм.", "м³")
    assert rows[REPLACED - 1]["events"] == "замена прибора"
    total = dict(zip([c.key for c in made.columns], made.totals[0], strict=True))
    assert (total["premises"], total["volume"]) == ("Итого", balance.total.individual)
    assert ("Период", "с 01.10.2026 по 31.10.2026") in made.header
    both = statement(satka, "individual", resource="")
    assert len(both.rows) == 28 and len(both.totals) == 2


def test_fr_15_house_statement(satka: Satka) -> None:
    made = statement(satka, "house")
    assert len(made.rows) == 31
    days = [dict(zip([c.key for c in made.columns], row, strict=True)) for row in made.rows]
    assert sum(row["volume"] for row in days) == satka.volumes[0, "cold_water"]
    assert days[1]["reading_1"] - days[0]["reading_1"] == days[1]["volume"]
    assert (days[0]["day"], days[0]["quality_1"]) == (FIRST, "изм.")


def test_fr_15_balance_statement(satka: Satka) -> None:
    made = statement(satka, "balance", "en")
    assert [c.title for c in made.columns][:4] == ["Period", "Common meter", "Sum of flats", "Imbalance"]
    assert made.rows[0][0] == "2026-10-01"
    total = made.totals[0]
    assert total[1] - total[2] == total[3] > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_fr_15_same_data_same_bytes(satka: Satka, name: str, format: str, language: str) -> None:
    one = render(statement(satka, name, language), format)
    assert one == render(statement(satka, name, language), format)
    assert len(one) > 500
    if language == "en":
        assert render(statement(satka, name, "ru"), format) != one


def test_other_data_other_fingerprint(satka: Satka) -> None:
    october = statement(satka, "individual")
    half = make(satka.db, "individual", satka.building_id, FIRST, date(2026, 10, 15), "cold_water")
    assert len({october.sha256, half.sha256, statement(satka, "balance").sha256}) == 3


def test_json(satka: Satka) -> None:
    made = statement(satka, "individual")
    document = json.loads(render(made, "json"))
    assert document["sha256"] == made.sha256
    assert document["rows"][0]["volume"] == str(made.rows[0][9])
    assert document["rows"][0]["start_at"] == "2026-10-01"


def test_csv_has_decimal_commas_in_russian(satka: Satka) -> None:
    data = render(statement(satka, "individual"), "csv").decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(data), delimiter=";"))
    assert rows[0][:4] == ["№", "Помещение", "Лицевой счёт", "ПУ №"]
    assert len(rows) == 16
    volume = rows[1][9]
    assert "," in volume and Decimal(volume.replace(",", ".")) == statement(satka, "individual").rows[0][9]


def test_xlsx_reads_back(satka: Satka) -> None:
    made = statement(satka, "individual")
    sheet = openpyxl.load_workbook(io.BytesIO(render(made, "xlsx"))).active
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0][0] == "Ведомость показаний индивидуальных приборов учёта"
    head = next(i for i, row in enumerate(rows) if row[0] == "№")
    assert rows[head + 1][9] == pytest.approx(float(made.rows[0][9]))
    assert rows[head + 1][2] == "7412000001"


def test_pdf_is_readable_cyrillic_with_page_numbers(satka: Satka) -> None:
    reader = pypdf.PdfReader(io.BytesIO(render(statement(satka, "individual", resource=""), "pdf")))
    text = "".join(page.extract_text() for page in reader.pages)
    assert "Ведомость показаний индивидуальных приборов учёта" in text
    assert "Сатка" in text and "7412000014" in text
    assert f"Стр. {len(reader.pages)} из {len(reader.pages)}" in text
    assert "CreationDate" not in str(reader.metadata) or "2000" in str(reader.metadata)


def test_html_escapes(satka: Satka) -> None:
    registry.update(satka.db, "organisation", satka.organisation_id, {"name": "<img src=x onerror=alert(1)>"})
    try:
        page = render(statement(satka, "balance"), "html").decode()
        pdf = render(statement(satka, "balance"), "pdf")
    finally:
        registry.update(satka.db, "organisation", satka.organisation_id, {"name": "УК «Сатка-Сервис»"})
    assert "<img" not in page and "&lt;img" in page
    assert pdf.startswith(b"%PDF")


def test_house_with_nothing_known(satka: Satka) -> None:
    building = registry.create(
        satka.db, "building", {"organisation_id": satka.organisation_id, "address": "Пустой дом"}
    )
    for name in NAMES:
        made = make(satka.db, name, building.id, FIRST, LAST, "cold_water")
        for format in FORMATS:
            assert render(made, format)
    assert make(satka.db, "house", building.id, FIRST, LAST, "cold_water").totals[0][-2] is None


def test_refusals(satka: Satka) -> None:
    for arguments, field in (
        (("poem", satka.building_id, FIRST, LAST, "cold_water"), "name"),
        (("house", satka.building_id, FIRST, LAST, ""), "resource"),
        (("house", satka.building_id, LAST, FIRST, "cold_water"), "to"),
        (("balance", 999, FIRST, LAST, "cold_water"), "building_id"),
    ):
        with pytest.raises(RegistryError) as caught:
            make(satka.db, *arguments)
        assert caught.value.field == field
    with pytest.raises(RegistryError):
        render(statement(satka, "house"), "docx")


def test_fr_15_a_balance_says_who_drew_it_why_it_does_not_close_and_by_which_rules(satka: Satka) -> None:
    made = make(satka.db, "balance", satka.building_id, satka.first_day, satka.last_day, "cold_water")
    lines = dict(note.partition(": ")[::2] for note in made.notes if not note.startswith("Небаланс"))
    balance = house_balance(satka.db, satka.building_id, "cold_water", satka.first_day, satka.last_day)
    assert lines["Квартиры по приборам"] == f"{balance.total.individual} м³"
    assert lines["Нежилые помещения по приборам"] == "0.000 м³"
    causes = [note for note in made.notes if note.startswith("Небаланс")]
    told = sum((Decimal(note.rpartition(": ")[2].split()[0]) for note in causes), Decimal(0))
    assert causes and told == balance.total.imbalance

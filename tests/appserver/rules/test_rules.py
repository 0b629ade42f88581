"""Rules as dated data: terms, precedence, faults that name file and key, versions."""

from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.rules import (
    HeatQuality,
    IncidentLimits,
    Norm,
    RulesError,
    Substitution,
    TariffZones,
    TemperatureGraph,
    Verification,
    book_of,
    load,
)
from appserver.rules.tariffs import zone_at

OWN = """
[[rule]]
kind = "norm"
name = "cold_water"
address = "Сатка"
valid_from = 2024-01-01
source = "Норматив муниципалитета"
[rule.values]
resource = "cold_water"
per_person = 4.2
"""


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    file = folder / "rules" / name
    file.write_text(text, encoding="utf-8")
    return file


def test_packaged_rules_hold_today_and_name_their_source() -> None:
    book, today = load(), date(2026, 11, 23)
    for values in (Substitution, Verification, TariffZones, HeatQuality, IncidentLimits, TemperatureGraph):
        rule, _ = book.get(values, today)
        assert rule.source, rule
    assert all(rule.source for rule in book.rules)


@pytest.mark.parametrize(
    ("day", "accepted"),
    [
        (date(2020, 4, 5), False),
        (date(2020, 4, 6), True),
        (date(2020, 7, 1), True),
        (date(2020, 12, 31), True),
        (date(2021, 1, 1), False),
        (date(2021, 7, 1), False),
    ],
)
def test_the_moratorium_held_for_its_term(day: date, accepted: bool) -> None:
    rule, values = load().get(Verification, day)
    assert values.expired_accepted is accepted
    assert ("424" in rule.source) is accepted


def test_a_rule_of_the_data_folder_beats_the_packages_and_needs_no_release(tmp_path: Path) -> None:
    day, address = date(2026, 10, 1), "Челябинская область, г. Сатка, ул. Бакальская, д. 12"
    assert book_of(tmp_path).find("norm", day, address) is None
    file = write(tmp_path, OWN)
    first, norm = book_of(tmp_path).get(Norm, day, address, resource="cold_water")
    assert norm.per_person == Decimal("4.2")
    assert first.own and first.file == "own.toml"
    assert book_of(tmp_path).find("norm", day, "Москва, Арбат, 1", resource="cold_water").values.per_person == Decimal(
        "6.935"
    )
    assert book_of(tmp_path).find("norm", date(2023, 12, 31), address) is None
    file.write_text(OWN.replace("4.2", "4.25"), encoding="utf-8")
    os.utime(file, ns=(1, 1))
    second, norm = book_of(tmp_path).get(Norm, day, address, resource="cold_water")
    assert norm.per_person == Decimal("4.25")
    assert first.version != second.version
    assert second.version.startswith("norm.cold_water@2024-01-01#")


def test_an_own_rule_of_the_same_term_overrides(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[[rule]]\nkind = "verification"\nvalid_from = 2025-01-01\nvalid_to = 2026-01-01\nsource = "новый мораторий"\n'
        "[rule.values]\nexpired_accepted = true\n",
    )
    book = book_of(tmp_path)
    assert book.get(Verification, date(2025, 6, 1))[1].expired_accepted
    assert not book.get(Verification, date(2026, 1, 1))[1].expired_accepted


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("per_person = 4.2", "per_persn = 4.2"), "rule[1].values.per_persn"),
        (("per_person = 4.2", 'per_person = "many"'), "rule[1].values.per_person"),
        (("per_person = 4.2", "per_person = -1"), "rule[1].values.per_person"),
        (('kind = "norm"', 'kind = "norms"'), "rule[1].kind"),
        (("valid_from = 2024-01-01\n", ""), "rule[1].valid_from"),
        (("valid_from = 2024-01-01", 'valid_from = "2024-01-01"'), "rule[1].valid_from"),
        (("valid_from = 2024-01-01", "valid_from = 2024-01-01\nvalid_to = 2024-01-01"), "rule[1].valid_to"),
        (('source = "Норматив муниципалитета"', 'source = " "'), "rule[1].source"),
        (('name = "cold_water"', 'nam = "cold_water"'), "rule[1].nam"),
        (("[[rule]]", "[[rules]]"), "rules"),
        (("per_person = 4.2", "per_person = 4.2\nper_m2 = 1"), "rule[1].values"),
    ],
)
def test_a_fault_names_file_and_key(tmp_path: Path, change: tuple[str, str], key: str) -> None:
    write(tmp_path, OWN.replace(*change), "norms of ours.toml")
    with pytest.raises(RulesError) as caught:
        book_of(tmp_path)
    assert caught.value.field == key
    assert str(caught.value).startswith(f"rules file norms of ours.toml: {key}: ")


def test_no_toml_and_overlapping_terms_are_faults(tmp_path: Path) -> None:
    write(tmp_path, "[[rule", "a.toml")
    with pytest.raises(RulesError, match=r"a\.toml: is not TOML"):
        book_of(tmp_path)
    write(tmp_path, OWN, "a.toml")
    write(tmp_path, OWN.replace("2024-01-01", "2025-01-01"), "b.toml")
    with pytest.raises(RulesError, match=r"b\.toml: norm@2025-01-01: overlaps the one from 2024-01-01 in a\.toml"):
        book_of(tmp_path)


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ('["07:00-23:00"]', "00:00 is covered not"),
        ('["00:00-24:00", "06:00-07:00"]', "06:00 is covered twice"),
        ('["7-23"]', "is not a span"),
        ('["00:00-23:00"]', "23:00 is not covered"),
    ],
)
def test_tariff_zones_cover_the_day_once(tmp_path: Path, hours: str, message: str) -> None:
    write(
        tmp_path,
        '[[rule]]\nkind = "tariff_zones"\nname = "x"\nvalid_from = 2024-01-01\nsource = "РЭК"\n'
        f'[rule.values]\nzones = [{{ name = "day", hours = {hours} }}]\n',
    )
    with pytest.raises(RulesError, match=message):
        book_of(tmp_path)


def test_fr_19_tariff_zones_are_dated_and_regional() -> None:
    two = load().get(TariffZones, date(2026, 1, 1), name="two")[1]
    three = load().get(TariffZones, date(2026, 1, 1), name="three")[1]
    at = [
        datetime(2026, 1, 1, hour, minute)  # noqa: DTZ001 (a clock on the wall)
        for hour, minute in ((6, 59), (7, 0), (12, 0), (17, 0), (22, 59), (23, 0), (0, 0))
    ]
    assert [zone_at(t, two) for t in at] == ["night", "day", "day", "day", "day", "night", "night"]
    assert [zone_at(t, three) for t in at] == ["night", "peak", "half_peak", "peak", "half_peak", "night", "night"]

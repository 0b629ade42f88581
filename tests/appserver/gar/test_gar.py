"""ГАР: a region out of the published files, the tree, the search by text, the object behind an old GUID of ФИАС."""

from __future__ import annotations

import io
import sqlite3
import tracemalloc
from pathlib import Path
from typing import IO

import pytest

from appserver.gar import GarError, Options, Source, load, open_register
from appserver.gar.records import records
from appserver.gar.register import FILE, Address
from tests.support import gar_sample as sample

NOW = 1_793_000_000_000_000
WHOLE = Options(apartments=True, history=True)


def loaded(tmp_path: Path, options: Options = WHOLE, path: Path | None = None) -> Path:
    with Source(path or sample.write_zip(tmp_path / "gar_xml.zip")) as source:
        load(tmp_path / FILE, source, "74", NOW, options)
    return tmp_path


def found(data: Path, text: str, limit: int = 20) -> list[str]:
    with open_register(data) as register:
        return [address.address for address in register.search(text, limit)]


def behind(data: Path, number: int) -> Address | None:
    with open_register(data) as register:
        return register.find(sample.guid(number).upper())


def test_fr_24_a_region_out_of_the_archive(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    with open_register(data) as register:
        (region,) = register.regions()
        assert (region.code, region.name, region.stamp) == ("74", "Челябинская обл.", "20260903")
        assert (region.places, region.houses, region.apartments, region.imported_at_us) == (4, 6, 3, NOW)
        house = register.object(1000)
    assert house is not None
    assert house.address == "Челябинская обл., г. Сатка, ул. Бакальская, д. 12"
    assert (house.guid, house.postcode, house.oktmo) == (sample.guid(1000), "456910", "75657101001")
    assert house.cadastral == "74:18:0803101:45"


def test_a_folder_and_the_folder_of_one_region(tmp_path: Path) -> None:
    folder = sample.write_folder(tmp_path / "unpacked")
    with Source(folder) as source:
        assert source.regions == ["66", "74"]
        whole = load(tmp_path / "a" / FILE, source, "74", NOW)
    with Source(folder / "74", region="74") as source:
        assert load(tmp_path / "b" / FILE, source, "74", NOW) == whole


def test_chosen_regions_only_and_again_changes_nothing(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    rows = (
        "SELECT * FROM object ORDER BY id",
        "SELECT * FROM old_guid ORDER BY guid",
        "SELECT * FROM place ORDER BY rowid",
    )

    def content() -> list[list[tuple[object, ...]]]:
        with sqlite3.connect(data / FILE) as connection:
            return [connection.execute(query).fetchall() for query in rows]

    before = content()
    assert {row[2] for row in before[0]} == {"74"}
    loaded(tmp_path)
    assert content() == before
    with Source(tmp_path / "gar_xml.zip") as source:
        load(data / FILE, source, "66", NOW)
    with open_register(data) as register:
        assert [region.code for region in register.regions()] == ["66", "74"]
    assert [rows for rows in content()[0] if rows[2] == "74"] == before[0]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Сатка Бакальская 12", "ул. Бакальская, д. 12"),
        ("г. Сатка, ул. Бакальская, д. 12", "ул. Бакальская, д. 12"),
        ("сатка бакал 12", "ул. Бакальская, д. 12"),
        ("Сатка, Бакальская, 12 корп. 3", "ул. Бакальская, д. 12 к. 3"),
        ("Бакальская 12а", "ул. Бакальская, д. 12А"),
        ("Сатка 40 лет Победы 12", "ул. 40 лет Победы, д. 12"),
        ("Бакальская 5", "ул. Бакальская, зд. 5"),
        ("Челябинская область Сатка 40 лет победы", "г. Сатка, ул. 40 лет Победы"),
        ("ЧЕЛЯБИНСКАЯ", "Челябинская обл."),
    ],
)
def test_search_by_text(tmp_path: Path, text: str, first: str) -> None:
    assert found(loaded(tmp_path), text)[0].endswith(first)


def test_search_shows_all_that_begin_so_the_exact_one_first(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    ends = [address.rsplit(", ", 1)[1] for address in found(data, "Бакальская 12")]
    assert ends == ["д. 12", "д. 120", "д. 12А", "д. 12 к. 3"]
    assert found(data, "Бакальская 12", limit=2)[1].endswith("д. 120")
    for nothing in (
        "Марсова 1",
        "",
        '"; DROP TABLE object; --',
        "Бакальская 77 * OR",
        "(((",
        "NEAR/2 12",
        "-",
        "Ленинская 7",
    ):
        assert found(data, nothing) == []


@pytest.mark.parametrize(
    ("old", "now", "how"),
    [
        (1000, 1000, ""),  # HOUSEGUID of ФИАС is OBJECTGUID
        (7777, 1000, "object"),  # the object had another GUID
        (0xABCD, 1000, "record"),  # HOUSEID of a single record
        (1005, 1002, "next"),  # joined: the next record is another object's
        (1004, 1003, "address"),  # entered twice
        (302, 300, "next"),  # a street
    ],
)
def test_fr_24_old_guids_lead_to_the_valid_object(tmp_path: Path, old: int, now: int, how: str) -> None:
    address = behind(loaded(tmp_path), old)
    assert address is not None
    assert (address.id, address.active, address.guid, address.how) == (now, True, sample.guid(now), how)
    assert address.was == ("" if old == now else sample.guid(old))


def test_what_nobody_took_over_is_shown_as_it_was(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    gone = behind(data, 1006)
    assert gone is not None
    assert not gone.active
    assert behind(data, 424242) is None
    assert behind(data, 0xABCE) is None


def test_a_division_into_one_is_a_renaming(tmp_path: Path) -> None:
    contents = sample.files()
    (name,) = (name for name in contents if name.startswith("74/AS_ADDR_OBJ_2026"))
    contents[name] = contents[name].replace('NEXTID="3"', 'NEXTID="0"')
    data = loaded(tmp_path, path=sample.write_zip(tmp_path / "other.zip", contents))
    street = behind(data, 302)
    assert street is not None
    assert (street.id, street.how) == (300, "division")


def test_the_tree(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    with open_register(data) as register:

        def below(id_: int | None) -> list[str]:
            return [child.address.rsplit(", ", 1)[-1] for child in register.children(id_)]

        assert below(None) == ["Челябинская обл."]
        assert below(100) == ["г. Сатка"]
        assert below(200) == ["ул. 40 лет Победы", "ул. Бакальская"]
        assert below(300) == ["зд. 5", "д. 12", "д. 120", "д. 12А", "д. 12 к. 3"]
        assert below(1000) == ["кв. 1", "помещ. 3", "кв. 2А"]


def test_without_apartments_and_history(tmp_path: Path) -> None:
    data = loaded(tmp_path, Options())
    with open_register(data) as register:
        assert register.regions()[0].apartments == 0
        assert register.children(1000) == []
    assert behind(data, 0xABCD) is None
    assert behind(data, 7777) is not None


def test_no_register_is_an_empty_one(tmp_path: Path) -> None:
    with open_register(tmp_path) as register:
        assert register.regions() == []
        assert register.search("Сатка") == []
        assert register.find(sample.guid(1)) is None
        assert register.children(None) == []


# -------------------------------------------------------------------------------------------------------- hostile files

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><HOUSES><HOUSE ID="&b;" /></HOUSES>'
)
FILE_THIEF = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><HOUSES><HOUSE ID="&a;" /></HOUSES>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "document type"),
        (FILE_THIEF, "document type"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><HOUSES />', "document type"),
        ("<a>" * 100_000, "nested 5 deep"),
        ('<HOUSES><HOUSE ID="' + "1" * 3_000_000 + '" /></HOUSES>', "longer than"),
        ("<HOUSES><HOUSE", "damaged"),
        ("", "damaged"),
        ("PK\x03\x04", "damaged"),
        ("<HOUSES><HOUSE ID=1 /></HOUSES>", "line 1"),
        ("<HOUSES>&nosuch;</HOUSES>", "damaged"),
    ],
)
def test_files_that_are_not_read(text: str, said: str) -> None:
    with pytest.raises(GarError, match=said) as refused:
        list(records(io.BytesIO(text.encode()), "74/AS_HOUSES.XML"))
    assert "74/AS_HOUSES.XML" in str(refused.value)


class _Endless(io.RawIOBase):
    """A file of ``count`` houses that is never in memory as a whole."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._rest = b"<HOUSES>"

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and self._left:
            self._rest += b'<HOUSE ID="%d" OBJECTID="1" OBJECTGUID="g" HOUSENUM="12" HOUSETYPE="2" />' % self._left * 50
            self._left -= 1
            if not self._left:
                self._rest += b"</HOUSES>"
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def test_memory_stays_flat_whatever_the_size() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        stream: IO[bytes] = _Endless(count)  # type: ignore[assignment]
        assert sum(1 for _ in records(stream, "x")) == count * 50
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    small, large = peak(300), peak(3000)  # 1 MB and 11 MB
    assert large < small * 1.5 + 500_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop(next(n for n in c if n.startswith("74/AS_HOUSES_2026"))), "no AS_HOUSES"),
        (lambda c: c.pop(next(n for n in c if n.startswith("74/AS_ADM"))), "no hierarchy"),
        (
            lambda c: c.update(
                {n: t.replace(' LEVEL="8"', "") for n, t in c.items() if n.startswith("74/AS_ADDR_OBJ_2026")}
            ),
            "LEVEL",
        ),
        (
            lambda c: c.update({n: t.replace(' OBJECTID="1000"', ' OBJECTID="x"') for n, t in c.items()}),
            "OBJECTID 'x' is no number",
        ),
        (
            lambda c: c.update({n: t.replace(' OBJECTID="1000"', f' OBJECTID="{"9" * 24}"') for n, t in c.items()}),
            "OBJECTID '9{24}' is no number",
        ),
        (
            lambda c: c.update({n: t.replace(' PARENTOBJID="', ' PARENTOBJID="x') for n, t in c.items()}),
            "PARENTOBJID 'x.*' is no number",
        ),
    ],
)
def test_an_extract_that_is_not_whole_changes_nothing(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    data = loaded(tmp_path)
    before = found(data, "Бакальская 12")
    contents = sample.files()
    change(contents)
    with Source(sample.write_zip(tmp_path / "bad.zip", contents)) as source, pytest.raises(GarError, match=said):
        load(data / FILE, source, "74", NOW + 1)
    assert found(data, "Бакальская 12") == before


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    (tmp_path / "empty").mkdir()
    for path, said in (("x.zip", "neither a folder"), ("nothing.zip", "neither"), ("empty", "holds no file")):
        with pytest.raises(GarError, match=said):
            Source(tmp_path / path)
    with (
        Source(sample.write_zip(tmp_path / "gar.zip")) as source,
        pytest.raises(GarError, match="no region 77; there are 66, 74"),
    ):
        load(tmp_path / FILE, source, "77", NOW)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with Source(sample.write_zip(tmp_path / "gar.zip")) as source:
        load(tmp_path / FILE, source, "74", NOW, progress=lambda *step: told.append(step))
    assert {name.split("/")[1].rsplit("_", 2)[0] for name, _, _ in told} >= {
        "AS_ADDR_OBJ",
        "AS_HOUSES",
        "AS_ADM_HIERARCHY",
    }
    assert all(read == size for _, read, size in told)

"""A small extract of ГАР: the files, elements and attributes as published, a town with one street, written by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

STAMP = "20260903_00000000-0000-0000-0000-00000000000"
REGION, TOWN, STREET, OTHER_STREET = 100, 200, 300, 301
END = "2079-06-06"


def guid(number: int) -> str:
    """A GUID that tells its object."""
    return f"{number:08x}-70a0-4932-980c-b4dc0d3f02b5"


def element(tag: str, **attributes: object) -> str:
    """One record."""
    written = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<{tag} {written} />"


def version(number: int, object_id: int, of: int | None = None, **more: object) -> dict[str, object]:
    """What every record of an object has; ``of`` gives it another GUID than its own."""
    return {
        "ID": number, "OBJECTID": object_id, "OBJECTGUID": guid(of or object_id), "CHANGEID": number + 7, **more,
        "OPERTYPEID": 10, "PREVID": more.pop("PREVID", 0), "NEXTID": more.pop("NEXTID", 0), "UPDATEDATE": "2020-01-01",
        "STARTDATE": "2012-03-13", "ENDDATE": more.pop("ENDDATE", END), "ISACTUAL": more.pop("ISACTUAL", 1),
        "ISACTIVE": more.pop("ISACTIVE", 1),
    }  # fmt: skip


def place(number: int, object_id: int, name: str, type_: str, level: int, **more: object) -> str:
    return element("OBJECT", **version(number, object_id, NAME=name, TYPENAME=type_, LEVEL=level, **more))


def house(number: int, object_id: int, housenum: str, type_: int = 2, **more: object) -> str:
    return element("HOUSE", **version(number, object_id, HOUSENUM=housenum, HOUSETYPE=type_, **more))


def apartment(number: int, object_id: int, flat: str, type_: int = 2) -> str:
    return element("APARTMENT", **version(number, object_id, NUMBER=flat, APARTTYPE=type_))


def link(number: int, object_id: int, parent: int, path: str, active: int = 1) -> str:
    return element(
        "ITEM", ID=number, OBJECTID=object_id, PARENTOBJID=parent, CHANGEID=number, REGIONCODE=74, AREACODE=0, CITYCODE=1,
        PLACECODE=0, PLANCODE=0, STREETCODE=7, PREVID=0, NEXTID=0, UPDATEDATE="2020-01-01", STARTDATE="2012-03-13",
        ENDDATE=END if active else "2019-01-01", ISACTIVE=active, PATH=path,
    )  # fmt: skip


def parameter(number: int, object_id: int, type_: int, value: str, ended: int = 0) -> str:
    return element(
        "PARAM", ID=number, OBJECTID=object_id, CHANGEID=number, CHANGEIDEND=ended, TYPEID=type_, VALUE=value,
        UPDATEDATE="2020-01-01", STARTDATE="2012-03-13", ENDDATE=END,
    )  # fmt: skip


def files() -> dict[str, str]:
    """Names and contents of a region 74 and, to be left alone, a region 66."""
    street = "100.200.300"
    region = {
        "AS_ADDR_OBJ": ("ADDRESSOBJECTS", [
            place(1, REGION, "Челябинская", "обл", 1),
            place(2, TOWN, "Сатка", "г", 5),
            place(3, STREET, "Бакальская", "ул", 8),
            place(4, OTHER_STREET, "40 лет Победы", "ул", 8),
            # The street had another name once: the same object.
            place(5, STREET, "Ленинская", "ул", 8, ISACTUAL=0, ISACTIVE=0, ENDDATE="2015-01-01", NEXTID=3),
            # A street that was joined to Бакальская: another object, dead; its record leads on.
            place(6, 302, "Бакальский", "пер", 8, ISACTUAL=1, ISACTIVE=0, ENDDATE="2018-01-01", NEXTID=3),
        ]),
        "AS_HOUSES": ("HOUSES", [
            house(11, 1000, "12"),
            house(12, 1001, "12", ADDNUM1="3", ADDTYPE1=1),
            house(13, 1002, "12А"),
            house(14, 1003, "5", type_=5),
            house(15, 1010, "120"),
            # Entered twice: the first entry is dead, the same number lives on.
            house(16, 1004, "5", ISACTUAL=1, ISACTIVE=0, ENDDATE="2016-01-01"),
            # Renumbered: 7 became 12А, with an object of its own.
            house(17, 1005, "7", ISACTUAL=0, ISACTIVE=0, ENDDATE="2017-01-01", NEXTID=13),
            # An older record of 12 under another GUID.
            house(18, 1000, "12", of=7777, ISACTUAL=0, ISACTIVE=0, ENDDATE="2014-01-01", NEXTID=11),
            # Pulled down; nobody took over.
            house(19, 1006, "9", ISACTUAL=1, ISACTIVE=0, ENDDATE="2019-01-01"),
            house(20, 1020, "12"),
        ]),
        "AS_APARTMENTS": ("APARTMENTS", [apartment(30, 5001, "1"), apartment(31, 5002, "2А"), apartment(32, 5003, "3", 1)]),
        "AS_ADM_HIERARCHY": ("ITEMS", [
            link(40, REGION, 0, "100"), link(41, TOWN, REGION, "100.200"), link(42, STREET, TOWN, street),
            link(43, OTHER_STREET, TOWN, "100.200.301"), link(44, 302, TOWN, "100.200.302", active=0),
            *(link(50 + n, 1000 + n, STREET, f"{street}.{1000 + n}", active=n < 4) for n in range(7)),
            link(60, 1010, STREET, f"{street}.1010"), link(61, 1020, OTHER_STREET, "100.200.301.1020"),
            *(link(70 + n, 5001 + n, 1000, f"{street}.1000.{5001 + n}") for n in range(3)),
        ]),
        "AS_HOUSES_PARAMS": ("PARAMS", [
            parameter(80, 1000, 5, "456910"), parameter(81, 1000, 5, "456900", ended=90),
            parameter(82, 1000, 7, "75657101001"), parameter(83, 1000, 8, "74:18:0803101:45"), parameter(84, 1000, 6, "75"),
        ]),
        "AS_ADDR_OBJ_DIVISION": ("ITEMS", [
            element("ITEM", ID=1, PARENTID=302, CHILDID=STREET, CHANGEID=5),
        ]),
        "AS_CHANGE_HISTORY": ("ITEMS", [
            element("ITEM", CHANGEID=18, OBJECTID=1000, ADROBJECTID=guid(0xABCD), OPERTYPEID=10, CHANGEDATE="2012-03-13"),
            element("ITEM", CHANGEID=19, OBJECTID=424242, ADROBJECTID=guid(0xABCE), OPERTYPEID=10, CHANGEDATE="2012-03-13"),
        ]),
    }  # fmt: skip
    made = {
        f"74/{kind}_{STAMP}{n % 10}.XML": document(root, records)
        for n, (kind, (root, records)) in enumerate(region.items())
    }
    made[f"66/AS_ADDR_OBJ_{STAMP}1.XML"] = document("ADDRESSOBJECTS", [place(900, 9000, "Свердловская", "обл", 1)])
    made[f"66/AS_HOUSES_{STAMP}1.XML"] = document("HOUSES", [])
    made[f"66/AS_ADM_HIERARCHY_{STAMP}1.XML"] = document("ITEMS", [])
    types = [element("HOUSETYPE", ID=2, NAME="Дом", SHORTNAME="д.", DESC="Дом", ISACTIVE="true")]
    made[f"AS_HOUSE_TYPES_{STAMP}1.XML"] = document("HOUSETYPES", types)
    made["version.txt"] = "2026.09.03"
    return made


def document(root: str, records: list[str]) -> str:
    return f'\ufeff<?xml version="1.0" encoding="utf-8"?><{root}>{"".join(records)}</{root}>'


def write_zip(path: Path, contents: dict[str, str] | None = None) -> Path:
    """The archive as it is published."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (contents if contents is not None else files()).items():
            archive.writestr(name, text)
    return path


def write_folder(path: Path) -> Path:
    """The same unpacked."""
    for name, text in files().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path

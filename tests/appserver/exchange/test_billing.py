"""FR-22: the registry for billing, of an open and of a closed month, in the columns and marks that a billing wants."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.exchange import billing
from appserver.metering.corrections import correct
from appserver.metering.periods import close_period
from appserver.metering.readings import NewReading, store
from tests.appserver.metering.test_closed_periods import NOVEMBER, NOW_US, OCTOBER, WATER, at, db, house  # noqa: F401
from tests.support.console import Console
from tests.support.house import FIRST_DAY, House, make_house


def parsed(data: bytes, encoding: str = "utf-8", delimiter: str = ";") -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(encoding)), delimiter=delimiter))


def test_fr_22_a_row_for_each_account_with_value_volume_and_basis(db: Database, house: House) -> None:  # noqa: F811
    head, one, two = parsed(billing.write(billing.rows(db, house.building_id, OCTOBER), billing.Template()))
    assert head == list(billing.COLUMNS)
    assert dict(zip(head, one, strict=True)) == {
        "account": "74011",
        "fias_house": "",
        "premises": "1",
        "serial": f"{house.building_id}1",
        "resource": WATER,
        "register": "volume",
        "date": "01.11.2026",
        "value": "103.100",
        "volume": "3.100",
        "basis": "measured",
        "quality": "measured",
        "recalculation": "",
    }
    assert two[0] == "74012"


def test_fr_22_columns_marks_and_encoding_of_choice(db: Database, house: House) -> None:  # noqa: F811
    how = billing.template("premises=КВ,value=ПОК_ТЕК", True, "tab", "cp1251", True)
    assert parsed(billing.write(billing.rows(db, house.building_id, OCTOBER), how), "cp1251", "\t") == [
        ["КВ", "ПОК_ТЕК"],
        ["1", "103,100"],
        ["2", "106,200"],
    ]
    with pytest.raises(RegistryError, match="no column 'name'"):
        billing.template("name")


def test_fr_22_a_closed_month_goes_out_as_it_was_closed_and_the_next_with_the_recalculation(
    db: Database,  # noqa: F811
    house: House,  # noqa: F811
) -> None:
    close_period(db, house.building_id, WATER, OCTOBER, NOVEMBER, author="a", now_us=NOW_US)
    before = billing.rows(db, house.building_id, OCTOBER)
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="b", reason="photo", now_us=NOW_US + 1)
    assert billing.rows(db, house.building_id, OCTOBER) == before
    one, two = billing.rows(db, house.building_id, NOVEMBER)
    assert (one["volume"], one["recalculation"], two["recalculation"]) == (Decimal("2.5"), Decimal("0.5"), None)


async def test_fr_22_over_http(console: Console) -> None:
    made = make_house(console.services.database)
    end = int((FIRST_DAY + timedelta(days=31)).timestamp()) * 1_000_000
    with console.services.database.transaction() as connection:
        store(connection, [NewReading(made.meters["1"], "volume", end, 103_000_000, "archive", "lorawan", end)], end)
    path = f"/billing/registry?building_id={made.building_id}&month=2026-10-01&columns=account,volume&decimal=comma"
    answer = await console.api("GET", path, role="dispatcher")
    assert answer.status == 200, answer.text
    assert parsed(answer.body)[:2] == [["account", "volume"], ["74011", "3,000"]]
    month = await console.api("GET", path.replace("2026-10-01", "2026-10"), role="dispatcher")
    assert month.body == answer.body
    assert (await console.api("GET", path.replace("2026-10-01", "2026-13"))).status == 422
    assert (await console.api("GET", path.replace("account,", "name,"))).status == 422
    assert (await console.api("GET", path.replace("building_id=1", "building_id=9"))).status == 404
    assert (await console.api("GET", path, role="viewer")).status == 403


async def test_fr_22_the_registry_is_taken_from_the_page_of_the_house(console: Console) -> None:
    made = make_house(console.services.database)
    await console.sign_in(role="dispatcher")
    page = (await console.ask("GET", f"/houses/{made.building_id}?period=2026-10")).text
    links = re.findall(r'href="(/api/v1/billing/registry[^"]+)"', page)
    assert len(links) == 2
    for link in links:
        answer = await console.ask("GET", unescape(link))
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Disposition"].endswith('.csv"')

"""Other people's messages: paths, times, numbers, forms; garbage is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appserver.metering.incoming import Item
from appserver.models import Source
from appserver.sources.mapping import Mapping, read_message
from appserver.sources.messages import rows_of
from appserver.sources.tables import read_readings

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def read(mapping: dict[str, Any], payload: bytes, topic: str = "") -> list[Item]:
    return read_message(Mapping.model_validate(mapping), payload, topic, AT)


def test_a_plain_number_on_a_topic_of_its_own() -> None:
    (item,) = read({"serial": "topic.2", "values": {"value": "."}}, b"12.345", "town/water/18270260")
    assert item == Item(AT, Decimal("12.345"), serial="18270260", archive=False)


def test_a_list_of_readings_with_a_head_for_all() -> None:
    message = b'{"modem": {"sn": "M1"}, "data": [{"t": 1793491200, "v": {"total": 5, "t1": 3.5}}, {"t": "01.11.2026 00:00", "v": {"total": 6}}]}'
    mapping = {"items": "data", "serial": ".modem.sn", "time": "t", "values": {"value": "v.total"}, "kind": "archive"}
    first, second = read(mapping, message)
    assert (first.serial, first.measured_at, first.value, first.archive) == (
        "M1",
        datetime(2026, 11, 1, tzinfo=UTC),
        5,
        True,
    )
    assert second.measured_at == datetime(2026, 11, 1)  # noqa: DTZ001 (the building's clock)


def test_tariffs_factor_account_and_constants() -> None:
    mapping = {
        "account": "ls",
        "resource": "=electricity",
        "time": "at",
        "values": {"energy": "e.0", "energy_t1": "e.1", "energy_t2": "e.2"},
        "factor": "0.001",
    }
    items = read(mapping, b'{"ls": 740011, "at": 1793491200123, "e": [1500, 1000, null]}')
    assert [(i.register_name, i.value, i.account, i.resource) for i in items] == [
        ("energy", Decimal("1.500"), "740011", "electricity"),
        ("energy_t1", Decimal("1.000"), "740011", "electricity"),
    ]
    assert items[0].measured_at == datetime(2026, 11, 1, tzinfo=UTC) + timedelta(milliseconds=123)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"{", "Expecting"),
        (b"\xff\xfe\x00", "decode"),
        (b'{"t": 1}', "'sn' is missing"),
        (b'{"sn": "1", "t": 1}', "'v' is missing"),
        (b'{"sn": "1", "v": true, "t": 1}', "must be a number"),
        (b'{"sn": "1", "v": "abc", "t": 1}', "not a number"),
        (b'{"sn": "1", "v": NaN, "t": 1}', "no number"),
        (b'{"sn": "1", "v": 1, "t": "soon"}', "is not a date"),
        (b'{"sn": "1", "v": 1, "t": 1e99}', "the time is"),
        (b'{"sn": "1", "v": 1, "t": [1]}', "the time is"),
        (b"[" * 100_000, "nested"),
        (b'{"sn": "1\\u0000", "v": 1, "t": 1}', "sn is .* without control characters"),
        (b'{"sn": "\\ud800", "v": 1, "t": 1}', "sn is .* without control characters"),
        (b'{"sn": "1", "v": 1e999999, "t": 1e300}', r"the time is 1E\+300,"),
    ],
)
def test_messages_that_are_refused(payload: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read({"serial": "sn", "time": "t", "values": {"value": "v"}}, payload)


@pytest.mark.parametrize(
    "mapping",
    [{}, {"serial": "a"}, {"values": {"value": "v"}}, {"serial": "a", "values": {}}, {"serial": "a", "values": {"V": "v"}},
     {"serial": "a", "values": {"value": "v"}, "factor": 0}, {"serial": "a", "values": {"value": "v"}, "beer": 1}],
)  # fmt: skip
def test_mappings_that_are_refused(mapping: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Mapping.model_validate(mapping)


MAPPING = {
    "items": "d",
    "serial": "sn",
    "point_id": "p",
    "resource": "r",
    "time": "t",
    "values": {"value": "v", "energy_t1": "w"},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1e999999", "-1", "9" * 30]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["d", "sn", "p", "r", "t", "v", "w"]), inner)
    ),
    max_leaves=12,
)


@given(JSON | st.binary(max_size=60))
def test_whatever_comes_gives_rows(message: Any) -> None:
    """Nothing but rows comes out of any message, and a row that is no reading says why."""
    import json

    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    source = Source(id=1, kind="mqtt", name="x", mapping=MAPPING, created_at_us=0)
    for form in (False, True):
        for row in rows_of(source, payload, "a/b", 1_793_000_000_000_000, form=form):
            assert (row.item is None) == bool(row.problem)


def test_a_modems_form() -> None:
    mapping = {"serial": "sn", "time": "dt", "values": {"value": "p1"}, "kind": "archive"}
    source = Source(id=1, kind="http", name="modem", mapping=mapping, created_at_us=0)
    (row,) = rows_of(source, b"sn=18270260&dt=01.11.2026+00%3A00%3A00&p1=12%2C5&csq=17", "", 0, form=True)
    assert row.item == Item(datetime(2026, 11, 1), Decimal("12.5"), serial="18270260")  # noqa: DTZ001


def test_the_canonical_registry_as_a_table() -> None:
    """The columns of the billing exchange: what is not needed is left alone."""
    lines = [
        "account;fias_house;premises;serial;resource;register;date;value;volume;basis;quality",
        "7401;;1;18270260;cold_water;volume;01.11.2026;5,271;1,79;measured;archive",
        "7402;;2;;ХВС;;01.11.2026;1 234,5;;;",
    ]
    first, second = (row.item for row in read_readings("\n".join(lines).encode("cp1251")))
    assert first is not None and second is not None
    assert (first.serial, first.account, first.value, first.register_name) == (
        "18270260",
        "7401",
        Decimal("5.271"),
        "volume",
    )
    assert (second.account, second.resource, second.value) == ("7402", "cold_water", Decimal("1234.5"))


def test_tariffs_and_a_time_of_its_own_in_a_table() -> None:
    rows = read_readings("Номер ПУ;Дата;Время;Т1;Т2;Показание\nE1;31.10.2026;7:30;10;5;15\n".encode())
    assert [(r.number, r.item.register_name, r.item.value) for r in rows if r.item] == [
        (2, "energy_t1", 10),
        (2, "energy_t2", 5),
        (2, "", 15),
    ]
    assert {r.item.measured_at for r in rows if r.item} == {datetime(2026, 10, 31, 7, 30)}  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("serial;value\n1;2", "no row of headings"),
        ("serial;date;date;value\n1;2;3;4", "twice"),
        ("\0\0\0", "neither"),
    ],
)
def test_files_that_are_no_tables(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_readings(text.encode())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (";01.11.2026;5;;", "number of the meter"),
        ("1;;5;;", "is not a date"),
        ("1;01.11.2026;five;;", "not a number"),
        ("1;01.11.2026;5;beer;", "resource is"),
        ("1;01.11.2026;5;;sometimes", "kind is"),
    ],
)
def test_lines_that_are_refused(line: str, said: str) -> None:
    (row,) = read_readings(f"serial;date;value;resource;kind\n{line}\n".encode())
    assert row.item is None and said in row.problem and row.told["row"]

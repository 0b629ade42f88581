"""Identifiers: text, wire, and the prefixes of NetID types 0 to 7 (TS002, DevAddr assignment)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan.errors import FrameError, StateError
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.wire_strategies import dev_addrs, euis, net_ids

ANY = pytest.mark.parametrize("kind", [EUI64, DevAddr, NetID])


@given(euis | dev_addrs | net_ids)
def test_text_and_wire_make_a_round_trip(value: EUI64 | DevAddr | NetID) -> None:
    kind = type(value)
    assert kind.parse(str(value)) == value
    assert kind.parse(str(value).upper()) == value
    assert kind.from_wire(value.to_wire()) == value
    assert bytes(reversed(value.to_wire())) == bytes.fromhex(str(value))
    assert eval(repr(value)) == value
    assert f"{value}" == str(value)
    assert len(str(value)) == 2 * kind.WIDTH


@pytest.mark.parametrize(
    "text",
    [
        "0004a30b001c0530",
        "00:04:A3:0B:00:1C:05:30",
        "00-04-a3-0b-00-1c-05-30",
        "0004.a30b.001c.0530",
        "0x0004A30B001C0530",
        "  0004A30B_001C0530\n",
    ],
)
def test_separators_are_tolerated(text: str) -> None:
    eui = EUI64.parse(text)
    assert str(eui) == "0004a30b001c0530"
    assert eui.to_wire().hex() == "30051c000ba30400"


@ANY
@pytest.mark.parametrize(
    "text", ["", "0", "zz" * 8, "00" * 9, "0x", "١٢" * 4, "12 34", "+1" * 4, "\x00" * 16, "12\x0b\x0c34\x0b\x0c"]
)
def test_text_that_is_none(kind: type[EUI64 | DevAddr | NetID], text: str) -> None:
    with pytest.raises(FrameError, match=kind.__name__):
        kind.parse(text)


@given(st.text())
def test_any_text_gives_a_value_or_a_frame_error(text: str) -> None:
    for kind in (EUI64, DevAddr, NetID):
        try:
            assert 0 <= kind.parse(text) < 1 << 8 * kind.WIDTH
        except FrameError as error:
            assert error.reason


@ANY
def test_wrong_lengths_and_numbers(kind: type[EUI64 | DevAddr | NetID]) -> None:
    with pytest.raises(FrameError):
        kind.from_wire(bytes(kind.WIDTH + 1))
    for number in (-1, 1 << 8 * kind.WIDTH):
        with pytest.raises(StateError, match=kind.__name__):
            kind(number)
    assert int(kind((1 << 8 * kind.WIDTH) - 1)) == (1 << 8 * kind.WIDTH) - 1


def test_identifiers_are_numbers_and_small() -> None:
    address = DevAddr(0x01020304)
    assert {address: 1}[0x01020304] == 1  # type: ignore[index]
    assert not hasattr(address, "__dict__")


@given(net_ids, st.data())
def test_addresses_of_a_network(net_id: NetID, data: st.DataObject) -> None:
    nwk_addr = data.draw(st.integers(0, 2**net_id.nwk_addr_bits - 1))
    address = net_id.make_dev_addr(nwk_addr)
    assert net_id.owns(address)
    assert address.net_id_type == net_id.type
    assert address.nwk_id == net_id.nwk_id
    assert address.nwk_addr == nwk_addr
    with pytest.raises(StateError, match="does not fit"):
        net_id.make_dev_addr(1 << net_id.nwk_addr_bits)


@given(net_ids, dev_addrs)
def test_a_network_owns_its_prefix_only(net_id: NetID, address: DevAddr) -> None:
    same = address.net_id_type == net_id.type and address.nwk_id == net_id.nwk_id
    assert net_id.owns(address) == same


@pytest.mark.parametrize(
    ("net_id", "prefix", "nwk_addr_bits"),
    # Private networks 000000 and 000001 and the widths of TS002.
    [
        ("000000", "00000000/7", 25),
        ("000001", "02000000/7", 25),
        ("200001", "81000000/8", 24),
        ("400001", "c0100000/12", 20),
        ("600001", "e0020000/15", 17),
        ("800001", "f0008000/17", 15),
        ("a00001", "f8002000/19", 13),
        ("c00001", "fc000400/22", 10),
        ("e00001", "fe000080/25", 7),
    ],
)
def test_prefixes_by_type(net_id: str, prefix: str, nwk_addr_bits: int) -> None:
    assert str(NetID.parse(net_id).dev_addr_prefix()) == prefix
    assert NetID.parse(net_id).nwk_addr_bits == nwk_addr_bits


def test_reserved_addresses_have_no_network() -> None:
    reserved = DevAddr(0xFF000001)
    assert reserved.net_id_type is None
    assert reserved.nwk_id is None
    assert reserved.nwk_addr is None

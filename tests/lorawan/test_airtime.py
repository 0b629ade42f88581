"""Time on air: rows of vectors/airtime.json, each from a public implementation, and the shape of the formulas."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan.airtime import fsk_airtime_us, lora_airtime_us, lr_fhss_airtime_us, required_snr_db
from lorawan.errors import StateError
from tests.support.vectors import Row, load, params

ROWS: list[Row] = load("airtime.json")["rows"]
FUNCTIONS = {"LORA": lora_airtime_us, "FSK": fsk_airtime_us, "LR-FHSS": lr_fhss_airtime_us}


@pytest.mark.parametrize("row", params(ROWS, "modulation", "payload_len", "sf", "code_rate"))
def test_vector(row: Row) -> None:
    arguments = {k: v for k, v in row.items() if k not in ("modulation", "airtime_us", "source")}
    assert FUNCTIONS[row["modulation"]](**arguments) == row["airtime_us"]


@given(
    st.integers(0, 255),
    st.integers(7, 12),
    st.sampled_from((125_000, 203_000, 250_000, 500_000, 812_000)),
    st.booleans(),
    st.booleans(),
    st.integers(1, 4),
    st.integers(6, 20),
)
def test_integer_arithmetic_agrees_with_exact_fractions(
    length: int, sf: int, bw_hz: int, crc: bool, implicit: bool, cr: int, preamble: int
) -> None:
    """The formula as the data sheet prints it, in exact fractions."""
    symbol = Fraction(2**sf, bw_hz)
    low_rate = symbol >= Fraction(16, 1000)
    bits = 8 * length - 4 * sf + 28 + 16 * crc - 20 * implicit
    blocks = max(-(-bits // (4 * (sf - 2 * low_rate))), 0)
    exact = (preamble + Fraction(17, 4) + 8 + blocks * (cr + 4)) * symbol * 1_000_000
    assert abs(lora_airtime_us(length, sf, bw_hz, crc, implicit, cr, preamble) - exact) <= Fraction(1, 2)


@given(st.integers(0, 254), st.integers(5, 11))
def test_longer_and_slower_takes_longer(length: int, sf: int) -> None:
    assert lora_airtime_us(length, sf, 125_000) <= lora_airtime_us(length + 1, sf, 125_000)
    assert lora_airtime_us(length, sf, 125_000) < lora_airtime_us(length, sf + 1, 125_000)
    assert fsk_airtime_us(length) < fsk_airtime_us(length + 1)
    assert lr_fhss_airtime_us(length) < lr_fhss_airtime_us(length + 1)


def test_names_of_lr_fhss_code_rates() -> None:
    assert lr_fhss_airtime_us(20, "2/6") == lr_fhss_airtime_us(20, "1/3")
    assert lr_fhss_airtime_us(20, "4/6") == lr_fhss_airtime_us(20, "2/3")


def test_required_snr() -> None:
    assert [required_snr_db(sf) for sf in range(7, 13)] == [-7.5, -10.0, -12.5, -15.0, -17.5, -20.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: lora_airtime_us(10, 4, 125_000),
        lambda: lora_airtime_us(10, 13, 125_000),
        lambda: lora_airtime_us(10, 7, 0),
        lambda: lora_airtime_us(-1, 7, 125_000),
        lambda: lora_airtime_us(10, 7, 125_000, cr=5),
        lambda: fsk_airtime_us(-1),
        lambda: fsk_airtime_us(1, 0),
        lambda: lr_fhss_airtime_us(10, "5/6"),
        lambda: lr_fhss_airtime_us(-1),
        lambda: required_snr_db(13),
    ],
)
def test_impossible_packets_are_our_error(call: object) -> None:
    assert callable(call)
    with pytest.raises(StateError):
        call()

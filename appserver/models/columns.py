"""Column types that SQLite lacks: exact decimals."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

MICRO = 1_000_000
_STEP = Decimal("0.000001")
_SHOWN = Decimal("0.001")


def to_micro(value: Decimal) -> int:
    """A value as whole millionths of its unit, rounded half to even."""
    return int(value.quantize(_STEP, ROUND_HALF_EVEN).scaleb(6))


def exact(value: int) -> Decimal:
    """The value of whole millionths, with all six decimals."""
    return Decimal(value).scaleb(-6)


def neat(value: Decimal) -> Decimal:
    """The same value without trailing zeros beyond the third decimal."""
    shorter = value.quantize(_SHOWN)
    return shorter if shorter == value else value.normalize()


def from_micro(value: int) -> Decimal:
    """The value of whole millionths, without trailing zeros beyond the third decimal."""
    return exact(value).quantize(_SHOWN) if value % 1000 == 0 else exact(value).normalize()


class MicroDecimal(TypeDecorator[Decimal]):
    """A Decimal kept as an integer number of millionths."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micro(Decimal(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else from_micro(value)


class TextDecimal(TypeDecorator[Decimal]):
    """A Decimal kept as text, for factors that need more than six decimals."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(Decimal(value), "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)

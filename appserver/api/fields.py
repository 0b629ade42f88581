"""Types of the API's fields: how identifiers, bytes, times and volumes look in JSON."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar, overload

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

_SEPARATORS = re.compile(r"[-:. ]")
EARLIEST_DAY = date(1990, 1, 1)
LATEST_DAY = date(2200, 1, 1)


class Input(BaseModel):
    """A body, a path or a query: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Output(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)


def _hex(digits: int) -> Any:
    def check(value: Any) -> str:
        text = _SEPARATORS.sub("", value).lower() if isinstance(value, str) else ""
        if len(text) != digits or not re.fullmatch(r"[0-9a-f]+", text):
            raise ValueError(f"must be {digits} hexadecimal digits")
        return text

    schema = {"type": "string", "pattern": f"^[0-9a-f]{{{digits}}}$", "minLength": digits, "maxLength": digits}
    return Annotated[str, BeforeValidator(check), WithJsonSchema(schema)]


Eui = _hex(16)
Key128 = _hex(32)
DevAddrHex = _hex(8)


def no_control(value: str) -> str:
    if any(ord(c) < 32 and c not in "\t\r\n" for c in value) or "\x7f" in value:
        raise ValueError("must not contain control characters")
    return value


Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(no_control)]
RequiredName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(no_control)]
Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(no_control)]
Search = Annotated[str, StringConstraints(max_length=200), AfterValidator(no_control)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(no_control)],
        Annotated[str, StringConstraints(max_length=400), AfterValidator(no_control)],
    ],
    Field(max_length=50),
]


def _from_base64(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("must be base64 text")
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64 text") from error


Base64 = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


def _in_range(value: datetime) -> datetime:
    if not EARLIEST_DAY.year <= value.year <= LATEST_DAY.year:
        raise ValueError(f"must be between {EARLIEST_DAY.year} and {LATEST_DAY.year}")
    return value


def _day_in_range(value: date) -> date:
    if not EARLIEST_DAY <= value <= LATEST_DAY:
        raise ValueError(f"must be between {EARLIEST_DAY} and {LATEST_DAY}")
    return value


def _time_is_text(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-11-01T00:00:00+03:00")
    # In an address a bare "+" means a space.
    return value.replace(" ", "+") if isinstance(value, str) and value.count(" ") == 1 and "T" in value else value


Time = Annotated[
    AwareDatetime,
    BeforeValidator(_time_is_text),
    AfterValidator(_in_range),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Day = Annotated[date, AfterValidator(_day_in_range), WithJsonSchema({"type": "string", "format": "date"})]


def _first_of_month(value: Any) -> Any:
    return f"{value}-01" if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}", value) else value


Month = Annotated[
    date,
    BeforeValidator(_first_of_month),
    AfterValidator(_day_in_range),
    WithJsonSchema({"type": "string", "format": "date", "description": "A month (2026-10), or any day of it"}),
]


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _decimal_text(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError('must be a decimal string such as "12.345"')
    if isinstance(value, str) and len(value) > 40:
        raise ValueError("must have at most 40 characters")
    return value


_DECIMAL_SCHEMA = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
Volume = Annotated[
    Decimal,
    BeforeValidator(_decimal_text),
    Field(max_digits=24, decimal_places=9, allow_inf_nan=False),
    PlainSerializer(_plain, return_type=str),
    WithJsonSchema(_DECIMAL_SCHEMA),
]


@overload
def time_of(microseconds: int) -> datetime: ...
@overload
def time_of(microseconds: int | None) -> datetime | None: ...
def time_of(microseconds: int | None) -> datetime | None:
    """A moment as the API shows it, out of microseconds since 1970 UTC."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


class PageQuery(Input):
    """A page of a list: at most ``limit`` items after ``cursor``; ``q`` searches names and numbers."""

    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(max_length=200), AfterValidator(no_control)] = ""
    q: Search = ""


ItemT = TypeVar("ItemT")


class Page(Output, Generic[ItemT]):
    """A page of a list; ``next_cursor`` is null on the last one."""

    items: list[ItemT]
    next_cursor: str | None = None

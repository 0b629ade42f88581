"""Where in another program's message what stands. Pure.

A path names a value: ``data.readings.0.value`` goes down objects and lists, ``.`` is the message itself, ``topic.2`` a level
of the MQTT topic (from 0), ``=text`` the text that follows. A message that is no JSON is its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as Values
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from appserver.metering.incoming import Item, read_moment, read_value
from appserver.models.registry import RESOURCES

Path = Annotated[str, StringConstraints(max_length=200)]
Register = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
MILLISECONDS_FROM = 100_000_000_000
"""A whole number of seconds that large lies in the year 5138: it is milliseconds."""
MAX_ITEMS = 5000


class Mapping(BaseModel):
    """Paths of what a reading is made of; within ``items`` when that is given, else in the whole message."""

    model_config = ConfigDict(extra="forbid")

    items: Path = ""
    """The list of readings; empty: the message is one, or a list of them."""
    serial: Path = ""
    meter_id: Path = ""
    point_id: Path = ""
    account: Path = ""
    resource: Path = ""
    time: Path = ""
    """The moment, empty: that of the reception. ISO, ``01.11.2026 00:00``, or seconds or milliseconds since 1970; without a
    zone it is the building's clock."""
    values: Annotated[dict[Register, Path], Field(min_length=1, max_length=40)]
    """Register → path; the register ``value`` is the principal one of the meter."""
    factor: Annotated[Decimal, Field(gt=0, le=10**9)] = Decimal(1)
    """Units of the resource in one of the message's."""
    kind: Literal["archive", "current"] = "current"
    """Whether the meter had stored the value at that moment."""

    @model_validator(mode="after")
    def _names_a_meter(self) -> Mapping:
        if not (self.serial or self.meter_id or self.point_id or self.account):
            raise ValueError("one of serial, meter_id, point_id and account must be given")
        return self


def read_message(mapping: Mapping, payload: bytes, topic: str, received_at: datetime) -> list[Item]:
    """The readings in a message. Raises ValueError with what is missing and where."""
    return items_of(mapping, parse(payload), topic, received_at)


_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""What no meter is called, and no database keeps: control characters, halves of a character of UTF-16."""


def parse(payload: bytes) -> Any:
    """A message's content: JSON with decimals, else its text. Raises ValueError for bytes that are no text."""
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the message is no UTF-8 text: byte {error.start} cannot be decoded") from None
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("the message is nested too deeply") from None
    except json.JSONDecodeError:
        if text.lstrip()[:1] in ("{", "["):
            raise
        return text.strip()


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def items_of(mapping: Mapping, message: Any, topic: str, received_at: datetime) -> list[Item]:
    """The readings in a message that is parsed."""
    found = _find(mapping.items, message, message, topic) if mapping.items else message
    entries = found if isinstance(found, list) else [found]
    if len(entries) * len(mapping.values) > MAX_ITEMS:
        raise ValueError(f"the message has more than {MAX_ITEMS} readings; send it in parts")
    return [item for entry in entries for item in _items(mapping, entry, message, topic, received_at)]


def _items(mapping: Mapping, entry: Any, message: Any, topic: str, received_at: datetime) -> list[Item]:
    def text(path: str) -> str:
        told = str(_find(path, entry, message, topic)).strip() if path else ""
        if _UNWRITABLE.search(told):
            raise ValueError(f"{path} is {told[:80]!r}, it must be text without control characters")
        return told

    def number(path: str, name: str) -> int | None:
        if not path:
            return None
        if not (told := text(path)).isdecimal() or len(told) > 18:
            raise ValueError(f"{name} is {told!r}, it must be a whole number")
        return int(told)

    resource = text(mapping.resource)
    if resource and resource not in RESOURCES:
        raise ValueError(f"resource is {resource!r}, it must be one of {', '.join(RESOURCES)}")
    at = _moment(_find(mapping.time, entry, message, topic)) if mapping.time else received_at
    place = {
        "serial": text(mapping.serial),
        "meter_id": number(mapping.meter_id, "meter_id"),
        "point_id": number(mapping.point_id, "point_id"),
        "account": text(mapping.account),
        "resource": resource,
    }
    made = []
    for register, path in mapping.values.items():
        told = _find(path, entry, message, topic)
        if told is None and len(mapping.values) > 1:
            continue  # a meter without this tariff
        name = "" if register == "value" else register
        made.append(
            Item(at, _value(told) * mapping.factor, register_name=name, archive=mapping.kind == "archive", **place)  # type: ignore[arg-type]
        )
    if not made:
        raise ValueError("none of the values is there")
    return made


def _find(path: str, entry: Any, message: Any, topic: str) -> Any:
    """The value at a path. Raises ValueError when there is none."""
    if path.startswith("="):
        return path[1:]
    if path == ".":
        return entry
    steps = path.split(".")
    if steps[0] == "topic":
        entry, steps = topic.split("/"), steps[1:]
    elif steps[0] == "":
        entry, steps = message, steps[1:]  # ".gateway.serial": from the whole message
    for step in steps:
        if isinstance(entry, Values) and step in entry:
            entry = entry[step]
        elif isinstance(entry, list) and step.isdecimal() and int(step) < len(entry):
            entry = entry[int(step)]
        else:
            raise ValueError(f"there is no {path}: {step!r} is missing")
    return entry


def _value(told: Any) -> Decimal:
    if isinstance(told, bool) or not isinstance(told, int | Decimal | str):
        raise ValueError(f"the value is {_shown(told)}, it must be a number")
    try:
        return read_value(told) if isinstance(told, str) else Decimal(told)
    except InvalidOperation:
        raise ValueError(f"the value is {_shown(told)}, it must be a number") from None


def _shown(told: Any) -> str:
    return str(told) if isinstance(told, Decimal) else repr(told)


def _moment(told: Any) -> datetime:
    if isinstance(told, str) and not told.strip().isdecimal():
        return read_moment(told)
    try:
        seconds = Decimal(str(told).strip())
        if isinstance(told, bool) or not seconds.is_finite() or seconds < 0:
            raise ValueError
        if seconds >= MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(float(seconds), UTC)
    except (ArithmeticError, ValueError, OSError):
        raise ValueError(f"the time is {_shown(told)}, it must be a date or seconds since 1970") from None

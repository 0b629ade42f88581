"""Messages of sources, out of a broker or pushed by a program: bytes → rows of a delivery, and refused ones again."""

from __future__ import annotations

import base64
from collections.abc import Mapping as Values
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.incoming import Item
from appserver.metering.timebase import moment
from appserver.models import Source
from appserver.sources.intake import Refused, Row, item_of
from appserver.sources.mapping import Mapping, items_of, parse, read_message
from appserver.sources.store import find_source
from appserver.sources.tables import item_of_row

FORM = "application/x-www-form-urlencoded"


def rows_of(
    source: Source, payload: bytes, topic: str, received_at_us: int, form: bool = False, first: int = 0
) -> list[Row]:
    """A message as rows; one that cannot be read is one row with the reason, kept whole.

    ``form``: it is an HTML form, as GSM modems send it. ``first`` is the number of its first row.
    """
    mapping = Mapping.model_validate(source.mapping)
    at = moment(received_at_us)
    try:
        items = items_of(mapping, read_form(payload), topic, at) if form else read_message(mapping, payload, topic, at)
    except (ValueError, ArithmeticError, RecursionError) as error:
        told = {"topic": topic, "at": at.isoformat(), "form": form, "payload": base64.b64encode(payload).decode()}
        return [Row(first, None, told, f"{topic}: {error}" if topic else str(error))]
    return [Row(first + number, item) for number, item in enumerate(items)]


def read_form(payload: bytes) -> dict[str, str]:
    """The fields of a form; of several with one name the last. Raises ValueError."""
    return dict(parse_qsl(payload.decode(), keep_blank_values=True, max_num_fields=1000))


def readers(db: Database) -> Any:
    """A function that reads refused things again, with the mapping their source has now."""
    found: dict[int, Source | None] = {}

    def source_of(id_: int | None) -> Source:
        if id_ is not None and id_ not in found:
            try:
                found[id_] = find_source(db, id_)
            except RegistryError:
                found[id_] = None
        source = None if id_ is None else found[id_]
        if source is None:
            raise ValueError("its source is no more")
        return source

    def read(entry: Refused) -> list[Item]:
        told: Values[str, Any] = entry.told
        if "payload" in told:
            mapping = Mapping.model_validate(source_of(entry.source_id).mapping)
            payload, at = base64.b64decode(told["payload"]), datetime.fromisoformat(told["at"])
            message = read_form(payload) if told.get("form") else parse(payload)
            return items_of(mapping, message, told["topic"], at)
        if "row" in told:
            return [item_of_row(told["row"])]
        return [item_of(told)]

    return read

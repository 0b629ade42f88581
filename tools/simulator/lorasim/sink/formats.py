"""Events as ChirpStack v4, MeterWAN (ChirpStack's form, and its own about metering) and The Things Stack v3 write them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

Line = dict[str, Any]


class FormatError(ValueError):
    """The body is no event that we know; the text says what is wrong with it."""


def line_of(body: bytes, event: str = "") -> Line:
    """What an event says, for a line of the sink's file.

    ``event``: its type where the way of delivery tells it (``?event=up``, the last word of a topic). Raises FormatError.
    """
    try:
        told = json.loads(body)
    except ValueError as error:
        raise FormatError(f"not JSON: {error}") from error
    if not isinstance(told, dict):
        raise FormatError(f"JSON, but no object: {type(told).__name__}")
    try:
        for sign, form in _FORMS:
            if sign in told:
                return form(told, event)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise FormatError(f"{type(error).__name__}: {error}") from error
    raise FormatError(f"none of {', '.join(sign for sign, _ in _FORMS)} is in it")


def _chirpstack(told: Line, event: str) -> Line:
    event = event or ("up" if "fCnt" in told else "join" if "devAddr" in told else "unknown")
    line: Line = {
        "event": event,
        "form": "chirpstack",
        "dev_eui": _eui(told["deviceInfo"]["devEui"]),
        "id": told.get("deduplicationId", ""),
        "at_us": _time_us(told.get("time")),
    }
    if event == "up":
        line |= _up(
            told.get("devAddr"), told.get("fCnt", 0), told.get("fPort"), told.get("data"), told.get("confirmed")
        )
        line["gateways"] = sorted({_eui(one["gatewayId"]) for one in told.get("rxInfo", ())})
    elif event == "join":
        line["dev_addr"] = str(told["devAddr"]).lower()
    elif event in ("ack", "txack"):
        line |= {
            "item": told.get("queueItemId", ""),
            "f_cnt_down": told.get("fCntDown"),
            "acked": told.get("acknowledged"),
        }
    elif event == "log":
        line |= {"level": told.get("level"), "code": told.get("code"), "text": told.get("description")}
    return line


def _things_stack(told: Line, event: str) -> Line:
    ids = told["end_device_ids"]
    kind = next((name for name in _THINGS if name in told), "")
    line: Line = {
        "event": _THINGS.get(kind, event or "unknown"),
        "form": "the-things-stack",
        "dev_eui": _eui(ids.get("dev_eui", "")),
        "id": next((one for one in told.get("correlation_ids", ()) if one.startswith("as:up:")), ""),
        "at_us": _time_us(told.get("received_at")),
    }
    if kind == "uplink_message":
        up = told[kind]  # what is zero or empty is left out
        line |= _up(
            ids.get("dev_addr"), up.get("f_cnt", 0), up.get("f_port"), up.get("frm_payload"), up.get("confirmed", False)
        )
        named = (one.get("gateway_ids", {}).get("eui", "") for one in up.get("rx_metadata", ()))
        line["gateways"] = sorted({_eui(eui) for eui in named if eui})
    elif kind == "join_accept":
        line["dev_addr"] = str(ids.get("dev_addr", "")).lower()
    return line


_THINGS = {
    "uplink_message": "up",
    "join_accept": "join",
    "downlink_ack": "ack",
    "downlink_nack": "nack",
    "downlink_sent": "txack",
    "downlink_queued": "queued",
    "downlink_failed": "failed",
    "location_solved": "location",
    "service_data": "service",
}


def _metering(told: Line, event: str) -> Line:
    """MeterWAN's events about meters; the topic says which."""
    about = told.get(told["topic"].rsplit("/", 1)[-1], {})
    return {
        "event": event or told["topic"].rsplit("/", 1)[-1],
        "form": "meterwan",
        "dev_eui": _eui(about.get("devEui") or ""),
        "id": str(about.get("id", "")),
        "at_us": _time_us(told.get("time")),
    }


_FORMS: tuple[tuple[str, Callable[[Line, str], Line]], ...] = (
    ("deviceInfo", _chirpstack),
    ("end_device_ids", _things_stack),
    ("topic", _metering),
)
"""A form is known by one key."""


def _up(dev_addr: str | None, f_cnt: int, f_port: int | None, data: str | None, confirmed: bool | None) -> Line:
    return {
        "dev_addr": (dev_addr or "").lower(),
        "f_cnt": int(f_cnt),
        "f_port": f_port,
        "data": base64.b64decode(data or "", validate=True).hex(),
        "confirmed": bool(confirmed),
    }


def _eui(text: str) -> str:
    return str(text).lower().replace("-", "").replace(":", "")


def _time_us(text: str | None) -> int | None:
    """Microseconds since 1970 of an RFC 3339 time; Go and Rust write up to nine digits behind the point."""
    if not text:
        return None
    head, point, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    moment = datetime.fromisoformat(f"{head}{point}{rest[: min(digits, 6)]:0<{6 if point else 0}}{rest[digits:]}")
    return round(moment.timestamp() * 1e6)

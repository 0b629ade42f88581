"""A file's own samples: a payload, and what must come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from appserver.codecs.base import Codec, CodecError, Decoded
from appserver.codecs.declared.checks import Table

RECEIVED_AT_US = 1_577_836_800_000_000
"""When a sample came that does not say: 2020-01-01T00:00:00Z."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload. What is None is not compared."""

    title: str
    f_port: int
    data: bytes
    received_at_us: int
    values: dict[str, Any] | None
    """Compared by key: what comes out may have more."""
    measurements: list[dict[str, Any]] | None
    flags: list[str] | None
    error: bool


def read_samples(top: Table) -> tuple[Sample, ...]:
    """The samples of a file; what is wrong is noted in the table's faults."""
    return tuple(_sample(table) for table in top.tables("test"))


def _sample(table: Table) -> Sample:
    raw = table.text("hex", None)
    try:
        data = bytes.fromhex(raw)
    except ValueError:
        table.fault("hex", "must be hex digits, two for each byte")
        data = b""
    values, measurements = table.raw("values"), table.raw("measurements")
    if values is not None and not isinstance(values, dict):
        table.fault("values", 'must be a table: { volume = "1.234" }')
        values = None
    listed = isinstance(measurements, list) and all(isinstance(item, dict) for item in measurements)
    if measurements is not None and not listed:
        table.fault("measurements", 'must be a list of tables: [ { channel = 1, value = "1.234" } ]')
        measurements = None
    received = table.raw("received")
    moment = None
    if isinstance(received, datetime):
        moment = received if received.tzinfo else received.replace(tzinfo=UTC)
    elif received is not None:
        table.fault("received", "must be a time such as 2024-01-15T13:00:00Z, without quotes")
    flags = list(table.texts("flags")) if "flags" in table else None
    sample = Sample(
        table.text("title"),
        table.integer("port", 1, 223, 1),
        data,
        RECEIVED_AT_US if moment is None else int(moment.timestamp() * 1_000_000),
        values,
        measurements,
        flags,
        table.flag("error"),
    )
    if sample.error and (values or measurements or flags):
        table.fault("error", "stands alone: a payload that is refused has no values")
    if not sample.error and values is None and measurements is None and flags is None:
        table.fault("", "compares nothing: write values, measurements, flags or error = true")
    table.done()
    return sample


def run_samples(samples: Sequence[Sample], codec: Codec) -> list[str]:
    """What differs from the samples, one line each; empty when all is as it must be."""
    faults = []
    for number, sample in enumerate(samples, 1):
        name = f"test {number}" + (f" ({sample.title})" if sample.title else "")
        try:
            decoded = codec.decode(sample.f_port, sample.data, sample.received_at_us)
        except CodecError as error:
            if not sample.error:
                faults.append(f"{name}: is refused: {error}")
            continue
        if sample.error:
            faults.append(f"{name}: must be refused, but gives {decoded.values}")
            continue
        faults += [f"{name}: {difference}" for difference in _differences(sample, decoded)]
    return faults


def _differences(sample: Sample, decoded: Decoded) -> list[str]:
    found = []
    for key, wanted in (sample.values or {}).items():
        if not _same(wanted, decoded.values.get(key)):
            found.append(f"{key} is {decoded.values.get(key)!r}, must be {wanted!r}")
    if sample.flags is not None and sorted(sample.flags) != sorted(decoded.flags or ()):
        found.append(f"flags are {list(decoded.flags or ())}, must be {sample.flags}")
    if sample.measurements is not None:
        told = [
            {
                "channel": m.channel,
                "value": str(m.value),
                "unit": m.unit,
                "variant": m.variant,
                "at": m.at.isoformat() if m.at else None,
                "archive": m.archive,
            }
            for m in decoded.measurements
        ]
        if len(told) != len(sample.measurements):
            found.append(f"there are {len(told)} measurements, must be {len(sample.measurements)}: {told}")
        for number, (wanted, ours) in enumerate(zip(sample.measurements, told, strict=False), 1):
            for key, value in wanted.items():
                text = value.isoformat() if isinstance(value, datetime) else value
                if not _same(text, ours.get(key)):
                    found.append(f"measurement {number}: {key} is {ours.get(key)!r}, must be {text!r}")
    return found


def _same(wanted: Any, ours: Any) -> bool:
    """Alike; a number is alike in whatever form it stands."""
    if isinstance(wanted, dict) and isinstance(ours, dict):
        return all(_same(value, ours.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(ours, list):
        return len(wanted) == len(ours) and all(map(_same, wanted, ours))
    if isinstance(wanted, bool) or isinstance(ours, bool) or wanted is None or ours is None:
        return wanted is ours
    if isinstance(wanted, str) and wanted == ours:
        return True
    try:
        return Decimal(str(wanted)) == Decimal(str(ours))
    except InvalidOperation:
        return str(wanted) == str(ours)

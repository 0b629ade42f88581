"""No ADR: the device stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from lns.adr.interface import Current, Decision, Limits, Sample, stay


def off(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    return stay(current, "off")

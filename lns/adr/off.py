"""No ADR: the device stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from lns.adr.interface import Current, Decision, Limits
from lns.mac.state import Sample


def off(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    return Decision(current.dr, current.tx_power, current.nb_trans, False, "ADR is off")

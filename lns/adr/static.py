"""Fixed values from the profile, as far as region and device allow them."""

from __future__ import annotations

from collections.abc import Sequence

from lns.adr.interface import Current, Decision, Limits, Sample, decide


def static(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    dr, tx_power, nb_trans = limits.static
    return decide(
        current,
        max(limits.min_dr, min(dr, limits.max_dr)),
        max(limits.min_tx_power, min(tx_power, limits.max_tx_power)),
        max(1, min(nb_trans, 15)),
        "static",
        frames=len(samples),
    )

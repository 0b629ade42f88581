"""What a run did, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Summary:
    """Counts since the start of a run; also what progress is drawn from."""

    scenario: str = ""
    seed: int = 0
    elapsed_s: float = 0.0
    meter_time_us: int | None = None
    """The meters' clock, microseconds since 1970; None when the scenario has no meters."""
    days: int = 0
    day: int = 0
    """Whole days that the meters' clock has passed, of ``days``."""
    devices: int = 0
    joined: int = 0
    join_requests: int = 0
    uplinks: int = 0
    """Transmissions of data frames, repetitions counted."""
    repeated: int = 0
    receptions: int = 0
    """Copies that gateways heard."""
    unheard: int = 0
    """Data frames that no gateway heard."""
    foreign: int = 0
    """Frames of other networks that were on the air."""
    readings: int = 0
    """Payloads with a meter reading that were put on the air."""
    readings_acknowledged: int = 0
    """Those for which at least one PUSH_ACK came."""
    push_data: int = 0
    push_ack: int = 0
    pull_resp: int = 0
    tx_ack: Counter[str] = field(default_factory=Counter)
    """By outcome; ``NONE`` is success."""
    downlinks_heard: int = 0
    downlinks_missed: int = 0
    downlinks_refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """What the server did wrong in the devices' and gateways' eyes, by reason."""

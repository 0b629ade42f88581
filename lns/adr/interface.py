"""The values that ADR algorithms take and give."""

from __future__ import annotations

from typing import NamedTuple


class Current(NamedTuple):
    """What the device uses now."""

    dr: int
    tx_power: int
    """TXPower index: each step is 2 dB less in most regions."""
    nb_trans: int


class Limits(NamedTuple):
    max_dr: int
    max_tx_power: int
    required_snr_db: float
    """Demodulation floor of the present data rate."""
    margin_db: float
    """Kept above the demodulation floor for fading (the installation margin)."""


class Decision(NamedTuple):
    dr: int
    tx_power: int
    nb_trans: int
    changes: bool
    reason: str
    """In words, for the console: what was decided and from what."""

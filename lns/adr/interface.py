"""The values that ADR algorithms take and give."""

from __future__ import annotations

from typing import NamedTuple

from internalapi.adr import AdrReason

HISTORY = 20
"""Uplinks that ADR looks at, as in Semtech's recommended algorithm."""


class Sample(NamedTuple):
    """What ADR knows of one uplink."""

    f_cnt: int
    """FCntUp. Gaps are lost frames; those that no gateway could hear because it was off leave no gap."""
    snr_db: float
    """At the best gateway, as measured."""
    tx_power: int = 0
    """TXPower index that the device sent it with."""
    gateways: int = 1


class Rate(NamedTuple):
    """A data rate that the device may use."""

    dr: int
    floor_db: float
    """Demodulation floor (SNR)."""
    airtime_ms: float
    """Of a frame of ordinary length."""


class Current(NamedTuple):
    """What the device uses now."""

    dr: int
    tx_power: int
    """TXPower index: each step is 2 dB less in most regions."""
    nb_trans: int
    since: int = HISTORY
    """How many of the last samples were sent with exactly this."""


class Limits(NamedTuple):
    """Between what the algorithm may choose: region, profile, and what the device refused."""

    max_dr: int
    max_tx_power: int
    required_snr_db: float
    """Demodulation floor of the present data rate."""
    margin_db: float
    """Kept above the demodulation floor for fading (the installation margin)."""
    min_dr: int = 0
    min_tx_power: int = 0
    max_nb_trans: int = 3
    rates: tuple[Rate, ...] = ()
    """Data rates with a demodulation floor, slowest first."""
    power_db: tuple[float, ...] = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0)
    """By TXPower index: how much below the highest power."""
    static: tuple[int, int, int] = (0, 0, 1)
    """Data rate, TXPower index and NbTrans of algorithm ``static``."""


class Decision(NamedTuple):
    dr: int
    tx_power: int
    nb_trans: int
    changes: bool
    reason: AdrReason
    """For the console: what was decided and from what."""


def decide(current: Current, dr: int, tx_power: int, nb_trans: int, code: str, **numbers: float) -> Decision:
    """A decision with its reason, from its numbers."""
    changes = (dr, tx_power, nb_trans) != current[:3]
    reason = AdrReason(
        code,
        current.dr,
        dr,
        current.tx_power,
        tx_power,
        current.nb_trans,
        nb_trans,
        **numbers,  # type: ignore[arg-type]
    )
    return Decision(dr, tx_power, nb_trans, changes, reason)


def stay(current: Current, code: str, **numbers: float) -> Decision:
    """The decision to change nothing."""
    return decide(current, current.dr, current.tx_power, current.nb_trans, code, **numbers)

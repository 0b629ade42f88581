"""Semtech's recommended algorithm ("simple rate adaptation"), with one caution of ours.

It raises the data rate from the first frame on, but needs a full history before it takes power away or changes NbTrans (others
decide on a few frames and overshoot). It never lowers the data rate: that is the device's own back-off (TS001-1.0.4
§4.3.1.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from lns.adr.interface import HISTORY, Current, Decision, Limits, Sample, decide, stay

STEP_DB = 3
NB_TRANS_BY_LOSS = (
    # (loss below, NbTrans by the present 1, 2, 3)
    (0.05, (1, 1, 2)),
    (0.10, (1, 2, 3)),
    (0.30, (2, 3, 3)),
    (1.01, (3, 3, 3)),
)


def recommended(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    """Raise the data rate, then lower the power, by the best SNR of the last frames; NbTrans by their loss.

    SNRs measured at another power are not comparable: only the samples since the last change count.
    """
    alike = samples[-current.since :] if current.since else ()
    if not alike:
        return stay(current, "few")
    full = len(alike) >= HISTORY
    best = max(sample.snr_db for sample in alike)
    spare = best - limits.required_snr_db
    steps = int((spare - limits.margin_db) / STEP_DB)
    dr, tx_power = current.dr, current.tx_power
    while steps > 0 and dr < limits.max_dr:
        dr += 1
        steps -= 1
    if full:
        power_steps = min(steps, limits.max_tx_power - tx_power) if steps > 0 else max(steps, -tx_power)
        tx_power += power_steps
    elif steps < 0:
        tx_power = max(0, tx_power + steps)
    dr, tx_power = max(dr, limits.min_dr), max(tx_power, limits.min_tx_power)
    loss = loss_of(alike)
    nb_trans = min(nb_trans_for(loss, current.nb_trans), limits.max_nb_trans) if full else current.nb_trans
    changes = (dr, tx_power, nb_trans) != current[:3]
    return decide(
        current,
        dr,
        tx_power,
        nb_trans,
        "steps" if changes else "stays",
        frames=len(alike),
        snr_db=best,
        spare_db=spare,
        margin_db=limits.margin_db,
        loss=loss,
    )


def loss_of(samples: Sequence[Sample]) -> float:
    """Share of frames lost between the first and the last sample, from the gaps of FCntUp."""
    if len(samples) < 2:
        return 0.0
    sent = samples[-1].f_cnt - samples[0].f_cnt + 1
    return max(0.0, 1 - len(samples) / sent)


def nb_trans_for(loss: float, present: int) -> int:
    """NbTrans by measured loss."""
    column = min(max(present, 1), 3) - 1
    return next(row[column] for below, row in NB_TRANS_BY_LOSS if loss < below)

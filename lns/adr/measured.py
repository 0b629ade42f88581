"""MeterWAN's own algorithm, ``default``: the cheapest setting that the measured link carries.

Instead of the best SNR of twenty frames and a fixed margin it takes what the link really does: the SNR at full power, its
spread, and the loss that the SNR does not explain. From these follows how often one transmission gets through at each
data rate and power, how many are needed, and what that costs the battery. It asks for the cheapest setting that reaches the
profile's goal, at once when the present one fails it, and only for a real gain when it does not. See docs/adr.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import erf, inf, sqrt
from statistics import NormalDist
from typing import NamedTuple

from lns.adr.interface import HISTORY, Current, Decision, Limits, Sample, decide, stay

FIRST_DECISION_AFTER = 2
"""Frames before the first decision; what so few do not tell is made up for by the assumed spread."""
ASSUMED_SPREAD_DB = 4.0
"""Spread of an ordinary link, for as long as there are few measurements."""
ASSUMED_FRAMES = 3
"""So many measurements weigh as much as the assumption."""
MARGIN_OF_ONE_DB = 4.0
"""An ``adr_margin_db`` of so many dB asks for one standard deviation of an ordinary link: 10 dB for 2.5, or 99.4 %."""
LATEST = 5
"""Frames that show whether the link has just become worse."""
REPEAT_GAIN = 0.5
"""What a repetition is worth: 1 when fading is another one at each, 0 when it is the same."""
TOLERATED = 3.0
"""Loss beyond the goal, as a multiple of it, at which the present setting is given up."""
WORTH_ASKING = 0.85
"""A cheaper setting is asked for when it costs at most this share of the present one."""
RX_WINDOWS_MS = 35.0
"""What two receive windows cost, as time of transmission at full power."""


SQRT2 = sqrt(2)


class Link(NamedTuple):
    """What the samples say of a link."""

    snr_db: float
    """Mean at full power; of the last frames when these are worse."""
    spread_db: float
    sent: int
    """Frames sent under the present setting, as far back as the samples go."""
    lost: int
    """How many of them."""


class Setting(NamedTuple):
    cost: float
    dr: int
    tx_power: int
    nb_trans: int


def measured(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    """The cheapest setting that reaches the goal of the profile on the link as measured."""
    if len(samples) < FIRST_DECISION_AFTER or not limits.rates:
        return stay(current, "few", frames=len(samples))
    link = link_of(samples, limits.power_db, current.since)
    goal = goal_of(limits.margin_db)
    spare_db = link.snr_db - limits.power_db[current.tx_power] - limits.required_snr_db
    by_signal = delivery(spare_db / link.spread_db, current.nb_trans)
    other = _other_loss(link, 1 - by_signal, current.nb_trans)
    fails = 1 - delivery(spare_db / link.spread_db, current.nb_trans, other) > TOLERATED * (1 - goal)
    settled = len(samples) >= HISTORY and current.since >= HISTORY
    choice = _cheapest(link, other, goal, limits, None if fails or settled else current)
    present = _cost(current.dr, current.tx_power, current.nb_trans, limits)
    if choice is None:
        choice = Setting(0.0, limits.min_dr, limits.min_tx_power, limits.max_nb_trans)
    outside = not (
        limits.min_dr <= current.dr <= limits.max_dr and limits.min_tx_power <= current.tx_power <= limits.max_tx_power
    )
    to = current
    if fails or outside or choice.cost <= WORTH_ASKING * present:
        to = Current(*choice[1:])
    code = "stays" if to[:3] == current[:3] else "spare" if not fails else "lossy" if other > 0 else "weak"
    return decide(
        current,
        to.dr,
        to.tx_power,
        to.nb_trans,
        code,
        frames=len(samples),
        snr_db=round(link.snr_db - limits.power_db[current.tx_power], 1),
        spread_db=round(link.spread_db, 1),
        spare_db=round(spare_db, 1),
        needed_db=round(needed(goal, current.nb_trans, other) * link.spread_db, 1),
        loss=round(link.lost / link.sent, 3) if link.sent else 0.0,
    )


def goal_of(margin_db: float) -> float:
    """The share of frames that a margin asks to be delivered."""
    return min(0.9999, 0.5 * (1 + erf(margin_db / MARGIN_OF_ONE_DB / SQRT2)))


def link_of(samples: Sequence[Sample], power_db: Sequence[float], since: int) -> Link:
    """Mean, spread and loss of a link."""
    values = [snr + power_db[tx_power] for _, snr, tx_power, _ in samples]
    n = len(values)
    mean = sum(values) / n
    squares = sum((value - mean) ** 2 for value in values)
    spread = sqrt((ASSUMED_FRAMES * ASSUMED_SPREAD_DB**2 + squares) / (ASSUMED_FRAMES + n - 1) * (1 + 1 / n))
    if n > LATEST:
        mean = min(mean, sum(values[-LATEST:]) / LATEST + spread / sqrt(LATEST))
    recent = samples[-since:] if since else ()
    sent = recent[-1].f_cnt - recent[0].f_cnt + 1 if recent else 0
    return Link(mean, spread, sent, sent - len(recent))


def delivery(spare: float, nb_trans: int, other: float = 0.0) -> float:
    """Probability that a frame arrives. ``spare``: mean SNR above the floor in standard deviations."""
    once = 0.5 * (1 + erf(spare / SQRT2)) * (1 - other)
    return float(1 - (1 - once) ** _worth(nb_trans))


def needed(goal: float, nb_trans: int, other: float) -> float:
    """Mean SNR above the floor, in standard deviations, that reaches the goal; infinite when nothing does."""
    once = (1 - (1 - goal) ** (1 / _worth(nb_trans))) / (1 - other)
    return _quantile(round(once, 3)) if once < 0.9995 else inf


@lru_cache(maxsize=1024)
def _quantile(probability: float) -> float:
    return NormalDist().inv_cdf(min(max(probability, 0.001), 0.9999))


def _worth(nb_trans: int) -> float:
    """So many independent transmissions."""
    return 1 + (nb_trans - 1) * REPEAT_GAIN


def _other_loss(link: Link, by_signal: float, nb_trans: int) -> float:
    """Share of transmissions lost to other things than a weak signal; one lost frame proves nothing."""
    excess = (link.lost - 1 - by_signal * link.sent) / (link.sent + 10)
    return float(min(0.5, excess ** (1 / _worth(nb_trans)))) if excess > 0 else 0.0


def _cheapest(link: Link, other: float, goal: float, limits: Limits, at_least: Current | None) -> Setting | None:
    """The cheapest setting that reaches the goal. ``at_least``: with no less power and no fewer repetitions than now."""
    best = None
    highest = limits.max_tx_power if at_least is None else min(limits.max_tx_power, at_least.tx_power)
    fewest = 1 if at_least is None else min(at_least.nb_trans, limits.max_nb_trans)
    for nb_trans in range(fewest, limits.max_nb_trans + 1):
        headroom_db = needed(goal, nb_trans, other) * link.spread_db
        for rate in limits.rates:
            spare_db = link.snr_db - rate.floor_db - headroom_db
            index = highest
            while index > limits.min_tx_power and limits.power_db[index] > spare_db:
                index -= 1
            if limits.power_db[index] > spare_db:
                break  # the faster ones need more still
            cost = nb_trans * (rate.airtime_ms * _CURRENT[index] + RX_WINDOWS_MS)
            if best is None or cost < best.cost:
                best = Setting(cost, rate.dr, index, nb_trans)
    return best


def _cost(dr: int, tx_power: int, nb_trans: int, limits: Limits) -> float:
    airtime_ms = next((rate.airtime_ms for rate in limits.rates if rate.dr == dr), inf)
    return nb_trans * (airtime_ms * _CURRENT[tx_power] + RX_WINDOWS_MS)


_CURRENT = tuple(0.3 + 0.7 * 10 ** (-2 * index / 10) for index in range(16))
"""Supply current of a transmitter by TXPower index, of that at full power: a part of it is not radiated."""

"""MeterWAN's own algorithm, ``default``: the setting that is worth its energy on the link as measured.

Others take the best SNR of twenty frames and keep a fixed margin. This one takes what the link really does: the mean SNR at
full power, its spread, and the loss that the SNR does not explain. From these follows for each data rate, power and number
of transmissions how often a frame arrives and what it costs the battery. A lost frame has a price too, and the profile's
margin names it. The setting with the lowest sum of both is asked for, when it is really lower than that of the present one.
So a steady link is run close to the edge, a fading one with headroom or repetitions, and the data rate goes down as easily
as up. See docs/adr.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import erf, sqrt
from typing import NamedTuple

from lns.adr.interface import HISTORY, Current, Decision, Limits, Rate, Sample, decide, stay

FIRST_DECISION_AFTER = 2
"""Frames before the first decision; what so few do not tell is made up for by the assumed spread."""
ASSUMED_SPREAD_DB = 4.0
"""Spread of an ordinary link, for as long as there are few measurements."""
ASSUMED_FRAMES = 3
"""So many measurements weigh as much as the assumption."""
LATEST = 5
"""Frames that show whether the link has just become worse."""
LOST_COUNTS, BELOW_FLOOR_DB = 1.0, 0.0
"""Weight of a lost frame beside one that was heard, and where it is put, dB below the floor."""
REPEAT_GAIN = 0.45
"""What a repetition is worth: 1 when fading is another one at each, 0 when it is the same."""
FRAME_WORTH_MS = 16_000.0
"""Price of a lost frame at a margin of 10 dB, as time of transmission at full power: one per cent of loss for 160 ms."""
DOUBLES_EVERY_DB = 3.0
"""So much more margin doubles that price."""
GAIN_SHARE, GAIN_MS = 0.15, 40.0
"""A change must gain this share of the price, and this much of it."""
RX_WINDOWS_MS = 35.0
"""What two receive windows cost, as time of transmission at full power."""
SUPPLY = tuple(0.3 + 0.7 * 10 ** (-db / 10) for db in range(64))
"""Supply current of a transmitter by dB below full power, of that at full power: a part of it is not radiated."""
SQRT_2 = sqrt(2)


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
    rate: Rate
    tx_power: int
    nb_trans: int


def measured(samples: Sequence[Sample], current: Current, limits: Limits) -> Decision:
    """The setting with the lowest price on the link as measured."""
    if len(samples) < FIRST_DECISION_AFTER or not limits.rates:
        return stay(current, "few", frames=len(samples))
    link = link_of(samples, current, limits)
    spare_db = link.snr_db - limits.power_db[current.tx_power] - limits.required_snr_db
    by_signal = 1 - delivery(spare_db / link.spread_db, current.nb_trans)
    other = _other_loss(link, by_signal, current.nb_trans)
    worth_ms = FRAME_WORTH_MS * 2 ** ((limits.margin_db - 10) / DOUBLES_EVERY_DB)
    here = next((rate for rate in limits.rates if rate.dr == current.dr), None)
    present = float("inf")
    if here is not None and limits.min_tx_power <= current.tx_power <= limits.max_tx_power:
        present = _price(Setting(here, *current[1:3]), link, other, worth_ms, limits)
    # Gains that only a long look justifies: less power and fewer repetitions (INV-36).
    settled = len(samples) >= HISTORY and current.since >= HISTORY
    best, choice = present / (1 + GAIN_SHARE) - GAIN_MS, None
    for cost, setting in _by_cost(limits, None if settled else (current.tx_power, current.nb_trans)):
        if cost >= best:
            break  # the price of a setting is its cost and more
        price = _price(setting, link, other, worth_ms, limits)
        if price < best:
            best, choice = price, setting
    to = current if choice is None else Current(choice.rate.dr, choice.tx_power, choice.nb_trans)
    return decide(
        current,
        to.dr,
        to.tx_power,
        to.nb_trans,
        "stays" if choice is None else _why(choice, here, current, other, limits),
        frames=len(samples),
        snr_db=round(link.snr_db - limits.power_db[current.tx_power], 1),
        spread_db=round(link.spread_db, 1),
        spare_db=round(spare_db, 1),
        loss=round(link.lost / link.sent, 3) if link.sent else 0.0,
        expected=round(1 - delivery(spare_db / link.spread_db, current.nb_trans, other), 3),
    )


def link_of(samples: Sequence[Sample], current: Current, limits: Limits) -> Link:
    """Mean, spread and loss of a link.

    A frame that was lost under the present setting counts as one at the floor, with a part of its weight: it was either
    too weak, and nobody knows how much, or it met another one.
    """
    power_db, since = limits.power_db, current.since
    values = [snr + power_db[tx_power] for _, snr, tx_power, _ in samples]
    recent = samples[-since:] if since else ()
    sent = recent[-1].f_cnt - recent[0].f_cnt + 1 if recent else 0
    lost = sent - len(recent)
    n, unseen = len(values), LOST_COUNTS * lost
    edge = limits.required_snr_db + power_db[current.tx_power] - BELOW_FLOOR_DB
    mean = (sum(values) + unseen * edge) / (n + unseen)
    squares = sum([(value - mean) ** 2 for value in values]) + unseen * (edge - mean) ** 2
    spread = sqrt((ASSUMED_FRAMES * ASSUMED_SPREAD_DB**2 + squares) / (ASSUMED_FRAMES + n + unseen - 1))
    if n > LATEST:
        mean = min(mean, sum(values[-LATEST:]) / LATEST + spread / sqrt(LATEST))
    return Link(mean, spread * sqrt(1 + 1 / n), sent, lost)


def delivery(spare: float, nb_trans: int, other: float = 0.0) -> float:
    """Probability that a frame arrives. ``spare``: mean SNR above the floor in standard deviations."""
    lost_once = 1 - 0.5 * (1 + erf(spare / SQRT_2)) * (1 - other)
    return float(1 - lost_once ** _transmissions(nb_trans))


def _transmissions(nb_trans: int) -> float:
    """So many independent ones."""
    return 1 + (nb_trans - 1) * REPEAT_GAIN


def _other_loss(link: Link, by_signal: float, nb_trans: int) -> float:
    """Share of transmissions lost to other things than a weak signal; one lost frame proves nothing."""
    excess = (link.lost - 1 - by_signal * link.sent) / (link.sent + 10)
    return float(min(0.5, excess ** (1 / _transmissions(nb_trans)))) if excess > 0 else 0.0


@lru_cache(maxsize=10_000)
def _by_cost(limits: Limits, at_least: tuple[int, int] | None) -> list[tuple[float, Setting]]:
    """What may be asked for, by rising cost: few limits there are, and every uplink asks."""
    return sorted(
        ((_cost(setting, limits), setting) for setting in _settings(limits, at_least)), key=lambda entry: entry[0]
    )


def _settings(limits: Limits, at_least: tuple[int, int] | None) -> Iterator[Setting]:
    """What may be asked for, cheap things first. ``at_least``: TXPower index and NbTrans that may not be undercut.

    Less power is worth having at the highest data rate only: below it the next data rate saves more.
    """
    least, fewest = limits.max_tx_power, 1
    if at_least is not None:
        least = max(limits.min_tx_power, min(least, at_least[0]))
        fewest = min(at_least[1], limits.max_nb_trans)
    for nb_trans in range(fewest, limits.max_nb_trans + 1):
        fastest = limits.rates[-1]
        for tx_power in range(least, limits.min_tx_power - 1, -1):
            yield Setting(fastest, tx_power, nb_trans)
        for rate in reversed(limits.rates[:-1]):
            yield Setting(rate, limits.min_tx_power, nb_trans)


def _cost(setting: Setting, limits: Limits) -> float:
    supply = SUPPLY[round(limits.power_db[setting.tx_power])]
    return setting.nb_trans * (setting.rate.airtime_ms * supply + RX_WINDOWS_MS)


def _price(setting: Setting, link: Link, other: float, worth_ms: float, limits: Limits) -> float:
    """Energy of a frame and the worth of its loss."""
    spare_db = link.snr_db - limits.power_db[setting.tx_power] - setting.rate.floor_db
    lost = 1 - delivery(spare_db / link.spread_db, setting.nb_trans, other)
    return _cost(setting, limits) + worth_ms * lost


def _why(choice: Setting, here: Rate | None, current: Current, other: float, limits: Limits) -> str:
    if here is None or _cost(choice, limits) < _cost(Setting(here, *current[1:3]), limits):
        return "spare"
    return "lossy" if other > 0 else "weak"

"""Volume between two values of a register, and along the meters of a point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from appserver.metering.boundary import TOLERANCE
from appserver.metering.timebase import HOUR_US

ZERO, ONE = Decimal(0), Decimal(1)
SWAP_US = 24 * HOUR_US
"""A point may be without a meter for so long while one is replaced; what flows in a longer gap is missing."""
KARAT_MODULUS = Decimal(2**32).scaleb(-4)
"""Where the 32-bit register of a KARAT module wraps, m³."""

QMAX = {
    "cold_water": (Decimal(5), Decimal(500)),
    "hot_water": (Decimal(5), Decimal(500)),
    "electricity": (Decimal(25), Decimal(2000)),
    "heat": (Decimal("0.1"), Decimal(20)),
    "gas": (Decimal(10), Decimal(1000)),
}
"""Most that can pass in an hour when the meter's passport does not say: (individual, house or node)."""


@dataclass(frozen=True, slots=True)
class Register:
    """What a register can do: where it wraps and how fast it can run."""

    moduli: tuple[Decimal, ...]
    """Values at which it may start again from zero: its digits, the counter of its module."""
    qmax: Decimal
    """Most that can pass in an hour."""
    tolerance: Decimal = TOLERANCE
    step: Decimal = ZERO
    """The least it shows: the weight of a pulse, its last digit."""


@dataclass(frozen=True, slots=True)
class Step:
    """What passed between two values of one register."""

    volume: Decimal | None
    """Signed; None when the values do not tell."""
    event: str = ""
    """Empty, ``rollover``, ``small_decrease``, ``reverse_flow``, ``implausible``, ``reset``, ``no_meter`` …"""

    @property
    def billable(self) -> Decimal:
        """What may be charged: a decrease is kept, shown, and not charged."""
        return max(self.volume or ZERO, ZERO)


def consumption(
    previous: Decimal, current: Decimal, hours: Decimal, register: Register, reverse_growth: Decimal = ZERO
) -> Step:
    """The volume from ``previous`` to ``current`` over ``hours``; ``reverse_growth`` is that of the reverse register.

    A fall (also one back over zero) is noise within the tolerance, reverse flow when the reverse register rose by as
    much, a rollover when the way over a modulus is one that ``qmax`` allows, and otherwise a reset: the volume is then
    unknown. The next step starts from the new value in every case, so that sums over time telescope.
    """
    delta = current - previous
    limit = register.qmax * hours
    if delta >= 0:
        if delta <= limit + register.tolerance:
            return Step(delta)
        back = next((delta - m for m in register.moduli if 0 < m - delta <= register.tolerance), None)
        return Step(delta, "implausible") if back is None else Step(back, "small_decrease")
    if reverse_growth > 0 and abs(delta + reverse_growth) <= register.tolerance:
        return Step(delta, "reverse_flow")
    if -delta <= register.tolerance:
        return Step(delta, "small_decrease")
    for modulus in sorted(register.moduli):
        if 0 <= delta + modulus <= limit:
            return Step(delta + modulus, "rollover")
    return Step(None, "reset")


@dataclass(frozen=True, slots=True)
class Term:
    """A meter at a point for a time: an installation."""

    id: int
    from_us: int
    until_us: int | None
    start_value: Decimal
    end_value: Decimal | None
    register: Register
    meter_id: int = 0
    ratio: Decimal = ONE
    """Units a unit of the register (transformer ratio)."""

    def holds(self, at_us: int) -> bool:
        """Whether the meter hung there at that moment."""
        return self.from_us <= at_us and (self.until_us is None or at_us < self.until_us)


@dataclass(frozen=True, slots=True)
class Mark:
    """A point's state at a moment: the meter's register and the point's own total since its first installation."""

    at_us: int
    term_id: int
    value: Decimal
    total: Decimal
    breaks: int = 0
    """How many jumps before this moment nothing explains: between marks that differ in it something is unknown."""
    quality: str = "measured"
    event: str = ""
    clock_us: int | None = None
    spread: Decimal | None = None
    """In units of the resource."""


ReverseGrowth = Callable[[Term, int, int], Decimal]
"""Growth of a meter's reverse register between two moments; asked only when the register fell."""


def no_reverse(_: Term, __: int, ___: int) -> Decimal:
    """For meters without a reverse register."""
    return ZERO


def advance(
    previous: Mark | None,
    terms: Sequence[Term],
    at_us: int,
    value: Decimal,
    quality: str,
    reverse_growth: ReverseGrowth = no_reverse,
) -> Mark:
    """The mark at ``at_us``, where the meter installed then shows ``value``, after the mark before it.

    ``terms`` are the point's installations in order of time; one of them holds at ``at_us``. Meters that were replaced
    in between count with the end value of their act, new ones from the start value of theirs.
    """
    current = next(term for term in terms if term.holds(at_us))
    if previous is None:
        first = terms[0]
        previous = Mark(first.from_us, first.id, first.start_value, ZERO)
        events = ["installed"]
    else:
        events = []
    total, breaks = previous.total, previous.breaks
    steps: list[Step] = []
    value_before, at_before, left_us = previous.value, previous.at_us, previous.at_us
    for term in terms[next(i for i, t in enumerate(terms) if t.id == previous.term_id) :]:
        if term.id != previous.term_id:
            value_before, at_before = term.start_value, term.from_us
            events.append("replaced")
            if term.from_us - left_us > SWAP_US:
                steps.append(Step(None, "no_meter"))
        if term.id == current.id:
            steps.append(_step(term, at_before, value_before, at_us, value, reverse_growth))
            break
        if term.until_us is None or term.end_value is None:
            steps.append(Step(None, "no_end_value"))
            left_us = term.until_us if term.until_us is not None else term.from_us
        else:
            left_us = term.until_us
            steps.append(_step(term, at_before, value_before, term.until_us, term.end_value, reverse_growth))
    for step in steps:
        if step.volume is None:
            breaks += 1
        else:
            total += step.volume
        if step.event:
            events.append(step.event)
    return Mark(at_us, current.id, value, total, breaks, quality, " ".join(dict.fromkeys(events)))


def _step(term: Term, from_us: int, before: Decimal, to_us: int, after: Decimal, reverse_growth: ReverseGrowth) -> Step:
    growth = reverse_growth(term, from_us, to_us) if after < before else ZERO
    step = consumption(before, after, Decimal(to_us - from_us) / HOUR_US, term.register, growth)
    if term.ratio == 1 or step.volume is None:
        return step
    return Step(step.volume * term.ratio, step.event)


def from_pulses(pulses: Decimal, start_value: Decimal, start_pulses: Decimal, weight: Decimal) -> Decimal:
    """A register's value out of a pulse counter bound to it at ``start_pulses`` when it showed ``start_value``."""
    return start_value + (pulses - start_pulses) * weight

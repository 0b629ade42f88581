"""Channel masks: what a ChMaskCntl means in a plan, and the fewest masks from one set of channels to another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from regional.types import PlanError

MASK_BITS: Final = 16
BANK: Final = 8
_FORM: Final = re.compile(r"(?P<rest>on|off|banks)? ?(?:(?P<first>\d+)-(?P<last>\d+))?")

Channels = frozenset[int]


class _Meaning:
    """One ChMaskCntl: ChMask has bits for the channels `first` to `last`; the rest is kept, on, off or set by banks.

    By banks: bit b switches bank b of the other channels, and the channel `first` + b with it where such are named.
    """

    __slots__ = ("first", "last", "rest")

    def __init__(self, text: str) -> None:
        form = _FORM.fullmatch(text)
        if form is None:
            raise PlanError(f'{text!r}: expected "0-15", "on", "off", "banks", one of these with "64-71", or ""')
        self.rest: str | None = form["rest"]
        self.first = int(form["first"]) if form["first"] else 0
        self.last = int(form["last"]) if form["last"] else -1
        if form["first"] and not self.first <= self.last < self.first + MASK_BITS:
            raise PlanError(f"{text!r}: a mask has bits for 1 to {MASK_BITS} channels")

    def named(self, channels: Channels) -> Channels:
        """Those of the channels that this one names."""
        return frozenset(channel for channel in channels if self.first <= channel <= self.last)

    def mask(self, channels: Channels) -> int:
        """The bits for the named ones among the channels."""
        return sum(1 << channel - self.first for channel in self.named(channels))


class MaskPlanner:
    """Reads and plans channel masks. `channels`: how many there are in a fixed plan, None in a dynamic one."""

    __slots__ = ("_bank", "_blocks", "_channels", "_meanings")

    def __init__(self, ch_mask_cntl: Sequence[str], channels: int | None, bank: int = BANK) -> None:
        self._meanings = {cntl: _Meaning(text) for cntl, text in enumerate(ch_mask_cntl) if text}
        self._blocks = {cntl: meaning for cntl, meaning in self._meanings.items() if meaning.rest is None}
        self._channels = frozenset(range(channels)) if channels is not None else None
        self._bank = bank

    def apply(self, enabled: Channels, cntl: int, mask: int, defined: Collection[int] | None = None) -> Channels | None:
        """The enabled channels after one mask; None when it is RFU or switches on a channel that is not defined."""
        meaning = self._meanings.get(cntl)
        if meaning is None:
            return None
        known = self._known(enabled, defined)
        if meaning.rest == "banks":
            return frozenset(channel for channel in known if mask >> self._bit(meaning, channel) & 1)
        named = frozenset(range(meaning.first, meaning.last + 1))
        on = frozenset(channel for channel in named if mask >> (channel - meaning.first) & 1)
        if (self._channels is not None or defined is not None) and not on <= known:
            return None
        others = known if meaning.rest == "on" else frozenset[int]() if meaning.rest == "off" else enabled
        return (others - named) | on

    def commands(
        self, current: Channels, wanted: Channels, defined: Collection[int] | None, at_least_one: bool
    ) -> list[tuple[int, int]]:
        """(ChMaskCntl, ChMask) pairs in the order to send them: the fewest, if possible never with all channels off.

        A sequence is best when it opens with nothing or with one command that sets every channel (a second such would
        undo the first), and then repairs each block that is still wrong with one command.
        """
        known = self._known(wanted, defined)
        if not wanted:
            raise PlanError("a device must keep at least one channel: an empty set would be refused")
        if not wanted <= known:
            raise PlanError(f"channels {sorted(wanted - known)} are not defined on the device")
        if current == wanted and not at_least_one:
            return []
        best: tuple[int, bool] | None = None
        result: list[tuple[int, int]] = []
        for opening, after in self._openings(current, wanted, defined):
            sequence = [*opening, *self._repairs(after, wanted)]
            if not sequence:  # the sets are equal: say again what is
                sequence = self._repairs(after - {min(wanted)}, wanted)
            cost = len(sequence), not after
            if best is None or cost < best:
                best, result = cost, sequence
        return result

    def _openings(
        self, current: Channels, wanted: Channels, defined: Collection[int] | None
    ) -> Iterator[tuple[list[tuple[int, int]], Channels]]:
        """What may come first, with the channels it leads to."""
        yield [], current
        for cntl, meaning in self._meanings.items():
            if meaning.rest is None or (self._channels is None and defined is None):
                continue  # where it is not known what a device has defined, "all defined channels" says nothing certain
            masks = {meaning.mask(wanted)}
            if meaning.rest == "banks":
                masks.add(self._bank_mask(meaning, wanted, self._known(wanted, defined)))
            for mask in sorted(masks):
                after = self.apply(current, cntl, mask, defined)
                if after is not None:
                    yield [(cntl, mask)], after

    def _bank_mask(self, meaning: _Meaning, wanted: Channels, known: Channels) -> int:
        """The bits that are right for the most blocks of banks.

        A block can be right if each of its banks is all on or all off in `wanted`. If not it needs a repair anyhow, so
        its bits are free and follow the named (wide) channels, whose mask is the other candidate.
        """
        mask = 0
        for block in self._blocks.values():
            banks: dict[int, set[bool]] = {}
            for channel in block.named(known) - meaning.named(known):
                banks.setdefault(self._bit(meaning, channel), set()).add(channel in wanted)
            if all(len(states) == 1 for states in banks.values()):
                mask |= sum(1 << bit for bit, states in banks.items() if True in states)
            else:
                mask |= sum(1 << bit for bit in banks if meaning.first + bit in meaning.named(wanted))
        return mask

    def _bit(self, meaning: _Meaning, channel: int) -> int:
        return channel - meaning.first if meaning.first <= channel <= meaning.last else channel // self._bank

    def _repairs(self, enabled: Channels, wanted: Channels) -> list[tuple[int, int]]:
        """One command for each block that is not yet right; those that switch on first, so that never all are off."""
        wrong = enabled ^ wanted
        if lost := [
            channel
            for channel in wrong
            if not any(block.named(frozenset({channel})) for block in self._blocks.values())
        ]:
            raise PlanError(f"no ChMaskCntl of this plan reaches channel {min(lost)}")
        masks = [(cntl, block.mask(wanted)) for cntl, block in self._blocks.items() if block.named(wrong)]
        return sorted(masks, key=lambda pair: pair[1] == 0)

    def _known(self, at_least: Channels, defined: Collection[int] | None) -> Channels:
        if self._channels is not None:
            return self._channels
        return frozenset(defined) if defined is not None else at_least

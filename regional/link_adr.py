"""Channel masks: what a ChMaskCntl means in a plan, and the fewest masks from one set of channels to another."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from regional.types import PlanError

BLOCK: Final = 16
BANK: Final = 8
_FORM: Final = re.compile(r"(?P<rest>on|off)? ?(?:(?P<first>\d+)-(?P<last>\d+))?|(?P<banks>banks)")


class _Meaning:
    """One ChMaskCntl: ChMask has bits for the channels `first` to `last`, the rest is kept, on or off; or for banks."""

    __slots__ = ("banks", "first", "last", "rest")

    def __init__(self, text: str) -> None:
        form = _FORM.fullmatch(text)
        if form is None:
            raise PlanError(f'{text!r}: expected "0-15" (channels), "on", "off", "on 64-71", "banks" or ""')
        self.banks = form["banks"] is not None
        self.rest: str | None = form["rest"]
        self.first = int(form["first"]) if form["first"] else 0
        self.last = int(form["last"]) if form["last"] else -1
        if self.last >= self.first + BLOCK or (form["first"] and self.last < self.first):
            raise PlanError(f"{text!r}: a mask has bits for 1 to {BLOCK} channels")

    @property
    def is_block(self) -> bool:
        return self.rest is None and not self.banks


class MaskPlanner:
    """Reads and plans channel masks. `channels`: how many there are in a fixed plan, None in a dynamic one."""

    __slots__ = ("_blocks", "_channels", "_meanings", "_wide")

    def __init__(self, ch_mask_cntl: Sequence[str], channels: int | None) -> None:
        self._meanings = {cntl: _Meaning(text) for cntl, text in enumerate(ch_mask_cntl) if text}
        self._channels = channels
        self._blocks = {cntl: meaning for cntl, meaning in self._meanings.items() if meaning.is_block}
        # Where the plan has a short last block (US915, AU915: 64-71), its channels are wide and each follows one bank.
        self._wide = next((m.first for m in self._blocks.values() if m.last - m.first + 1 < BLOCK), None)

    def apply(
        self, enabled: frozenset[int], cntl: int, mask: int, defined: Collection[int] | None = None
    ) -> frozenset[int] | None:
        """The enabled channels after one mask; None when it is RFU or switches on a channel that is not defined."""
        meaning = self._meanings.get(cntl)
        if meaning is None:
            return None
        known = self._known(defined, enabled)
        if meaning.banks:
            return frozenset(channel for channel in known if mask >> self._bank(channel) & 1)
        named = frozenset(range(meaning.first, meaning.last + 1))
        on = frozenset(channel for channel in named if mask >> (channel - meaning.first) & 1)
        if (self._channels is not None or defined is not None) and not on <= known:
            return None
        others = {"on": known, "off": frozenset[int](), None: enabled}[meaning.rest]
        return (others - named) | on

    def commands(
        self, current: frozenset[int], wanted: frozenset[int], defined: Collection[int] | None, at_least_one: bool
    ) -> list[tuple[int, int]]:
        """(ChMaskCntl, ChMask) pairs in the order to send them."""
        self._check(wanted, defined)
        if current == wanted and not at_least_one:
            return []
        best: list[tuple[int, int]] | None = None
        for opening in self._openings(wanted, defined):
            after = current
            if opening is not None:
                applied = self.apply(current, *opening, defined)
                if applied is None:
                    continue
                after = applied
            sequence = [*([opening] if opening else []), *self._repairs(after, wanted)]
            if not sequence:
                sequence = [self._repair(min(wanted), wanted)]
            if best is None or len(sequence) < len(best):
                best = sequence
        if best is None:
            raise PlanError(f"no ChMaskCntl leads to the channels {sorted(wanted)}")
        return best

    def _openings(self, wanted: frozenset[int], defined: Collection[int] | None) -> list[tuple[int, int] | None]:
        """What may come first: nothing, or one command that sets every channel (a second would undo the first)."""
        openings: list[tuple[int, int] | None] = [None]
        for cntl, meaning in self._meanings.items():
            if meaning.rest:
                if self._channels is None and defined is None and meaning.rest == "on":
                    continue  # "all defined channels" says nothing certain when we do not know which these are
                openings.append((cntl, self._mask(meaning, wanted)))
            elif meaning.banks:
                openings += [(cntl, mask) for mask in self._bank_masks(wanted, defined)]
        return openings

    def _bank_masks(self, wanted: frozenset[int], defined: Collection[int] | None) -> list[int]:
        """Two masks, one of which is as good as any: right for most narrow blocks, or right for the wide channels."""
        known = self._known(defined, wanted)
        wide = self._wide
        by_wide = sum(1 << n for n in range(BANK) if wide is not None and wide + n in wanted)
        narrow = [channel for channel in known if wide is None or channel < wide]
        by_narrow = 0
        for block in {channel // BLOCK for channel in narrow}:
            halves = (2 * block, 2 * block + 1)
            members = [[channel for channel in narrow if channel // BANK == half] for half in halves]
            uniform = all(len({channel in wanted for channel in half}) <= 1 for half in members)
            for half, channels in zip(halves, members, strict=True):
                if uniform:  # the bank is right as it is; otherwise the block is repaired anyway and its bits are free
                    on = bool(channels) and channels[0] in wanted
                else:
                    on = bool(by_wide >> half & 1)
                by_narrow |= on << half
        return [by_narrow] if wide is None else [by_narrow, by_wide]

    def _repairs(self, enabled: frozenset[int], wanted: frozenset[int]) -> list[tuple[int, int]]:
        """One command for each block that is not yet right; those that switch on first, so that never all are off."""
        wrong = enabled ^ wanted
        cntls = sorted({self._block_of(channel) for channel in wrong})
        masks = [(cntl, self._mask(self._blocks[cntl], wanted)) for cntl in cntls]
        return sorted(masks, key=lambda pair: pair[1] == 0)

    def _repair(self, channel: int, wanted: frozenset[int]) -> tuple[int, int]:
        cntl = self._block_of(channel)
        return cntl, self._mask(self._blocks[cntl], wanted)

    def _block_of(self, channel: int) -> int:
        for cntl, meaning in self._blocks.items():
            if meaning.first <= channel <= meaning.last:
                return cntl
        raise PlanError(f"no ChMaskCntl of this plan reaches channel {channel}")

    def _mask(self, meaning: _Meaning, wanted: frozenset[int]) -> int:
        return sum(1 << (channel - meaning.first) for channel in wanted if meaning.first <= channel <= meaning.last)

    def _bank(self, channel: int) -> int:
        if self._wide is not None and channel >= self._wide:
            return channel - self._wide
        return channel // BANK

    def _known(self, defined: Collection[int] | None, at_least: frozenset[int]) -> frozenset[int]:
        if self._channels is not None:
            return frozenset(range(self._channels))
        return frozenset(defined) if defined is not None else at_least

    def _check(self, wanted: frozenset[int], defined: Collection[int] | None) -> None:
        if not wanted:
            raise PlanError("a device must keep at least one channel: an empty set would be refused")
        if (self._channels is not None or defined is not None) and not wanted <= self._known(defined, wanted):
            raise PlanError(f"channels {sorted(wanted - self._known(defined, wanted))} are not defined on the device")

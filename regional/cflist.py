"""The two forms of CFList, the 16 bytes of channels at the end of a join-accept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regional.types import PlanError

LENGTH = 16
TYPE0_CHANNELS = 5
TYPE1_MASK_BYTES = 12  # six masks; five in all plans but CN470 with its 96 channels


def encode_type0(frequencies_hz: Sequence[int], step_hz: int) -> bytes:
    """Up to five frequencies, 0 for a channel left undefined. Raises PlanError when one does not fit 24 bits."""
    if len(frequencies_hz) > TYPE0_CHANNELS:
        raise PlanError(f"a CFList of type 0 holds {TYPE0_CHANNELS} channels, not {len(frequencies_hz)}")
    body = b"".join(_frequency_to_wire(frequency_hz, step_hz) for frequency_hz in frequencies_hz)
    return body.ljust(LENGTH, b"\0")


def encode_type1(channel_numbers: Iterable[int]) -> bytes:
    """A mask of channel numbers (0 to 95)."""
    mask = 0
    for number in channel_numbers:
        if not 0 <= number < TYPE1_MASK_BYTES * 8:
            raise PlanError(f"a CFList of type 1 holds channels 0 to {TYPE1_MASK_BYTES * 8 - 1}, not {number}")
        mask |= 1 << number
    return mask.to_bytes(LENGTH - 1, "little") + b"\x01"


def parse(data: bytes, step_hz: int) -> tuple[int, tuple[int, ...]]:
    """Give the list's type and its content.

    Type 0: the five frequencies in Hz, 0 for a channel left undefined. Type 1: the numbers of the channels whose bit is
    set. Raises PlanError when there are not 16 bytes or the type is not known.
    """
    if len(data) != LENGTH:
        raise PlanError(f"a CFList has {LENGTH} bytes, not {len(data)}")
    list_type = data[LENGTH - 1]
    if list_type == 0:
        return 0, tuple(int.from_bytes(data[i : i + 3], "little") * step_hz for i in range(0, 3 * TYPE0_CHANNELS, 3))
    if list_type == 1:
        mask = int.from_bytes(data[:TYPE1_MASK_BYTES], "little")
        return 1, tuple(number for number in range(TYPE1_MASK_BYTES * 8) if mask >> number & 1)
    raise PlanError(f"CFListType {list_type} is not known (byte 15 is 0 or 1)")


def _frequency_to_wire(frequency_hz: int, step_hz: int) -> bytes:
    steps, rest = divmod(frequency_hz, step_hz)
    if rest or not 0 <= steps < 1 << 24:
        raise PlanError(f"{frequency_hz} Hz does not fit a CFList: give a multiple of {step_hz} Hz below 2^24 steps")
    return steps.to_bytes(3, "little")

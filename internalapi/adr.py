"""Why ADR decided as it did: a code and numbers, so that every interface can say it in its own language."""

from __future__ import annotations

import msgspec


class AdrReason(msgspec.Struct, frozen=True, gc=False):
    """One decision. A pair ``…_from``, ``…_to`` that is equal did not change."""

    code: str
    """``few``: too few frames; ``stays``: nothing better to ask for; ``spare``: the link is better than the setting
    needs; ``weak``: it is worse; ``lossy``: frames are lost that the signal does not explain; ``steps``: a step of the
    recommended algorithm; ``static``, ``off``."""
    dr_from: int = 0
    dr_to: int = 0
    tx_power_from: int = 0
    tx_power_to: int = 0
    nb_trans_from: int = 1
    nb_trans_to: int = 1
    frames: int = 0
    """Frames that the decision rests on."""
    snr_db: float = 0.0
    """What the algorithm takes as the link's SNR at the present power."""
    spread_db: float = 0.0
    """Measured standard deviation of the SNR."""
    spare_db: float = 0.0
    """SNR above the demodulation floor of the present data rate."""
    margin_db: float = 0.0
    """How much of that the recommended algorithm keeps."""
    loss: float = 0.0
    """Share of frames lost under the present setting, without those that gateways missed because they were off."""
    expected: float = 0.0
    """Share that the default algorithm expects to be lost if nothing changes."""

    @property
    def changes(self) -> bool:
        return (self.dr_from, self.tx_power_from, self.nb_trans_from) != (
            self.dr_to,
            self.tx_power_to,
            self.nb_trans_to,
        )


WHY = {
    "few": "only {frames} frames heard: too few to decide",
    "stays": "nothing to gain",
    "spare": "the signal is better than this setting needs",
    "weak": "the signal is too weak for this setting",
    "lossy": "frames are lost that the signal does not explain",
    "steps": "steps of the recommended algorithm",
    "static": "the profile fixes the values",
    "off": "ADR is off",
}


def in_english(reason: AdrReason) -> str:
    """The decision as a sentence."""
    why = WHY.get(reason.code, reason.code).format(frames=reason.frames)
    changed = [
        f"{word}{before}→{sign}{after}"
        for word, sign, before, after in (
            ("DR", "DR", reason.dr_from, reason.dr_to),
            ("power index ", "", reason.tx_power_from, reason.tx_power_to),
            ("NbTrans ", "", reason.nb_trans_from, reason.nb_trans_to),
        )
        if before != after
    ]
    text = f"{', '.join(changed)} because {why}" if changed else f"DR{reason.dr_to} stays: {why}"
    if reason.code in ("few", "static", "off"):
        return text
    if reason.code in ("steps", "stays") and reason.margin_db:
        return (
            f"{text}; the best SNR of {reason.frames} frames, {reason.snr_db:+.1f} dB, is {reason.spare_db:+.1f} dB over the "
            f"floor with a margin of {reason.margin_db:g} dB; loss {reason.loss:.0%}"
        )
    return (
        f"{text}; the mean SNR of {reason.frames} frames, {reason.snr_db:+.1f} dB, is {reason.spare_db:+.1f} dB over the floor "
        f"and varies by {reason.spread_db:.1f} dB; loss {reason.loss:.0%}, expected {reason.expected:.0%}"
    )


def pack(reason: AdrReason) -> str:
    """As a row keeps it: short, for there may be a million of them."""
    return " ".join(map(_word, msgspec.structs.astuple(reason)))


def unpack(text: str) -> AdrReason | None:
    """What :func:`pack` made; None for nothing and for the prose of older rows."""
    code, *numbers = text.split(" ")
    if len(numbers) != len(AdrReason.__struct_fields__) - 1:
        return None
    try:
        return AdrReason(code, *map(int, numbers[:WHOLE]), *map(float, numbers[WHOLE:]))
    except (ValueError, TypeError):
        return None


WHOLE = 7
"""So many numbers of a reason are whole ones."""


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

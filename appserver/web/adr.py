"""Decisions of ADR in words of people."""

from __future__ import annotations

from appserver.web.formats import number
from appserver.web.i18n import N_, gettext
from internalapi.adr import AdrReason

ALGORITHMS = {
    "default": N_("by the measured link"),
    "recommended": N_("recommended by Semtech"),
    "static": N_("fixed by the profile"),
    "off": N_("off"),
}
WHY = {
    "few": N_("too few frames to decide"),
    "stays": N_("there is nothing to gain"),
    "spare": N_("the signal is better than this setting needs"),
    "weak": N_("the signal is too weak for this setting"),
    "lossy": N_("frames are lost that the signal does not explain"),
    "steps": N_("a step of the recommended algorithm"),
    "static": N_("the profile fixes the values"),
    "off": N_("ADR is off"),
}


def adr_algorithm(name: str) -> str:
    """Name of an algorithm."""
    return gettext(ALGORITHMS[name]) if name in ALGORITHMS else name


def adr_reason(reason: AdrReason) -> str:
    """What was decided and why, as in “DR2→DR4 because the signal is better than this setting needs”."""
    changed = [
        f"{gettext(word)}{before}→{sign}{after}"
        for word, sign, before, after in (
            ("DR", "DR", reason.dr_from, reason.dr_to),
            (N_("power index "), "", reason.tx_power_from, reason.tx_power_to),
            ("NbTrans ", "", reason.nb_trans_from, reason.nb_trans_to),
        )
        if before != after
    ]
    why = gettext(WHY[reason.code]) if reason.code in WHY else reason.code
    if changed:
        return gettext("%(change)s because %(why)s") % {"change": ", ".join(changed), "why": why}
    return gettext("DR%(dr)s stays: %(why)s") % {"dr": reason.dr_to, "why": why}


def adr_numbers(reason: AdrReason) -> str:
    """What the decision rests on; empty when it rests on nothing."""
    if reason.code in ("few", "static", "off"):
        return ""
    parts = [
        gettext("SNR %(snr)s dB, %(spare)s dB over the floor")
        % {"snr": number(reason.snr_db, 1), "spare": number(reason.spare_db, 1)},
    ]
    if reason.spread_db:
        parts.append(gettext("varies by %(spread)s dB") % {"spread": number(reason.spread_db, 1)})
    if reason.margin_db:
        parts.append(gettext("margin %(margin)s dB") % {"margin": number(reason.margin_db, 1)})
    parts.append(gettext("%(loss)s %% lost") % {"loss": number(100 * reason.loss)})
    parts.append(gettext("by %(frames)s frames") % {"frames": reason.frames})
    return ", ".join(parts)

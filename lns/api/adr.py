"""ADR of a session as people see it."""

from __future__ import annotations

from internalapi import adr as reasons
from internalapi import messages as m
from lns.adr import chosen
from lns.mac.link_adr import decide, memory_of
from lns.session import Session
from lns.state import NetworkState


def words(session: Session) -> str:
    """Why ADR made its last change, in English; rows of older versions have it so."""
    reason = reasons.unpack(session.adr_reason)
    return reasons.in_english(reason) if reason is not None else session.adr_reason


def state_of(state: NetworkState, session: Session) -> m.AdrState:
    """The algorithm, its last change, and what it thinks of the link now."""
    name = chosen(session.device.profile.adr, state.settings.adr)
    memory = memory_of(session)
    decision = decide(state, session, memory)
    return m.AdrState(
        algorithm=name,
        last=reasons.unpack(session.adr_reason),
        present=decision.reason if decision is not None else None,
        waiting=bool(memory.asked_nb_trans),
        uncertain=memory.uncertain,
        pause=memory.pause,
    )

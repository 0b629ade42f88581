"""ADR of a session as people see it."""

from __future__ import annotations

from internalapi import adr as reasons
from internalapi import messages as m
from lns.adr import ALGORITHMS, chosen
from lns.api.errors import invalid
from lns.mac.link_adr import decide, memory_of
from lns.network import Network
from lns.session import Session
from regional import Plan


def words(session: Session) -> str:
    """Why ADR made its last change, in English; rows of older versions have it so."""
    reason = reasons.unpack(session.adr_reason)
    return reasons.in_english(reason) if reason is not None else session.adr_reason


async def state_of(network: Network, session: Session) -> m.AdrState:
    """The algorithm, its last changes, and what it thinks of the link now."""
    state, device_id = network.state, session.device.id
    rows = await network.read(
        lambda db: db.execute(
            "SELECT time_us, reason FROM adr_decision WHERE device_id = ? ORDER BY time_us DESC", (device_id,)
        ).fetchall()
    )
    decisions = [
        m.AdrDecision(time_us, reason) for time_us, text in rows if (reason := reasons.unpack(text)) is not None
    ]
    name = chosen(session.device.profile.adr, state.settings.adr)
    memory = memory_of(session)
    decision = decide(state, session, memory)
    return m.AdrState(
        algorithm=name,
        last=reasons.unpack(session.adr_reason),
        decisions=decisions,
        present=decision.reason if decision is not None else None,
        waiting=bool(memory.asked_nb_trans),
        uncertain=memory.uncertain,
        pause=memory.pause,
    )


def check(request: m.ProfileWrite, plan: Plan) -> None:
    """Refuse what ADR could not work with."""
    highest_dr = max(dr for dr, rate in enumerate(plan.data_rates) if rate is not None)
    ranges: dict[str, tuple[float | None, float, float, str]] = {
        "adr_margin_db": (request.adr_margin_db, 0, 50, "dB"),
        "adr_min_dr": (request.adr_min_dr, 0, highest_dr, f"a data rate of {plan.name}"),
        "adr_max_dr": (request.adr_max_dr, request.adr_min_dr, highest_dr, "a data rate not below adr_min_dr"),
        "adr_min_tx_power": (
            request.adr_min_tx_power,
            0,
            plan.max_tx_power_index,
            "a TXPower index, 0 is the most power",
        ),
        "adr_max_tx_power": (
            request.adr_max_tx_power,
            request.adr_min_tx_power,
            plan.max_tx_power_index,
            "a TXPower index not below adr_min_tx_power",
        ),
        "adr_max_nb_trans": (request.adr_max_nb_trans, 1, 15, "transmissions"),
        "adr_static_dr": (request.adr_static_dr, 0, highest_dr, f"a data rate of {plan.name}"),
        "adr_static_tx_power": (request.adr_static_tx_power, 0, plan.max_tx_power_index, "a TXPower index"),
        "adr_static_nb_trans": (request.adr_static_nb_trans, 1, 15, "transmissions"),
    }
    if request.adr not in ALGORITHMS:
        raise invalid(f"adr: one of {', '.join(ALGORITHMS)}", "adr")
    for name, (value, low, high, what) in ranges.items():
        if value is not None and not low <= value <= high:
            raise invalid(f"{name}: {low:g} to {high:g}, {what}", name)

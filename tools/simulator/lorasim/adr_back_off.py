"""The device's half of ADR: count uplinks without an answer, ask for one, and then be heard again (TS001-1.0.4 §4.3.1.1)."""

from __future__ import annotations

from lorasim.mac import MacState
from regional import Plan


class AdrBackOff:
    """``count``: uplinks since the last downlink, ADR_ACK_CNT."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def asks(self, state: MacState) -> bool:
        """ADRACKReq of the uplink that is about to leave."""
        return self.count >= state.adr_ack_limit

    def counted(self, state: MacState, plan: Plan, on: bool) -> None:
        """An uplink leaves. When nobody has answered for long: more power, then slower, then all channels."""
        self.count += 1
        over = self.count - state.adr_ack_limit
        if not on or over <= 0 or over % state.adr_ack_delay:
            return
        if state.tx_power:
            state.tx_power = 0
        elif (lower := plan.next_lower_dr(state.dr)) is not None and state.usable(lower):
            state.dr = lower
        else:
            state.nb_trans = 1
            state.enabled = frozenset(state.channels)

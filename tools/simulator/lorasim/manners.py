"""How a device treats MAC commands: what it refuses, ignores, answers late or forgets to repeat. Real ones do all of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Manners:
    """Names are those of the requests, ``RXParamSetupReq``; parts are bits of the answer, ``rx2_data_rate_ack``."""

    refused: frozenset[str] = frozenset()
    """Requests, or ``request.part``, that it refuses."""
    ignored: frozenset[str] = frozenset()
    """Requests that it neither obeys nor answers."""
    mute: frozenset[str] = frozenset()
    """Requests that it obeys and never answers."""
    late: int = 0
    """Uplinks by which its answers come later than they must."""
    sticky: bool = True
    """It repeats answers about receive windows (since LoRaWAN 1.0.2)."""
    has_clock: bool = True
    """False: it refuses the time part of RejoinParamSetupReq."""

    def refuses(self, request: str, part: str) -> bool:
        return request in self.refused or f"{request}.{part}" in self.refused

    def ignores(self, request: str) -> bool:
        return request in self.ignored

    def answers(self, answer: str) -> bool:
        """Whether this answer is ever sent."""
        return answer.removesuffix("Ans") + "Req" not in self.mute

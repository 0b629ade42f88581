"""Why a downlink went unheard, in a few words that can be counted."""

from __future__ import annotations

_WORDS = (
    ("refused", "refused"),
    ("listens on", "wrong channel"),
    ("listens at", "wrong data rate"),
    ("ms away", "wrong time"),
    ("already receiving", "busy receiving"),
    ("transmitting", "busy sending"),
    ("IQ", "IQ not inverted"),
    ("asleep", "asleep"),
    ("signal", "too weak"),
    ("not heard", "not heard"),
)
"""What stands in a reason, and its word; the first that is found counts: a window of another channel was open at that time."""


def reason(why: str) -> str:
    """``RX1 is +12.0 ms away; RX2 is …`` is ``wrong time``."""
    return next((word for sign, word in _WORDS if sign in why), why.split(":")[0][:40])

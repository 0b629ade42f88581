"""What one command that sets something tells the negotiation: how to ask, and what an accepted request changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lns.radio import RadioParameters
from lorawan.commands import Command
from regional import Plan


def not_partly(radio: RadioParameters, request: Any, answer: Any) -> RadioParameters:
    """A refused request changes nothing (TS001-1.0.4 §5)."""
    return radio


class Setting(NamedTuple):
    """A command of the network that changes a device's parameters."""

    request: type[Command]
    answer: type[Command]
    desired: Callable[[RadioParameters, RadioParameters, Plan], Sequence[Command]]
    """(what the device has, what it shall have, the region) → requests that lead from one to the other."""
    applied: Callable[[RadioParameters, Any, Plan], RadioParameters]
    """The parameters of a device that has accepted this request."""
    sticky: bool = False
    """The device repeats its answer until it hears a class A downlink."""
    moves_windows: bool = False
    """It changes where the device listens: only one block of such requests is under way at a time."""
    partly: Callable[[RadioParameters, Any, Any], RadioParameters] = not_partly
    """The parameters after a request that was refused in part."""

"""What the network server asks of rooms it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lorawan.backend import JoinAns, JoinReq


class JoinServerPort(Protocol):
    """A join server: in this process, or another one over Backend Interfaces (TS002)."""

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Answer each request. Whatever an answer promises (nonces, keys) is durable when this returns."""
        ...


class KeyStorePort(Protocol):
    """Where root keys are put. The network server itself never sees one again."""

    def holds_keys_of(self, join_eui: int) -> bool:
        """Whether devices with this JoinEUI join here, so that their keys are wanted; False: they join elsewhere."""
        ...

    async def put_keys(self, devices: Sequence[RootKeys], dry_run: bool = False) -> Sequence[str]:
        """Create or replace the root keys of many devices, durably and together; ``dry_run`` only checks.

        Returns warnings for people: keys that are guessable or shared. Raises StateError that names the device.
        """
        ...

    async def delete_keys(self, dev_eui: int) -> None: ...

    async def forget_nonces(self, dev_euis: Sequence[int], who: str) -> int:
        """Forget the DevNonces that these devices have used. Returns for how many there were some."""
        ...


class RootKeys:
    """Root keys on their way to the join server. They show in no ``repr``."""

    __slots__ = ("app_key", "dev_eui", "join_eui", "mac_version", "nwk_key")

    def __init__(
        self, dev_eui: int, join_eui: int, mac_version: str, app_key: bytes | None, nwk_key: bytes | None
    ) -> None:
        self.dev_eui = dev_eui
        self.join_eui = join_eui
        self.mac_version = mac_version
        self.app_key = app_key
        """None keeps the one that is there."""
        self.nwk_key = nwk_key

    def __repr__(self) -> str:
        return f"<RootKeys of {self.dev_eui:016x}>"

"""Updates for stations: which one a station gets.

A station runs what it is given as an executable once its signature holds, so the operator puts the files into the data
folder; nothing comes here over HTTP. Which stations get a file is written beside it: their model, and single EUIs. A
station that already has the package that the file brings gets nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "firmware"
"""In the data folder."""


@dataclass(slots=True, frozen=True)
class Firmware:
    """One update. Fields as in ``internalapi.messages.FirmwareWrite``."""

    name: str
    package: str
    """What the station calls its version once it has run the update."""
    file: str
    """Name in the folder ``firmware`` of the data folder."""
    size: int
    sha512: str
    """Hex, as the file was when it was added."""
    model: str = ""
    """Only stations that call themselves so; empty: any."""
    gateways: tuple[str, ...] = field(default_factory=tuple)
    """Only these, lower-case hex; empty: all of the model."""
    signature: str = ""
    """Hex of the ECDSA signature (P-256, DER) over the file's SHA-512; empty: for stations that have no key."""
    key_crc: int = 0
    """CRC32 of the public key that the signature belongs to."""
    created_at_us: int = 0

    def path(self, data_dir: Path) -> Path:
        return data_dir / FOLDER / self.file


def update_for(
    updates: Iterable[Firmware], eui: int, model: str, package: str, key_crcs: Collection[int]
) -> Firmware | None:
    """The newest update that is meant for a station and that it would take; None when there is none.

    ``package`` is what it runs, ``key_crcs`` tell the keys it has: with any, it takes only what is signed by one of them.
    """
    eui_text = f"{eui:016x}"
    for update in sorted(updates, key=lambda one: one.created_at_us, reverse=True):
        if update.gateways and eui_text not in update.gateways:
            continue
        if update.model and update.model != model:
            continue
        if bool(update.signature) != bool(key_crcs) or (update.signature and update.key_crc not in key_crcs):
            continue
        return update if update.package != package else None
    return None

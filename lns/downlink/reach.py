"""Which gateways a device hears, as far as its silence tells.

A gateway that hears a device best may still be no way to it: its transmitter is weak, or it is not what it says (SEC-05). Each
downlink that a device should have answered and did not counts against the gateway that sent it, until one is answered.
"""

from __future__ import annotations

from collections import OrderedDict

PATIENCE = 3
"""After so many in a row another gateway comes first."""
LIMIT = 20_000


class _Record:
    __slots__ = ("missed", "sender")

    def __init__(self) -> None:
        self.sender = 0
        self.missed: dict[int, int] = {}


class Reach:
    """What devices have missed lately. Bounded; the device that was sent to longest ago is forgotten."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._records: OrderedDict[int, _Record] = OrderedDict()

    def sent(self, device_id: int, gateway_eui: int) -> None:
        """A gateway took a downlink for this device."""
        record = self._records.get(device_id)
        if record is None:
            record = self._records[device_id] = _Record()
            if len(self._records) > self._limit:
                self._records.popitem(last=False)
        else:
            self._records.move_to_end(device_id)
        record.sender = gateway_eui

    def missed(self, device_id: int) -> None:
        """The last downlink was not answered, or the device repeats what it answered."""
        record = self._records.get(device_id)
        if record is not None and record.sender:
            record.missed[record.sender] = record.missed.get(record.sender, 0) + 1
            record.sender = 0

    def heard(self, device_id: int) -> None:
        """The device has answered the last downlink."""
        record = self._records.get(device_id)
        if record is not None:
            record.missed.pop(record.sender, None)
            record.sender = 0

    def demerits(self, device_id: int, gateway_eui: int) -> int:
        """How far back a gateway stands: 0 comes first."""
        record = self._records.get(device_id)
        return 0 if record is None else record.missed.get(gateway_eui, 0) // PATIENCE

"""All devices, of which only those that something was heard of lately are in memory.

A town has a million meters, and each speaks once a day: a device is read from the store when it is first needed, with its
sessions. What is in memory is the truth, the store has it for all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from lns.device import Device


class DeviceSource(Protocol):
    """Where devices are read from that are not in memory. Whatever changes a device has it in memory first."""

    def by_id(self, id: int) -> Device | None:
        """The device with its sessions, which are entered into the tables; None when there is none."""

    def by_dev_eui(self, dev_eui: int) -> Device | None: ...

    def dev_euis(self) -> Iterator[int]: ...

    def close(self) -> None: ...


class DeviceTable:
    """Devices by DevEUI."""

    def __init__(self) -> None:
        self.source: DeviceSource | None = None
        self._loaded: dict[int, Device] = {}
        self._deleted: set[int] = set()
        """The store may still have them until their deletion is durable."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count_stored(self, count: int) -> None:
        """The store has so many devices at the start."""
        self._count = count

    def enter(self, device: Device) -> None:
        """A device of the store is in memory from now on."""
        self._loaded[device.dev_eui] = device

    def get(self, dev_eui: int) -> Device | None:
        device = self._loaded.get(dev_eui)
        if device is None and self.source is not None and dev_eui not in self._deleted:
            return self.source.by_dev_eui(dev_eui)
        return device

    def __contains__(self, dev_eui: int) -> bool:
        return self.get(dev_eui) is not None

    def __getitem__(self, dev_eui: int) -> Device:
        device = self.get(dev_eui)
        if device is None:
            raise KeyError(dev_eui)
        return device

    def __setitem__(self, dev_eui: int, device: Device) -> None:
        """A new device."""
        self._loaded[dev_eui] = device
        self._deleted.discard(dev_eui)
        self._count += 1

    def __delitem__(self, dev_eui: int) -> None:
        self._loaded.pop(dev_eui)
        self._deleted.add(dev_eui)
        self._count -= 1

    def loaded(self) -> Iterator[Device]:
        """Those in memory: all that have something in their queue or listen, and whatever was heard of."""
        return iter(self._loaded.values())

    def values(self) -> Iterator[Device]:
        """All of them. Reads every one into memory: for small networks and rare occasions."""
        stored = self.source.dev_euis() if self.source is not None else ()
        for dev_eui in {*self._loaded, *stored}:
            device = self.get(dev_eui)
            if device is not None:
                yield device


class DevicesById:
    """The same devices by their number."""

    def __init__(self) -> None:
        self.source: DeviceSource | None = None
        self._loaded: dict[int, Device] = {}
        self._deleted: set[int] = set()

    def get(self, id: int) -> Device | None:
        device = self._loaded.get(id)
        if device is None and self.source is not None and id not in self._deleted:
            return self.source.by_id(id)
        return device

    def is_loaded(self, id: int) -> bool:
        return id in self._loaded

    def __setitem__(self, id: int, device: Device) -> None:
        self._loaded[id] = device

    def __delitem__(self, id: int) -> None:
        del self._loaded[id]
        self._deleted.add(id)

"""Counts of a run as it goes, for the live view: little memory, however long it lasts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from lorasim.radio import parse_datr
from lorasim.reasons import reason

WINDOW_US = 10_000_000
"""Rates are of the last ten seconds."""
REMEMBERED_US = 30_000_000
"""A frame for which nothing came so long is a lost one."""


@dataclass(slots=True)
class BySf:
    """Transmissions of data frames at one spreading factor."""

    sent: int = 0
    heard: int = 0
    """By at least one gateway."""
    promised: int = 0
    """With a PUSH_ACK."""


@dataclass(slots=True)
class Tally:
    """Give it every line of a recording as it is written."""

    by_sf: dict[int, BySf] = field(default_factory=dict)
    missed: Counter[str] = field(default_factory=Counter)
    """Downlinks by the reason why they went unheard."""
    windows: Counter[str] = field(default_factory=Counter)
    """Heard downlinks by receive window."""
    refused: Counter[str] = field(default_factory=Counter)
    joined: int = 0
    join_requests: int = 0
    join_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    """How long the last joins took."""
    _joining: dict[str, int] = field(default_factory=dict)
    _recent: dict[str, deque[int]] = field(default_factory=dict)
    _frames: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """PHYPayload → time, spreading factor, how far it came: 0 sent, 1 heard, 2 promised."""
    _pushes: dict[tuple[str, int], tuple[int, list[str]]] = field(default_factory=dict)

    def observe(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        if kind == "uplink":
            self._count("uplinks", t)
            self._frames[fields["phy"]] = (t, 0, 0)
            self._forget(t)
        elif kind == "transmit":
            self._transmit(fields)
        elif kind == "push_data":
            self._pushes[fields["gateway"], fields["token"]] = (t, fields["phys"])
            for phy in fields["phys"]:
                self._came(phy, 1)
        elif kind == "push_ack":
            for phy in self._pushes.pop((fields["gateway"], fields["token"]), (0, []))[1]:
                self._came(phy, 2)
        elif kind == "on_air":
            self._count("downlinks", t)
        elif kind == "downlink":
            self.windows[fields.get("window", "")] += 1
        elif kind == "downlink_missed":
            self.missed[reason(fields.get("why") or "")] += 1
        elif kind == "downlink_refused":
            self.refused[fields["why"].split(":")[0]] += 1
        elif kind == "join_request":
            self.join_requests += 1
            self._count("joins", t)
            self._joining.setdefault(fields["dev_eui"], t)
        elif kind == "joined":
            self.joined += 1
            self.windows[fields.get("window", "")] += 1
            began = self._joining.pop(fields["dev_eui"], None)
            if began is not None:
                self.join_s.append((t - began) / 1e6)

    def per_second(self, what: str, now: int) -> float:
        """Rate of ``uplinks``, ``downlinks`` or ``joins`` in the last ten seconds before ``now``."""
        recent = self._recent.get(what, deque())
        while recent and recent[0] <= now - WINDOW_US:
            recent.popleft()
        return len(recent) / (WINDOW_US / 1e6)

    def _count(self, what: str, t: int) -> None:
        recent = self._recent.setdefault(what, deque())
        recent.append(t)
        while recent[0] <= t - WINDOW_US:
            recent.popleft()

    def _transmit(self, fields: dict[str, Any]) -> None:
        known, shape = self._frames.get(fields["phy"]), parse_datr(fields["datr"])
        if known is not None and shape is not None:
            self._frames[fields["phy"]] = (known[0], shape[0], 0)
            self.by_sf.setdefault(shape[0], BySf()).sent += 1

    def _came(self, phy: str, how_far: int) -> None:
        t, sf, before = self._frames.get(phy, (0, 0, 9))
        if before >= how_far or sf not in self.by_sf:
            return
        row = self.by_sf[sf]
        row.heard += before == 0
        row.promised += how_far == 2
        self._frames[phy] = (t, sf, how_far)

    def _forget(self, now: int) -> None:
        """Both tables are in the order of time: what is old stands in front."""
        frames, pushes = self._frames, self._pushes
        while frames and frames[oldest := next(iter(frames))][0] < now - REMEMBERED_US:
            del frames[oldest]
        while pushes and pushes[first := next(iter(pushes))][0] < now - REMEMBERED_US:
            del pushes[first]

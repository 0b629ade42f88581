"""What a run's summary counts: it hears the notes of gateways and devices."""

from __future__ import annotations

from typing import TypeVar

from lorasim.gateway import Gateway
from lorasim.radio import Note
from lorasim.station import Station
from lorasim.summary import Summary

MOST = 200_000
"""What was never acknowledged is forgotten then."""
K = TypeVar("K")
V = TypeVar("V")


class Ledger:
    """Fills a summary."""

    __slots__ = ("_pushed", "_unacknowledged", "summary")

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self._unacknowledged: dict[str, None] = {}
        """Frames with a reading for which no PUSH_ACK has come, by their bytes."""
        self._pushed: dict[tuple[int, int], list[str]] = {}

    def gateway(self, gateway: Gateway | Station, note: Note) -> None:
        """A gateway's note."""
        summary, fields = self.summary, note.fields
        if note.kind == "push_data":
            summary.push_data += 1
            _remember(self._pushed, (gateway.config.eui, fields["token"]), fields["phys"])
        elif note.kind == "push_ack":
            summary.push_ack += 1
            for phy in self._pushed.pop((gateway.config.eui, fields["token"]), ()):
                summary.readings_acknowledged += self._unacknowledged.pop(phy, 0) is None
        elif note.kind == "pull_resp":
            summary.pull_resp += 1
            if "fault" in fields:
                summary.faults[f"PULL_RESP: {fields['fault']}"] += 1
        elif note.kind == "tx_ack":
            outcome = fields["outcome"]
            summary.tx_ack[outcome.get("error") or f"warn {outcome['warn']}"] += 1
        elif note.kind == "bad_datagram":
            summary.faults[f"datagram: {fields['why']}"] += 1

    def device(self, note: Note) -> None:
        """A device's note."""
        summary, fields = self.summary, note.fields
        if note.kind == "uplink":
            summary.uplinks += 1
            summary.repeated += fields["transmission"] > 1
            if fields["tag"] is not None:
                summary.readings += fields["transmission"] == 1
                if fields["transmission"] == 1:
                    _remember(self._unacknowledged, fields["phy"], None)
        elif note.kind == "join_request":
            summary.join_requests += 1
        elif note.kind == "joined" or note.kind == "downlink":
            summary.downlinks_heard += 1
        elif note.kind == "downlink_refused":
            summary.downlinks_refused += 1
            summary.faults[fields["why"]] += 1


def _remember(among: dict[K, V], key: K, value: V) -> None:
    if len(among) >= MOST:
        del among[next(iter(among))]
    among[key] = value

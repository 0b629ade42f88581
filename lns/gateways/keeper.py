"""What is to be done with gateways now and then: who went silent, who came back, who is spoken for by somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lns import events
from lns.gateways.statistics import HOUR_US, KEPT_HOURS, Statistics

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import Gateway
    from lns.state import NetworkState

GRACE_US = 180_000_000
"""After the start gateways have so long to be heard before their silence is news."""
CLAIM_NEWS_US = 3_600_000_000
"""A claim that goes on is told again so often."""


class Watch:
    """What the keeper knows of one gateway."""

    __slots__ = ("claims", "gateway", "is_online", "since_us", "statistics", "told_us")

    def __init__(self, gateway: Gateway, now: Now) -> None:
        self.gateway = gateway
        self.since_us = now.mono_us
        self.is_online: bool | None = None
        """As it was told last; None: nothing was."""
        self.claims = 0
        """Datagrams of others in its name that were told."""
        self.told_us: int | None = None
        self.statistics = Statistics(now)


class Keeper:
    """Call :meth:`tend` every half a minute or so, and :meth:`stop` at the end."""

    def __init__(self, state: NetworkState) -> None:
        self._state = state
        self._watches: dict[int, Watch] = {}
        self._pruned_hour = 0

    def tend(self, now: Now) -> None:
        """Look at all gateways. What is found goes into the batch."""
        state = self._state
        for gateway in state.gateways:
            watch = self._watch(gateway, now)
            self._tell_online(gateway, watch, now)
            self._tell_claims(gateway, watch, now)
            if watch.statistics.is_due(now):
                watch.statistics.take(gateway, state.batch, now)
        if len(self._watches) > len(state.gateways):
            self._watches = {eui: watch for eui, watch in self._watches.items() if state.gateways.get(eui) is not None}
        state.airtime.prune(state.batch, now)
        hour = now.wall_us // HOUR_US
        if hour != self._pruned_hour:
            self._pruned_hour = hour
            state.batch.operations.append(("gateway_hours_prune", (hour - KEPT_HOURS,)))
            state.batch.operations.append(("gateway_parts_prune", (hour - KEPT_HOURS,)))

    def record(self, now: Now) -> None:
        """Put all statistics into the batch: before somebody reads them, and before the end."""
        for gateway in self._state.gateways:
            watch = self._watch(gateway, now)
            watch.statistics.take(gateway, self._state.batch, now)

    def _watch(self, gateway: Gateway, now: Now) -> Watch:
        watch = self._watches.get(gateway.eui)
        if watch is None or watch.gateway is not gateway:
            watch = self._watches[gateway.eui] = Watch(gateway, now)
        return watch

    def _tell_online(self, gateway: Gateway, watch: Watch, now: Now) -> None:
        is_online = gateway.is_online(now)
        if is_online is watch.is_online:
            return
        if not is_online and watch.is_online is None and now.mono_us - watch.since_us < GRACE_US:
            return
        was_told, watch.is_online = watch.is_online, is_online
        if is_online and was_told is None:
            return  # it was there all the time, as far as anybody knows
        if is_online:
            events.emit_gateway(
                self._state, gateway, now.wall_us, "INFO", "GATEWAY_ONLINE", "the gateway is heard again"
            )
            return
        seen = "since the server's start" if gateway.last_seen_us is None else "any more"
        text = f"the gateway is not heard {seen}"
        events.emit_gateway(self._state, gateway, now.wall_us, "ERROR", "GATEWAY_OFFLINE", text)

    def _tell_claims(self, gateway: Gateway, watch: Watch, now: Now) -> None:
        claim = gateway.source.claim
        if claim is None or claim.datagrams == watch.claims:
            return
        if watch.told_us is not None and now.mono_us - watch.told_us < CLAIM_NEWS_US:
            return
        watch.claims, watch.told_us = claim.datagrams, now.mono_us
        context = {"address": claim.address, "datagrams": str(claim.datagrams), "bound_to": gateway.source.host}
        text = f"another source claims this gateway: {claim.address}; it is served at {gateway.source.host or 'no address'}"
        events.emit_gateway(self._state, gateway, now.wall_us, "WARNING", "GATEWAY_SOURCE", text, context)

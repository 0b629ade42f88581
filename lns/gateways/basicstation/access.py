"""Who may speak as which station: tokens, client certificates, and what the operator leaves open."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from lns.gateways.basicstation.credentials import Purpose, shown_token
from lns.gateways.sources import SOURCES_LIMIT, Bucket, is_within
from lns.settings import BasicStationSettings, is_loopback

if TYPE_CHECKING:
    from lns.state import NetworkState

_EUI = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{16}|[0-9a-f]{2}(?:[-:][0-9a-f]{2}){7})(?![0-9a-f])")
MINUTE_US = 60_000_000


class Shown(NamedTuple):
    """What a client brought."""

    host: str
    """Its address without the port."""
    authorization: str
    """The header, empty when there is none."""
    certificate_names: frozenset[str] = frozenset()
    """Common name and DNS names of its verified certificate."""
    fingerprint: str = ""


class Refused(Exception):
    """It may not. ``status`` is for HTTP: 401 nothing of use was shown, 403 not this gateway, 429 too many attempts."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def euis_in(names: Iterable[str]) -> set[int]:
    """EUIs in names such as ``0016c001f153a100``, ``eui-0016c001f153a100.gw.example`` or ``00-16-c0-01-f1-53-a1-00``."""
    return {int(re.sub("[-:]", "", found), 16) for name in names for found in _EUI.findall(name.lower())}


class Access:
    """Decides, and remembers who was refused often."""

    def __init__(self, state: NetworkState, settings: BasicStationSettings) -> None:
        self._state = state
        self._settings = settings
        self._failures: OrderedDict[str, Bucket] = OrderedDict()
        self._blocked: dict[str, int] = {}

    def listen_to(self, host: str, mono_us: int) -> None:
        """Raises Refused for an address that was refused too often lately."""
        until_us = self._blocked.get(host)
        if until_us is not None and mono_us < until_us:
            raise Refused(429, "too many refused attempts from this address; wait a minute")
        self._blocked.pop(host, None)

    def admit(self, eui: int, purpose: Purpose, shown: Shown, mono_us: int) -> str:
        """The credential by which a client is the gateway ``eui``. Raises Refused."""
        try:
            credential = self._credential(eui, purpose, shown)
            # Only now: who has shown nothing does not learn which gateways there are.
            gateway = self._state.gateways.get(eui)
            if gateway is None:
                raise Refused(403, "this gateway is not registered here")
            if not is_within(shown.host, gateway.source.allowed):
                raise Refused(403, "this gateway may not speak from this address")
            return credential
        except Refused:
            self._failed(shown.host, mono_us)
            raise

    def _credential(self, eui: int, purpose: Purpose, shown: Shown) -> str:
        if shown.authorization:
            token = self._state.station_tokens.find(shown_token(shown.authorization), purpose)
            if token is None:
                raise Refused(401, "this token is not known")
            if token.eui != eui:
                raise Refused(403, "this token belongs to another gateway")
            for ended in self._state.station_tokens.used(token):
                self._state.batch.operations.append(("station_token_delete", (ended.hash,)))
            return f"token {token.hash.hex()[:16]}"
        if shown.fingerprint:
            if eui not in euis_in(shown.certificate_names):
                raise Refused(403, "this certificate belongs to another gateway")
            return f"certificate {shown.fingerprint[:16]}"
        open_to = self._settings.open_to
        is_open = open_to == "anybody" or (open_to == "loopback" and is_loopback(shown.host))
        if is_open and not self._state.station_tokens.of(eui, purpose):
            return f"open {shown.host}"
        raise Refused(401, "show a token or a client certificate")

    def _failed(self, host: str, mono_us: int) -> None:
        burst = self._settings.failures_per_minute
        bucket = self._failures.get(host)
        if bucket is None:
            bucket = self._failures[host] = Bucket(burst, mono_us)
            if len(self._failures) > SOURCES_LIMIT:
                self._failures.popitem(last=False)
        if not bucket.take(1, burst, mono_us):
            if len(self._blocked) > SOURCES_LIMIT:
                self._blocked.clear()
            self._blocked[host] = mono_us + MINUTE_US

"""MeterWAN's ADR as the laboratory wants it: the server's own memory and algorithms, nothing in between but names."""

from __future__ import annotations

from collections.abc import Callable

from lorasim.adr_rivals import ChirpStackLike, Heard, Request, Server, TheThingsStackLike

from lns import adr
from lns.device import Profile
from lns.mac.link_adr import limits_of
from regional import Plan, plan


class MeterWan:
    """One device's ADR, as ``lns.mac.link_adr`` runs it."""

    def __init__(self, algorithm: adr.Algorithm, profile: Profile, region: Plan) -> None:
        self._algorithm, self._profile, self._plan = algorithm, profile, region
        self._memory = adr.Memory()

    def uplink(self, heard: Heard) -> Request | None:
        memory = self._memory
        if heard.answer is not None:
            memory.answered(*heard.answer)
        memory.heard(heard.f_cnt, int(heard.at_s), heard.dr, heard.snr_db, heard.gateways, heard.adr_ack_req)
        if not (memory.may_ask(heard.adr_ack_req) and memory.is_due(heard.adr_ack_req)):
            return None
        floor_db = self._plan.required_snr_db(memory.dr)
        assert floor_db is not None
        decision = self._algorithm(
            memory.samples,
            adr.Current(memory.dr, memory.tx_power, memory.nb_trans, memory.since),
            limits_of(self._profile, self._plan, memory, floor_db),
        )
        if not (decision.changes or memory.uncertain):
            return None
        memory.asked(*decision[:3])
        return Request(*decision[:3])


def meterwan(name: str, profile: Profile | None = None, region: str = "RU864") -> Callable[[], Server]:
    """The algorithm of this name for each device."""
    profile = profile or Profile("lab")
    return lambda: MeterWan(adr.ALGORITHMS[name], profile, plan(region))


SERVERS: dict[str, Callable[[], Server]] = {
    "MeterWAN default": meterwan("default"),
    "MeterWAN default, 14 dB": meterwan("default", Profile("lab", adr_margin_db=14)),
    "MeterWAN recommended": meterwan("recommended"),
    "ChirpStack-like": ChirpStackLike,
    "The Things Stack-like": TheThingsStackLike,
}


def at_margin(name: str, margin_db: float) -> Callable[[], Server]:
    """One of :data:`SERVERS` with another margin."""
    if name == "MeterWAN default":
        return meterwan("default", Profile("lab", adr_margin_db=margin_db))
    rival = {"ChirpStack-like": ChirpStackLike, "The Things Stack-like": TheThingsStackLike}[name]

    def make() -> Server:
        server = rival()
        server.margin_db = margin_db
        return server

    return make

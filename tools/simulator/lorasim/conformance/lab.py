"""What a case gets: a lane of gateways, devices, and the server's own interface."""

from __future__ import annotations

import asyncio
import hashlib
import random

from lorasim.class_b import gps_of
from lorasim.conformance.adapters import Adapter, Received
from lorasim.conformance.bench import FIRST_EUI, Bench, Lane, Line
from lorasim.conformance.ground import Ground
from lorasim.conformance.probe import Identity, Probe
from lorasim.conformance.verdicts import Failed, NotSupported, expect
from lorasim.crypto import SessionKeys
from lorasim.gateway import Gateway
from lorasim.station_frames import fields_of
from regional import Plan

JOIN_EUI = 0x70B3D5FFFE0CF000
FIRST_DEV_EUI = 0x70B3D5FFFE0C0000
EVENT_WITHIN_S = 4.0


class Lab:
    """See the module. ``notes``: what the case has seen, for the table."""

    def __init__(
        self, case: str, plan: Plan, bench: Bench, lane: Lane, adapter: Adapter, seed: int, addresses: tuple[int, int]
    ) -> None:
        self.plan = plan
        self.ground = Ground(plan, bench.channels_hz)
        self.bench = bench
        self.lane = lane
        self.adapter = adapter
        self.rng = random.Random(f"{seed}/{case}")
        self.probes: list[Probe] = []
        self._extra: list[Line] = []
        self._case = case
        self._seed = seed
        self._addresses = addresses

    # ------------------------------------------------------------------------------------------------- devices

    def _key(self, number: int, purpose: str) -> bytes:
        return hashlib.sha256(f"{self._seed}/{self._case}/{number}/{purpose}".encode()).digest()[:16]

    def identity(
        self, mac_version: str = "1.0.3", activation: str = "ABP", device_class: str = "A", **wishes: object
    ) -> Identity:
        """A new one, which the server does not know yet."""
        number = len(self.probes)
        digest = int.from_bytes(hashlib.sha256(f"{self._seed}/{self._case}/{number}".encode()).digest()[:8], "big")
        prefix, bits = self._addresses
        keys = None
        if activation == "ABP":
            network = [
                self._key(number, purpose) for purpose in ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key")
            ]
            app = self._key(number, "app_s_key")
            is_1_1 = mac_version.startswith("1.1")
            keys = SessionKeys(*network, app, lorawan_1_1=True) if is_1_1 else SessionKeys.of_1_0(network[0], app)
        return Identity(
            dev_eui=FIRST_DEV_EUI & ~0xFFFFF | digest >> 44,
            join_eui=JOIN_EUI,
            app_key=self._key(number, "app_key"),
            nwk_key=self._key(number, "nwk_key"),
            mac_version=mac_version,
            activation=activation,
            device_class=device_class,
            dev_addr=prefix | digest & (1 << 32 - bits) - 1,
            keys=keys,
            wishes=dict(wishes),
        )

    def unknown(self, **more: object) -> Probe:
        """A device that the server is not told of."""
        probe = Probe(self.identity(**more), self.plan, self.bench, self.lane, self.rng)  # type: ignore[arg-type]
        self.probes.append(probe)
        return probe

    async def device(self, **more: object) -> Probe:
        """A device that the server knows; see :meth:`identity`. Raises NotSupported for a wish that it cannot have."""
        probe = self.unknown(**more)
        missing = set(probe.identity.wishes) - self.adapter.wishes
        if missing:
            raise NotSupported(f"the adapter {self.adapter.name!r} cannot set {', '.join(sorted(missing))}")
        await self.adapter.add_device(probe.identity)
        return probe

    async def close(self) -> None:
        """Devices and gateways of this case are gone."""
        for probe in self.probes:
            probe.close()
        for line in self._extra:
            self.lane.lines.remove(line)
            await line.close()

    # ------------------------------------------------------------------------------------------------- the server

    async def queue(self, probe: Probe, data: bytes, f_port: int = 7, confirmed: bool = False) -> None:
        """Queue a downlink."""
        await self.adapter.queue(probe.identity.dev_eui, f_port, data, confirmed)

    async def uplinks(self, probe: Probe, at_least: int) -> list[Received] | None:
        """What the application got of a device, once it is so many; None when the adapter cannot tell."""
        end_s = asyncio.get_running_loop().time() + EVENT_WITHIN_S
        while True:
            found = await self.adapter.uplinks(probe.identity.dev_eui)
            if found is None or len(found) >= at_least or asyncio.get_running_loop().time() > end_s:
                return found
            await asyncio.sleep(0.1)

    async def expect_uplinks(self, probe: Probe, f_cnts: list[int], why: str) -> None:
        """The application got exactly these; unless nobody can tell."""
        found = await self.uplinks(probe, len(f_cnts))
        if found is not None:
            counters = [one.f_cnt for one in found]
            expect(counters == f_cnts, f"{why}: the application got FCnt {counters}, not {f_cnts}")

    # ------------------------------------------------------------------------------------------------- gateways

    @property
    def udp_lines(self) -> list[Line]:
        """Gateways of Semtech UDP. Raises NotSupported when there are none."""
        lines = [line for line in self.lane.lines if isinstance(line.gateway, Gateway)]
        if not lines:
            raise NotSupported("this case needs gateways with Semtech UDP")
        return lines

    def needs_forwarding(self, phy: bytes) -> None:
        """Raises NotSupported for a frame that no gateway of the lane hands to the server: a station knows few kinds."""
        if fields_of(phy) is None and not any(isinstance(line.gateway, Gateway) for line in self.lane.lines):
            raise NotSupported("a Basics Station does not forward this frame")

    async def gateway(self, registered: bool = True, beacons: bool = False, **config: object) -> Line:
        """One more gateway in this lane until the case is over; ``config`` as of :class:`~lorasim.gateway.GatewayConfig`."""
        self.udp_lines  # noqa: B018 - only where Semtech UDP is spoken
        digest = hashlib.sha256(f"{self._seed}/{self._case}/gateway/{len(self._extra)}".encode()).digest()
        eui = FIRST_EUI | 0x10000 | int.from_bytes(digest[:2], "big")
        if registered:
            await self.adapter.add_gateway(eui, beacons)
        line = await self.bench.extra(self.lane, eui, **config)
        self._extra.append(line)
        return line

    def place(self, line: Line) -> int:
        """Its number in the lane."""
        return self.lane.lines.index(line)

    def refuse(self, error: str, times: int = 1) -> None:
        """Every gateway of the lane refuses its next downlinks."""
        for line in self.udp_lines:
            assert isinstance(line.gateway, Gateway)
            line.gateway.refuse.extend([error] * times)

    def refused(self) -> int:
        """How many of those refusals are left."""
        return sum(len(line.gateway.refuse) for line in self.udp_lines if isinstance(line.gateway, Gateway))

    def forgive(self) -> None:
        for line in self.udp_lines:
            if isinstance(line.gateway, Gateway):
                line.gateway.refuse.clear()

    def gps_us(self) -> int:
        return gps_of(self.bench.now_us())

    async def wait(self, seconds: float, probe: Probe | None = None) -> None:
        """Let time go by. Raises Failed for a downlink that breaks a rule meanwhile."""
        await asyncio.sleep(seconds)
        if probe is not None and probe.faults:
            raise Failed(probe.faults[0])

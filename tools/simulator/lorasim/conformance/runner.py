"""Plays cases side by side, one after another in each lane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lorasim.conformance.adapters import Adapter, AdapterError
from lorasim.conformance.bench import Bench, Lane, Where
from lorasim.conformance.ground import Ground
from lorasim.conformance.lab import Lab
from lorasim.conformance.punctual import Punctual
from lorasim.conformance.registry import Case
from lorasim.conformance.verdicts import Ended, Result, Verdict
from regional import Plan

TRIES = 3
"""So often a case is played that fails, or provokes nothing, while this machine was late."""
GIVEN = (Verdict.PASS, Verdict.NOT_SUPPORTED)
"""What no delay can have brought about."""
CASE_MOST_S = 200.0
"""A case that takes longer has failed."""

Told = Callable[[Result], None]


@dataclass(slots=True, frozen=True)
class Setup:
    """How a run is laid out."""

    where: Where
    plan: Plan
    channels_hz: Sequence[int]
    """Uplink channels of the gateways: those of the plan and of its preset."""
    seed: int = 1
    lanes: int = 16
    gateways_per_lane: int = 2
    addresses: tuple[int, int] = (0x00F00000, 12)
    """Prefix of the DevAddrs of ABP devices and its bits: of the server's NetID."""

    @property
    def ground(self) -> Ground:
        return Ground(self.plan, self.channels_hz)


async def run(setup: Setup, adapter: Adapter, cases: Sequence[Case], told: Told | None = None) -> list[Result]:
    """Play the cases; their results in the order of ``cases``. Raises AdapterError when the server cannot be prepared."""
    lanes = max(1, min(setup.lanes, len(cases)))
    bench = Bench(setup.where, setup.ground, lanes, setup.gateways_per_lane, setup.seed)
    await adapter.open()
    results: dict[str, Result] = {}
    try:
        for eui in bench.euis:
            await adapter.add_gateway(eui)
            if setup.where.station is not None and not setup.where.station.token:
                bench.tokens[eui] = await adapter.station_token(eui)
        waiting = sorted(cases, key=lambda case: -case.seconds)

        async def work(lane: Lane) -> None:
            while waiting:
                case = waiting.pop(0)
                results[case.name] = result = await _played(case, setup, bench, lane, adapter, punctual)
                if told is not None:
                    told(result)

        async with bench, Punctual() as punctual, asyncio.TaskGroup() as group:
            for lane in bench.lanes:
                group.create_task(work(lane))
    finally:
        await adapter.close()
    return [results[case.name] for case in cases]


async def _played(case: Case, setup: Setup, bench: Bench, lane: Lane, adapter: Adapter, punctual: Punctual) -> Result:
    """A case's result; it is played again when this machine was late meanwhile, unless it is good all the same."""
    for _ in range(TRIES):
        begun_s = asyncio.get_running_loop().time()
        result = await _play(case, setup, bench, lane, adapter)
        late_s = punctual.late_s(begun_s)
        if result.verdict in GIVEN or not late_s:
            return result
    return replace(result, reason=f"{result.reason} (this machine was {late_s:.1f} s late: try again when it is idle)")


async def _play(case: Case, setup: Setup, bench: Bench, lane: Lane, adapter: Adapter) -> Result:
    lab = Lab(case.name, setup.plan, bench, lane, adapter, setup.seed, setup.addresses)
    begun_s = time.monotonic()
    verdict, reason = Verdict.PASS, ""
    try:
        async with asyncio.timeout(CASE_MOST_S):
            reason = await case.play(lab) or ""
        for probe in lab.probes:
            if probe.faults:
                verdict, reason = Verdict.FAIL, probe.faults[0]
    except Ended as ended:
        verdict, reason = ended.verdict, str(ended)
    except AdapterError as error:
        verdict, reason = Verdict.NOT_SUPPORTED, str(error)
    except (AssertionError, ValueError, RuntimeError, LookupError, TypeError) as error:
        verdict, reason = Verdict.FAIL, f"the case came to no end: {type(error).__name__} {error}"
    except TimeoutError:
        verdict, reason = Verdict.FAIL, f"not at its end after {CASE_MOST_S:g} s"
    finally:
        await lab.close()
    return Result(case.name, case.group, case.title, case.clause, verdict, reason, time.monotonic() - begun_s)

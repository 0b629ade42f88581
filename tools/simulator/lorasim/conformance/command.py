"""``python -m lorasim conformance``: what a network server does right and wrong."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lorasim.conformance import output, registry, runner
from lorasim.conformance.adapters import Adapter, AdapterError
from lorasim.conformance.adapters.chirpstack import ChirpStack
from lorasim.conformance.adapters.manual import Manual
from lorasim.conformance.adapters.meterwan import MeterWAN
from lorasim.conformance.bench import Where
from lorasim.conformance.ground import Ground
from lorasim.conformance.runner import Setup
from lorasim.conformance.verdicts import Result, Verdict
from lorasim.station_entry import StationEntry
from regional import Plan, plan

FIXED_PRESET = "2"
"""The sub-band that most networks of fixed plans use: channels 8 to 15 and 65."""
TOKEN = "LORASIM_TOKEN"
"""The environment variable for the token, so that it stands in no list of processes."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: no case failed; 1: at least one did; 2: wrong use, or the server could not be prepared."""
    parser = parser_of_options()
    given = parser.parse_args(arguments)
    try:
        region = plan(given.region)
        ground = Ground(region, channels_of(region, given.preset))
        cases = registry.choose(given.cases, given.short, ground)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        for case in cases:
            print(f"{case.name:44}  {case.title} [{case.clause}]")
        return 0
    try:
        setup, adapter = _setup(given, ground), _adapter(given)
    except ValueError as error:
        parser.error(str(error))
    show = sys.stderr.isatty()

    def told(result: Result) -> None:
        if show:
            print(f"\r\x1b[K{result.name}: {result.verdict.value}", end="", file=sys.stderr, flush=True)

    try:
        results = asyncio.run(runner.run(setup, adapter, cases, told))
    except (AdapterError, OSError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2
    if show:
        print("\r\x1b[K", end="", file=sys.stderr)
    if given.json:
        print(output.as_json(results, given.server, given.seed))
    else:
        for line in output.table(results, sys.stdout.isatty() and "NO_COLOR" not in os.environ):
            print(line)
    if given.junit:
        Path(given.junit).write_text(output.as_junit(results, given.server, given.seed), encoding="utf-8")
    return 1 if any(result.verdict is Verdict.FAIL for result in results) else 0


def parser_of_options() -> argparse.ArgumentParser:
    """All options of the run; those of ``meterwan simulate conformance`` are the same."""
    parser = argparse.ArgumentParser(
        prog="python -m lorasim conformance",
        allow_abbrev=False,
        description="Plays LoRaWAN cases against a network server and says what it does right and wrong.",
        epilog=f"The token is best given in the environment as {TOKEN}.",
    )
    parser.add_argument(
        "cases", nargs="*", help="names or beginnings of names: join, counters.replay; without any: all"
    )
    parser.add_argument("--server", default="127.0.0.1:1700", metavar="HOST:PORT", help="Semtech UDP")
    parser.add_argument("--station", metavar="URL", help="ws:// or wss://: all gateways are Basics Stations")
    parser.add_argument("--station-token", default="", help="their token")
    parser.add_argument("--station-trust", default="", metavar="FILE", help="PEM: who signed the server's certificate")
    parser.add_argument("--adapter", choices=("meterwan", "chirpstack", "manual"), default="meterwan")
    parser.add_argument("--api", "--url", default="http://127.0.0.1:8080", metavar="URL", help="the server's interface")
    parser.add_argument("--token", default="", help="for that interface")
    parser.add_argument("--tenant", default="", metavar="ID", help="ChirpStack: the tenant for gateways and profiles")
    parser.add_argument("--application", default="", metavar="ID", help="ChirpStack: the application for devices")
    parser.add_argument("--region", default="RU864")
    parser.add_argument(
        "--preset",
        help="channels of the gateways; not given: the first preset, of fixed plans sub-band 2; empty: default ones",
    )
    parser.add_argument("--dev-addr", default="00f00000/12", metavar="PREFIX/BITS", help="addresses of ABP devices")
    parser.add_argument("--seed", type=int, default=1, help="another run with other devices and keys")
    parser.add_argument("--lanes", type=int, default=16, help="cases side by side, each with gateways of its own")
    parser.add_argument("--gateways", type=int, default=2, metavar="N", help="gateways in a lane")
    parser.add_argument("--short", action="store_true", help="only the cases of the short form")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--junit", metavar="FILE.xml")
    return parser


def channels_of(region: Plan, preset: str | None) -> list[int]:
    """Uplink channels of the gateways. Dynamic plans: the default ones and the preset's; fixed ones: the sub-band's.

    Raises ValueError for a preset that the plan does not have, and for none where gateways cannot hear all channels.
    """
    if preset is None:
        named = (name for name, channels_hz in region.presets.items() if channels_hz)
        preset = FIXED_PRESET if region.is_fixed else next(named, "")
    if preset and preset not in region.presets:
        raise ValueError(f"--preset {preset!r}: {region.name} has {', '.join(region.presets) or 'none'}")
    chosen = list(region.presets[preset]) if preset else []
    if not region.is_fixed:
        return [channel.frequency_hz for channel in region.default_channels] + chosen
    if not chosen:
        raise ValueError(f"--preset: the gateways hear eight of {region.name}'s channels: {', '.join(region.presets)}")
    return chosen


def _setup(given: argparse.Namespace, ground: Ground) -> Setup:
    host, _, port = given.server.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"--server {given.server!r} is not HOST:PORT")
    prefix, _, bits = given.dev_addr.partition("/")
    try:
        addresses = int(prefix, 16), int(bits)
    except ValueError:
        raise ValueError(f"--dev-addr {given.dev_addr!r} is not PREFIX/BITS, such as 00f00000/12") from None
    station = None
    if given.station:
        station = StationEntry(url=given.station, token=given.station_token, trust=given.station_trust)
    where = Where((host or "127.0.0.1", int(port)), station)
    lanes = 1 if given.adapter == "manual" else given.lanes
    return Setup(where, ground.plan, ground.channels_hz, given.seed, lanes, given.gateways, addresses)


def _adapter(given: argparse.Namespace) -> Adapter:
    token = given.token or os.environ.get(TOKEN, "")
    if given.adapter == "manual":
        return Manual()
    if not token:
        raise ValueError(f"the adapter {given.adapter!r} needs --token, or {TOKEN} in the environment")
    if given.adapter == "chirpstack":
        if not (given.tenant and given.application):
            raise ValueError("the adapter 'chirpstack' needs --tenant and --application")
        return ChirpStack(given.api, token, given.region, given.tenant, given.application)
    return MeterWAN(given.api, token, given.region)

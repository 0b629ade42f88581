"""``python -m lorasim registry SCENARIO FOLDER``: what a server must know before a run, as tables.

A real server does not know a scenario's gateways and devices; in virtual time the lab tells its own.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lorasim import scenario
from lorasim.house import gateway_rows, import_rows
from lorasim.runner import now_us
from lorasim.scenario import Scenario
from lorasim.world import World

Rows = list[dict[str, str]]


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: written, 2: wrong use, or it could not be written."""
    parser = argparse.ArgumentParser(prog="python -m lorasim registry", description=__doc__.split("\n")[0])
    parser.add_argument("scenario", help=f"{', '.join(scenario.names())}, or a .toml file")
    parser.add_argument("folder", type=Path, help="gets gateways.csv, devices.csv, sessions.csv, house.csv")
    parser.add_argument("--seed", type=int, help="as in the run that follows: keys come from it")
    given = parser.parse_args(arguments)
    try:
        for name, rows in tables(scenario.load(given.scenario), given.seed).items():
            if rows:
                given.folder.mkdir(parents=True, exist_ok=True)
                _write(given.folder / f"{name}.csv", rows)
                print(f"{len(rows)} in {given.folder / f'{name}.csv'}")
    except (scenario.ScenarioError, OSError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2
    return 0


def tables(plan: Scenario, seed: int | None = None) -> dict[str, Rows]:
    """``gateways``, ``devices`` (those of a house are in its own table), ``sessions`` of ABP devices, ``house``.

    ``devices`` has the columns of ``meterwan device import``, ``house`` those of ``meterwan meter import``. Raises
    :class:`~lorasim.scenario.ScenarioError`.
    """
    world = World(plan, now_us(), seed)
    devices: Rows = []
    sessions: Rows = []
    for dev_eui, device in world.devices.items():
        if dev_eui in world.population.modules:
            continue
        config, session = device.config, device.session
        row = {
            "dev_eui": f"{dev_eui:016x}",
            "join_eui": f"{config.join_eui:016x}",
            "name": f"{world.population.group_of(dev_eui)} {dev_eui & 0xFFFF:04x}",
            "profile": f"lorawan-{config.mac_version}",
            "activation": "OTAA" if session is None else "ABP",
        }
        if session is None:
            row |= {"app_key": config.app_key.hex()}
            row |= {"nwk_key": config.nwk_key.hex()} if config.lorawan_1_1 else {}
        else:
            keys = session.keys
            network = ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key") if keys.lorawan_1_1 else ("nwk_s_key",)
            given = {name: getattr(keys, "nwk_s_enc_key" if name == "nwk_s_key" else name).hex() for name in network}
            text = {"dev_eui": row["dev_eui"], "dev_addr": str(session.dev_addr), "app_s_key": keys.app_s_key.hex()}
            sessions.append(text | given)
        devices.append(row)
    gateways = [{key: str(value) for key, value in row.items() if value is not None} for row in gateway_rows(plan)]
    return {"gateways": gateways, "devices": devices, "sessions": sessions, "house": import_rows(plan, seed)}


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)

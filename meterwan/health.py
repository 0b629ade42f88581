"""How a running server is, part by part, as seen from outside its processes."""

from __future__ import annotations

import json
from typing import Any

from internalapi.client import ApiError, NetworkClient, NetworkUnavailable, socket_path
from meterwan import ports, probes
from meterwan.datadir import DataDir
from meterwan.settings import Settings


async def examine(settings: Settings) -> list[dict[str, Any]]:
    """One row for each part: ``part``, ``state`` (``ok`` or what is wrong) and ``detail``."""
    data = DataDir(settings.data_dir)
    return [await _network(data), await _console(settings, data)]


async def _network(data: DataDir) -> dict[str, Any]:
    row = {"part": "network", "state": "down", "detail": str(data.path)}
    if not data.token.exists():
        return row
    async with NetworkClient(socket_path(data.path), data.read_token(), timeout_s=probes.PROBE_TIMEOUT_S) as network:
        try:
            status = await network.status()
        except NetworkUnavailable:
            return row
        except ApiError as error:
            return {**row, "state": "ill", "detail": str(error)}
    detail = (
        f"{status.region}, {status.gateways_online} of {status.gateways} gateways online, "
        f"{status.devices} devices, {status.sessions} sessions"
    )
    return {"part": "network", "state": status.storage, "detail": detail}


async def _console(settings: Settings, data: DataDir) -> dict[str, Any]:
    address = addresses(data).get("http.listen", settings.http.listen)
    well = await probes.console_answers(*ports.split(address))
    return {"part": "application", "state": "ok" if well else "down", "detail": address}


def addresses(data: DataDir) -> dict[str, str]:
    """Where the running server listens, by the settings' names; empty when none has run."""
    try:
        found = json.loads((data.run / "addresses.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

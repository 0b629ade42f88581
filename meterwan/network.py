"""The network process: the network server and, in the same process, its join server."""

from __future__ import annotations

import asyncio
import signal

from joinserver.settings import JoinServerSettings
from lns import runtime
from lns.settings import NetworkSettings
from lns.store.embedded.journal import StoreError
from lorawan.errors import StateError
from lorawan.identifiers import NetID
from meterwan.application import now_us
from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.joining import open_join_room


async def run(settings: NetworkSettings, joinserver: JoinServerSettings, data: DataDir) -> None:
    """Serve until SIGTERM or SIGINT. Raises Failure when a database cannot be used, OSError when a port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    restored = data.restore_number()

    def ready() -> None:
        data.restored.unlink(missing_ok=True)  # both stores have skipped their counters ahead, durably

    async with open_join_room(data, now_us, joinserver, NetID.parse(settings.net_id)) as joins:
        try:
            await runtime.run(settings, data.read_kek(), data.read_token(), joins, joins, stop, ready, restored)
        except (StateError, StoreError) as error:
            raise Failure(str(error)) from None


def migrate_network(data: DataDir) -> list[str]:
    """Bring the network's databases up to date by opening them once; returns their names."""
    from joinserver.store import JoinStore
    from lns.store.embedded.journal import Journal
    from meterwan.rotation import finish_rotation

    finish_rotation(data, now_us())
    with JoinStore(data.path / "join.db", data.read_kek()):
        pass
    Journal(data.path / "network.db").close()
    return ["join.db", "network.db"]

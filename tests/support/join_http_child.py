"""A join server process on its own: ``python -m tests.support.join_http_child SETTINGS.json JOIN_DB``.

Prints its port when it listens, runs until its stdin closes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path

from joinserver.backend.http import JoinHttpServer
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import JoinServerSettings
from joinserver.store import JoinStore
from tests.support.joins import KEK


async def main(settings: Path, path: Path) -> None:
    logging.basicConfig(level=logging.DEBUG)
    local = LocalJoinServer(JoinServer(JoinStore(path, KEK)), lambda: time.time_ns() // 1000)
    server = JoinHttpServer(local, JoinServerSettings.model_validate_json(settings.read_bytes()))
    await server.start()
    print(server.address[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()
    await local.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

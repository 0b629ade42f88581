"""A process that delivers the outbox of ``argv[1]`` until somebody kills it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from appserver.db import Database
from appserver.integrations import deliver

if __name__ == "__main__":
    asyncio.run(deliver(Database(Path(sys.argv[1])), asyncio.Event(), ["127.0.0.1"]))

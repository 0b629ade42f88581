"""A supervisor with two workers, to be killed. Run as a program: boss.py FOLDER."""

import asyncio
import sys
from pathlib import Path

from meterwan.datadir import DataDir
from meterwan.log import configure
from meterwan.supervisor import BackOff, Role, Supervisor

WORKER = str(Path(__file__).with_name("worker.py"))


def role(data: DataDir, name: str, behaviour: str = "works") -> Role:
    async def answers() -> bool:
        return (data.path / f"{name}.starts").exists()

    command = [sys.executable, WORKER, str(data.path), name, behaviour]
    return Role(name, command, answers, BackOff(first_s=0.01, most_s=0.05))


def main() -> None:
    data = DataDir(Path(sys.argv[1]))
    data.create()
    configure("boss")
    roles = [role(data, "network"), role(data, "application")]
    with data.lock():
        asyncio.run(Supervisor(data, roles, lambda: print("ready", flush=True)).run())


if __name__ == "__main__":
    main()

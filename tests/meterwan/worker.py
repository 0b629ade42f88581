"""A process to supervise: takes its role's lock, says so, and ends as it is told. Run as a program."""

import sys
import time
from pathlib import Path

from meterwan.datadir import DataDir
from meterwan.processes import follow_parent


def main() -> None:
    folder, role, behaviour = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    follow_parent(grace_s=0.2)
    if behaviour == "refuses":
        sys.exit(78)
    if behaviour == "stubborn":
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with DataDir(folder).role_lock(role).acquire(wait_s=10.0):
        with (folder / f"{role}.starts").open("a") as starts:
            starts.write("started\n")
        while True:
            time.sleep(0.05)


if __name__ == "__main__":
    main()

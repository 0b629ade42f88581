"""A join server that can be killed: takes requests on stdin, one JSON line each, and writes answers to stdout.

Run as ``python -m tests.support.join_child JOIN_DB``. Each line is a batch ``[[DevEUI, PHYPayload hex], …]``; the
answer is a line ``[[result, PHYPayload hex], …]``, written only after the batch is durable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import JoinReq
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.joins import KEK, NOW_US


def main(path: Path) -> None:
    server = JoinServer(JoinStore(path, KEK))
    print("ready", flush=True)
    for line in sys.stdin:
        requests = [
            JoinReq(bytes.fromhex(phy), "1.0.4", EUI64(dev_eui), NetID(0x13), DevAddr(1), 0, 1)
            for dev_eui, phy in json.loads(line)
        ]
        answers = server.join_many(requests, NOW_US)
        print(json.dumps([[a.result.value, a.phy_payload.hex()] for a in answers]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
